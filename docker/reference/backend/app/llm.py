"""The LLM gateway, asked through the OpenAI-compatible chat API."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx

from app.extraction import storable
from app.logs import REQUEST_ID_HEADER, current_request_id
from app.prompts import Messages


class LlmUnavailableError(Exception):
    """No model answered, but one may later."""


class LlmRefusedError(Exception):
    """The gateway answered that this question will never be answered."""


@dataclass(frozen=True)
class Answer:
    """What a model said, and which model it was: the gateway may have fallen back to another."""

    text: str
    model: str


class Llm:
    """A model behind the gateway."""

    def __init__(self, http: httpx.AsyncClient, model: str) -> None:
        """Ask `model` through a client whose base URL is the gateway's."""
        self._http = http
        self._model = model

    async def ask(self, messages: Messages, max_tokens: int, answer_format: dict[str, Any] | None = None) -> Answer:
        """Ask for an answer at temperature 0: the same question gets the same answer, from the gateway's cache.

        Raises:
            LlmUnavailableError: when it is worth trying again.
            LlmRefusedError: when it is not.

        """
        question: dict[str, Any] = {"model": self._model, "messages": messages, "max_tokens": max_tokens}
        question |= {"temperature": 0} | ({"response_format": answer_format} if answer_format else {})
        try:
            response = await self._http.post(
                "/v1/chat/completions",
                json=question,
                headers={REQUEST_ID_HEADER: current_request_id()},
            )
        except httpx.TransportError as error:
            msg = f"LLM gateway not reachable: {str(error) or type(error).__name__}"
            raise LlmUnavailableError(msg) from error
        if response.is_success:
            return _answer(response)
        msg = f"LLM gateway answered {response.status_code}: {_fault(response)}"
        if response.is_server_error or response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            raise LlmUnavailableError(msg)
        raise LlmRefusedError(msg)

    async def ping(self) -> None:
        """Ask the gateway, not a model, for an answer."""
        response = await self._http.get("/health/live", timeout=2)
        response.raise_for_status()


def _fault(response: httpx.Response) -> str:
    """Give the message of an OpenAI error, or whatever else was answered."""
    try:
        message = str(response.json()["error"]["message"])
    except (ValueError, LookupError, TypeError):
        message = str(response.text)
    return message[:300]


def _answer(response: httpx.Response) -> Answer:
    try:
        body = response.json()
        text = body["choices"][0]["message"]["content"] or ""
        return Answer(text=storable(str(text)), model=str(body["model"]))
    except (ValueError, LookupError, TypeError) as error:
        msg = f"LLM gateway answered something else than a chat completion: {response.text[:300]}"
        raise LlmUnavailableError(msg) from error
