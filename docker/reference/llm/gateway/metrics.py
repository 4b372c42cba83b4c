"""Prometheus metrics. The gateway is one process, so the plain registry is right."""

from prometheus_client import Counter, Gauge, Histogram

ANSWERS = Counter(
    "llm_answers",
    "Chat completions by how they were answered: cache, model, fallback (another model), refused, unavailable.",
    ["model", "outcome"],
)
SECONDS = Histogram(
    "llm_answer_seconds",
    "Time of a model server to answer, to the last byte.",
    ["model"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120),
)
TOKENS = Counter("llm_tokens", "Tokens as the model servers count them.", ["model", "kind"])
UP = Gauge("llm_server_up", "Whether a model server answers.", ["server"])
BUSY = Gauge("llm_server_busy", "Requests that a model server is working on for this gateway.", ["server"])
