"""Getting a certificate by ACME: the order of things, the account, and one sentence for whatever goes wrong."""

from __future__ import annotations

import json
import ssl
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from acme import challenges, errors, messages

from cotai_tasks.errors import CertificateError, Finding
from cotai_tasks.security import acme as module
from cotai_tasks.security.acme import Directory, explain, obtain

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

URL = "https://ca.example.org/directory"
HOST = "ca.example.org"
OTHER_SERVER = "Another server answers for it: look at its A and AAAA records, and at what stands before nginx."


def problem(code: str, detail: str, *parts: messages.Error) -> messages.Error:
    told = {"type": f"urn:ietf:params:acme:error:{code}", "detail": detail}
    made: messages.Error = messages.Error.from_json(told | {"subproblems": [one.to_json() for one in parts]})
    return made


def authorization(name: str, status: str, *, error: messages.Error | None = None) -> messages.AuthorizationResource:
    challenge = messages.ChallengeBody(
        chall=challenges.HTTP01(token=name.encode().ljust(16, b".")), uri=f"{URL}/{name}", status=None, error=error
    )
    body = messages.Authorization(
        identifier=messages.Identifier(typ=messages.IDENTIFIER_FQDN, value=name),
        status=messages.Status.POSSIBLE_NAMES[status],
        challenges=[challenge],
    )
    return messages.AuthorizationResource(body=body, uri=f"{URL}/authorization/{name}")


class Authority:
    """An authority that answers from plain data, and writes down what it was told."""

    def __init__(self, first: list[messages.AuthorizationResource], then: list[messages.AuthorizationResource]) -> None:
        self.first, self.then = first, then
        self.told: list[str] = []
        self.net = SimpleNamespace(key=None, account=None)
        self.directory = SimpleNamespace(meta=SimpleNamespace(terms_of_service="https://ca.example.org/terms"))

    def new_account(self, wish: messages.NewRegistration) -> SimpleNamespace:
        """Open an account."""
        self.told.append(f"account for {wish.emails}, terms agreed: {wish.terms_of_service_agreed}")
        return SimpleNamespace(uri=f"{URL}/account/1")

    def new_order(self, _: bytes) -> messages.OrderResource:
        """Ask for the names to be proved."""
        self.told.append("order")
        return messages.OrderResource(authorizations=self.first)

    def answer_challenge(self, challenge: messages.ChallengeBody, _: object) -> None:
        """Look at a name."""
        self.told.append(f"look at {challenge.uri}")

    def poll_authorizations(self, order: messages.OrderResource, _: object) -> messages.OrderResource:
        """Tell what was found."""
        updated: messages.OrderResource = order.update(authorizations=self.then)
        return updated

    def finalize_order(self, order: messages.OrderResource, _: object) -> messages.OrderResource:
        """Sign."""
        self.told.append("sign")
        updated: messages.OrderResource = order.update(fullchain_pem="the chain")
        return updated


@pytest.fixture
def get(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Authority], tuple[Any, list[Any]]]:
    """Obtain from an authority; give what came of it, and every step outside of it."""

    def run(authority: Authority) -> tuple[Any, list[Any]]:
        steps: list[Any] = []
        monkeypatch.setattr(module, "_connect", lambda *_: authority)
        directory = Directory(URL, "me@example.org", tmp_path / "secrets/acme-account.json", ())
        try:
            found: Any = obtain(directory, ["a.example.org"], publish=steps.append, agree=steps.append)
        except CertificateError as error:
            found = error
        return found, steps

    return run


def test_an_order_from_beginning_to_end(get: Callable[[Authority], tuple[Any, list[Any]]], tmp_path: Path) -> None:
    """Terms, account, order, token, look, certificate; the token goes, the account stays for the next time."""
    authority = Authority([authorization("a.example.org", "pending")], [authorization("a.example.org", "valid")])
    found, (question, tokens, gone) = get(authority)
    assert found.chain_pem == b"the chain"
    assert found.key_pem.startswith(b"-----BEGIN PRIVATE KEY-----")
    assert question == f"Agree to the terms of service of {HOST} (https://ca.example.org/terms)?"
    ((token, text),) = tokens.items()
    assert text.startswith(f"{token}.")
    assert gone == {}
    assert authority.told == [
        "account for ('me@example.org',), terms agreed: True",
        "order",
        f"look at {URL}/a.example.org",
        "sign",
    ]
    accounts = tmp_path / "secrets/acme-account.json"
    assert accounts.stat().st_mode & 0o777 == 0o600
    assert json.loads(accounts.read_text())[URL]["uri"] == f"{URL}/account/1"
    again = Authority([authorization("a.example.org", "valid")], [authorization("a.example.org", "valid")])
    assert get(again)[1] == [{}, {}]
    assert again.told == ["order", "sign"]
    assert again.net.account.uri == f"{URL}/account/1"


@pytest.mark.parametrize(
    ("said", "fault", "cure"),
    [
        (None, "the authority did not find the token there, and says no more", OTHER_SERVER),
        (problem("unauthorized", "404 from 192.0.2.7."), "404 from 192.0.2.7", OTHER_SERVER),
        (
            problem("connection", "192.0.2.7: Connection refused"),
            "192.0.2.7: Connection refused",
            "Let the world reach port 80 of this host: firewall, router, HTTP_PORT=80.",
        ),
        (
            problem("dns", "NXDOMAIN looking up A for a.example.org"),
            "NXDOMAIN looking up A for a.example.org",
            "Set the name's A record to this host (it answers on IPv4 only: no AAAA), and wait until it is known.",
        ),
    ],
)
def test_a_name_that_is_refused(
    said: messages.Error | None, fault: str, cure: str, get: Callable[[Authority], tuple[Any, list[Any]]]
) -> None:
    """The authority's own words; the token goes all the same, and nothing is signed."""
    refused = authorization("a.example.org", "invalid", error=said)
    authority = Authority([authorization("a.example.org", "pending")], [refused])
    found, steps = get(authority)
    assert str(found) == f"{HOST} did not find this host behind a.example.org"
    assert found.findings == (Finding("a.example.org", fault, cure),)
    assert steps[-1] == {}
    assert "sign" not in authority.told


def test_an_authority_that_wants_dns(get: Callable[[Authority], tuple[Any, list[Any]]]) -> None:
    """It offers no check over HTTP: said at once."""
    pending = authorization("a.example.org", "pending")
    other = pending.update(body=pending.body.update(challenges=[]))
    found, _ = get(Authority([other], []))
    assert str(found) == "the authority does not check a.example.org over HTTP"


@pytest.mark.parametrize(
    ("error", "sentence", "cure"),
    [
        (
            problem("rateLimited", "too many certificates already issued, retry after 2026-06-02 10:00:00 UTC"),
            f"{HOST} refused: too many certificates already issued, retry after 2026-06-02 10:00:00 UTC",
            "Wait until the time that it names",
        ),
        (
            errors.IssuanceError(problem("caa", "CAA record for example.org prevents issuance")),
            f"{HOST} refused: CAA record for example.org prevents issuance",
            "CAA record names other authorities",
        ),
        (
            problem("malformed", "", problem("rejectedIdentifier", "no public suffix")),
            f"{HOST} refused: no public suffix",
            "Nothing was installed.",
        ),
        (errors.TimeoutError(), f"{HOST} did not finish within 180 s", "Repeat the command."),
        (errors.ClientError("Unexpected response Content-Type: text/html"), "is not ACME", "Look at ACME_DIRECTORY."),
        (ssl.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"), "this host does not trust", "BUILD_CA_FILE"),
        (
            OSError("Max retries: (Caused by X('[Errno 111] Connection refused'))"),
            "Connection refused",
            "ACME_DIRECTORY",
        ),
        (OSError(), f"{HOST} cannot be reached: OSError", "ACME_DIRECTORY"),
    ],
)
def test_one_sentence(error: Exception, sentence: str, cure: str) -> None:
    """Most specific first, and never a traceback."""
    told = explain(error, HOST)
    assert sentence in str(told)
    assert cure in told.cure
