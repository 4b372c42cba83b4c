"""What an S3 service says, in people's words and with a cure."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSLError,
)

from cotai_tasks.backup.store.base import ExistsError, MissingError
from cotai_tasks.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

EXISTS = {"PreconditionFailed", "ConditionalRequestConflict", "412"}
"""The answers to a write that may not replace anything."""

_MISSING = {"NoSuchKey", "NoSuchVersion", "404"}
_LOGIN = "Put the right pair into S3_ACCESS_KEY and S3_SECRET_KEY of the secrets' folder backup, or where AWS looks."
_NOT_ACCEPTED = ("the service does not accept the login", _LOGIN)
_REFUSED = ("the service refuses {operation} of {key}", "The login lacks the right to {operation} there.")
_WORDS = {
    "NoSuchBucket": ("there is no such bucket", "Create it, or correct BACKUP_STORE."),
    "InvalidAccessKeyId": _NOT_ACCEPTED,
    "SignatureDoesNotMatch": _NOT_ACCEPTED,
    "InvalidToken": _NOT_ACCEPTED,
    "ExpiredToken": _NOT_ACCEPTED,
    "TokenRefreshRequired": _NOT_ACCEPTED,
    "AccessDenied": _REFUSED,
    "403": (_REFUSED[0], f"{_REFUSED[1]} Without the right to ListBucket this is also the answer where nothing is."),
    "RequestTimeTooSkewed": ("this host's clock is wrong", "Let it keep time: timedatectl set-ntp true."),
    "InvalidObjectState": (
        "{key} is in an archive and cannot be read now",
        "Have the service restore it first; BACKUP_S3_STORAGE_CLASS should be one that answers at once.",
    ),
    "NotImplemented": (
        "the service does not know a part of {operation}",
        "It must know conditional writes (If-None-Match): without them one backup can replace another.",
    ),
}
"""What is wrong and its cure, by the service's own word; of a request without an answer's body that is the status."""
_SERVER_FAULT = 500


def code_of(error: ClientError) -> str:
    """Give the service's word for what is wrong: a name, or the HTTP status where it had no more to say."""
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def told(url: str, key: str = "") -> Iterator[None]:
    """Turn what boto3 raises into a `StoreError`; `ExistsError` and `MissingError` are about the key."""
    try:
        yield
    except ClientError as error:
        raise _answered(error, url, key) from error
    except BotoCoreError as error:
        raise _unanswered(error, url) from error


def _answered(error: ClientError, url: str, key: str) -> StoreError:
    code = code_of(error)
    if code in _MISSING:
        return MissingError(f"{url} has no {key}")
    if code in EXISTS:
        return ExistsError(f"{url} has {key} already")
    operation = error.operation_name
    if code in _WORDS:
        fault, cure = (text.format(operation=operation, key=key or "the bucket") for text in _WORDS[code])
        return StoreError(f"{url}: {fault}", cure=cure, evidence=str(error))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= _SERVER_FAULT:
        cure = "Look at the service's own log and state, then repeat."
        return StoreError(f"{url}: the service failed at {operation} ({code})", cure=cure, evidence=str(error))
    said = error.response.get("Error", {}).get("Message", "")
    return StoreError(f"{url}: {operation}: {code} {said}".strip(), cure="Check the BACKUP_S3_ variables.")


def _unanswered(error: BotoCoreError, url: str) -> StoreError:
    match error:
        case NoCredentialsError() | PartialCredentialsError():
            return StoreError(f"{url}: there is no login for it", cure=_LOGIN)
        case SSLError():
            cure = "If its authority is one of your own: AWS_CA_BUNDLE=file."
            return StoreError(f"{url}: its certificate is not trusted", cure=cure, evidence=str(error))
        case ReadTimeoutError() | ConnectTimeoutError():
            cure = "It is there and does not answer: look at the service, and at what is between."
            return StoreError(f"{url}: the service is silent, after several attempts", cure=cure, evidence=str(error))
        case EndpointConnectionError() | ConnectionClosedError():
            cure = "Check BACKUP_S3_ENDPOINT, and whether the service is up."
            return StoreError(f"{url}: the service cannot be reached", cure=cure, evidence=str(error))
        case _:
            return StoreError(f"{url}: {error}", cure="Check the BACKUP_S3_ variables.")
