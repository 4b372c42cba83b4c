"""The one-shot job that pulls models."""

from typing import Any

import httpx
import pytest

from gateway.pull import describe, main
from gateway.settings import Settings
from tests.stub import Network, Stub

pytestmark = pytest.mark.anyio

DIGEST = "sha256:ab12"
STEPS: list[dict[str, Any]] = [
    {"status": "pulling manifest"},
    {"status": "pulling ab12", "digest": DIGEST, "total": 98_000_000, "completed": 24_500_000},
    {"status": "verifying sha256 digest"},
    {"status": "success"},
]


async def _pull(stub: Stub, delays: tuple[float, ...] = (0,)) -> int:
    settings = Settings(servers=("http://a",), model="small")
    async with httpx.AsyncClient(transport=Network(a=stub)) as http:
        return await main(settings, http, delays)


async def test_model_that_is_there_needs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """A listed model ends the job at once, on any kind of server."""
    assert await _pull(Stub(["small"])) == 0
    assert capsys.readouterr().out == "http://a: small is there already\n"


async def test_pull_shows_its_progress(capsys: pytest.CaptureFixture[str]) -> None:
    """Percentage, megabytes and digest of each layer, and Ollama's word that it checked it."""
    assert await _pull(Stub([], pull=STEPS)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "http://a: pulling small",
        "  pulling manifest",
        f"   25%  24.5 of 98.0 MB  {DIGEST}",
        "  verifying sha256 digest",
        "  success",
        "http://a: small pulled and verified",
    ]


@pytest.mark.parametrize(
    ("stub", "said"),
    [
        (Stub([], pull=[{"error": "pull model manifest: file does not exist"}]), "manifest: file does not exist"),
        (Stub(["other"]), "the server is not Ollama and cannot pull; it has other: set LLM_MODEL to that"),
        (Stub([], unreachable=True), "connection refused"),
        (Stub([], pull=STEPS[:2]), "the download ended before its end"),
    ],
)
async def test_failure_is_one_clear_line(stub: Stub, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A model that cannot be had is an exit code and a line that says why."""
    assert await _pull(stub) == 1
    failure = capsys.readouterr().err
    assert failure.startswith("http://a: small was not pulled: ")
    assert said in failure
    assert failure.count("\n") == 1


async def test_server_that_is_not_up_yet_is_waited_for(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The job may start before the model server does."""
    stub = Stub(["small"], unreachable=True)

    async def wait(_: float) -> None:
        stub.unreachable = False

    monkeypatch.setattr("gateway.pull.asyncio.sleep", wait)
    assert await _pull(stub, delays=(2,)) == 0
    assert "connection refused; trying again in 2 s" in capsys.readouterr().out


async def test_steps_without_a_size_are_told_as_they_are() -> None:
    """Ollama's own words stay; a layer that has not begun is at 0 %."""
    assert describe({"status": "writing manifest"}) == "writing manifest"
    assert describe({"status": "pulling", "digest": DIGEST, "total": 1_000_000}) == f"  0%  0.0 of 1.0 MB  {DIGEST}"
