"""OpenTelemetry traces, sent to OTEL_EXPORTER_OTLP_ENDPOINT; imported only when that is set."""

from fastapi import FastAPI
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from app.settings import variable


def instrument(api: FastAPI) -> None:
    """Trace the API's requests, the tasks that they send and the questions that they ask."""
    configure("backend")
    FastAPIInstrumentor.instrument_app(api, excluded_urls="health,metrics")


def configure(service: str) -> None:
    """Trace this process under a service's name. The exporter reads its endpoint from the environment."""
    resource = Resource.create({"service.name": service, "service.version": variable("COTAI_VERSION") or "dev"})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    HTTPXClientInstrumentor().instrument()
    CeleryInstrumentor().instrument()
