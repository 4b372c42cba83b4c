"""Notices: whoever should know is told of a deploy, of a backup that failed, and of one that was not made."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from cotai_tasks.errors import CotaiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.settings import Settings

Event = Literal["failure", "stale", "deploy"]
"""A backup, a prune or a drill that failed; no backup as young as it should be; what came of a deploy."""

_TIMEOUT = (5.0, 10.0)
"""Seconds to connect, and to wait for the answer."""


def notify(settings: Settings, event: Event, text: str, *, console: Console, detail: Sequence[str] = ()) -> None:
    """Post a notice to the address for such an event, where there is one; `detail` are findings, a line each.

    What it says leaves this host: nothing secret. An address that cannot be told is a warning, never an error.
    """
    known = settings.variables
    url = known.DEPLOY_WEBHOOK_URL if event == "deploy" else known.BACKUP_WEBHOOK_URL
    if url and (fault := _post(url, message(settings.stack_name, socket.gethostname(), event, text, detail))):
        console.warn(f"nobody was told of it: {urlsplit(url).hostname} {fault}")


@contextmanager
def failure_told(settings: Settings, what: str, *, console: Console) -> Iterator[None]:
    """Post a notice where the block fails, whyever; not to whoever watches it at a terminal."""
    try:
        yield
    except BaseException as error:
        if not console.interactive:
            why = str(error) if isinstance(error, CotaiError) else type(error).__name__
            notify(settings, "failure", f"{what} failed: {why}", console=console)
        raise


def message(stack: str, host: str, event: Event, text: str, detail: Sequence[str] = ()) -> dict[str, str]:
    """Make the notice: `text` alone is what Slack and Mattermost show, the rest is for programs."""
    told = "\n".join(detail)
    sentence = f"{stack} on {host}: {text}."
    return {
        "text": f"{sentence}\n{told}" if told else sentence,
        "stack": stack,
        "host": host,
        "event": event,
        "detail": told,
    }


def _post(url: str, notice: dict[str, str]) -> str:
    """Post it, and give what went wrong. The words of requests repeat the address, which often holds a token."""
    import requests  # a tenth of a second of every deploy, where nobody is told of it

    try:
        # A redirect would turn the POST into a GET; an answer's text is not waited for.
        with requests.post(url, json=notice, timeout=_TIMEOUT, allow_redirects=False, stream=True) as answer:
            return "" if answer.status_code // 100 == 2 else f"answered {answer.status_code}"  # noqa: PLR2004 - 2xx
    except requests.RequestException as error:
        return f"could not be asked ({type(error).__name__})"
