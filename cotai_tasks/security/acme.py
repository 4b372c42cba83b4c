"""Getting a certificate from an authority that speaks ACME (RFC 8555), by HTTP-01: nginx serves a token on port 80."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from acme import challenges, errors, messages
from acme.client import ClientNetwork, ClientV2
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from josepy.errors import Error as JoseError
from josepy.jwk import JWK, JWKRSA

from cotai_tasks.errors import CertificateError, Finding
from cotai_tasks.security.certificates import Certificate, make_request
from cotai_tasks.security.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from cryptography import x509

LETSENCRYPT = "https://acme-v02.api.letsencrypt.org/directory"
STAGING = "https://acme-staging-v02.api.letsencrypt.org/directory"
"""Let's Encrypt's own rehearsal: whatever goes wrong there costs nothing of the week's few certificates."""

PATIENCE = 180
"""Seconds for the authority to look at every name and to sign; Let's Encrypt takes about ten."""

_SILENCE = 30
"""Seconds without an answer to a single request."""


@dataclass(frozen=True)
class Directory:
    """Where the authority is, who asks it, and whom we trust to be it."""

    url: str
    email: str
    accounts: Path
    """The file with our account's key at each authority, mode 0600."""
    anchors: Sequence[x509.Certificate]

    @property
    def host(self) -> str:
        """The authority as people call it."""
        return urlsplit(self.url).netloc


def obtain(
    directory: Directory,
    names: Sequence[str],
    *,
    publish: Callable[[Mapping[str, str]], None],
    agree: Callable[[str], None],
    patience: float = PATIENCE,
) -> Certificate:
    """Get a certificate for these names with a new key; its chain is whole, as the authority sends it.

    `publish` makes nginx serve just these tokens, by their names; `agree` asks about the terms of service when there
    is no account yet. Raises `CertificateError` with the authority's own words.
    """
    with NamedTemporaryFile(suffix=".pem") as bundle:
        for anchor in directory.anchors:
            bundle.write(anchor.public_bytes(serialization.Encoding.PEM))
        bundle.flush()
        try:
            client = _connect(directory, bundle.name)
            _log_in(client, directory, agree)
            return _order(client, names, publish, patience)
        except (errors.Error, messages.Error, JoseError, OSError) as error:
            raise explain(error, directory.host, patience) from error


def _connect(directory: Directory, bundle: str) -> ClientV2:
    network = ClientNetwork(verify_ssl=bundle, user_agent="cotai-tasks", timeout=_SILENCE)  # type: ignore[arg-type] # what it hands to requests may be a path
    return ClientV2(ClientV2.get_directory(directory.url, network), network)


def _log_in(client: ClientV2, directory: Directory, agree: Callable[[str], None]) -> None:
    """Use our account at this authority, or open one."""
    accounts = json.loads(directory.accounts.read_text()) if directory.accounts.is_file() else {}
    if known := accounts.get(directory.url):
        client.net.key = JWK.from_json(known["key"])
        client.net.account = messages.RegistrationResource(uri=known["uri"], body=messages.Registration())
        return
    if terms := client.directory.meta.terms_of_service:
        agree(f"Agree to the terms of service of {directory.host} ({terms})?")
    key = JWKRSA(key=rsa.generate_private_key(public_exponent=65537, key_size=2048))  # the kind that every server takes
    client.net.key = key
    wish = messages.NewRegistration.from_data(email=directory.email or None, terms_of_service_agreed=True)
    accounts[directory.url] = {"key": key.to_json(), "uri": client.new_account(wish).uri}
    Store(directory.accounts.parent).write(directory.accounts.name, json.dumps(accounts, indent=2).encode())


def _order(
    client: ClientV2, names: Sequence[str], publish: Callable[[Mapping[str, str]], None], patience: float
) -> Certificate:
    key_pem, request = make_request(names)
    order = client.new_order(request)
    asked = [_http_challenge(one) for one in order.authorizations if one.body.status == messages.STATUS_PENDING]
    answers = [(one, *one.response_and_validation(client.net.key)) for one in asked]
    deadline = datetime.now() + timedelta(seconds=patience)  # noqa: DTZ005 - the library compares with the local time
    try:
        publish({one.chall.encode("token"): text for one, _, text in answers})
        for one, response, _ in answers:
            client.answer_challenge(one, response)
        order = client.poll_authorizations(order, deadline)
        # Some servers refuse a name without a word; the library would wait for the order until its patience ends.
        if refused := [one for one in order.authorizations if one.body.status != messages.STATUS_VALID]:
            raise errors.ValidationError(refused)
        order = client.finalize_order(order, deadline)
    finally:
        publish({})
    return Certificate(order.fullchain_pem.encode(), key_pem)


def _http_challenge(authorization: messages.AuthorizationResource) -> messages.ChallengeBody:
    for one in authorization.body.challenges:
        if isinstance(one.chall, challenges.HTTP01):
            return one
    name = authorization.body.identifier.value
    raise CertificateError(
        f"the authority does not check {name} over HTTP",
        cure="Get that certificate another way, and install it: inv security.certs --cert FILE --key FILE.",
    )


# -- what went wrong, in one sentence ----------------------------------------------------------------------------------


def explain(error: Exception, host: str, patience: float = PATIENCE) -> CertificateError:
    """Turn what an authority or the way to it said into one sentence, most specific first."""
    match error:
        case errors.ValidationError():
            findings = tuple(_refusals(error))
            return CertificateError(
                f"{host} did not find this host behind {', '.join(one.where for one in findings)}",
                cure="Nothing was installed.",
                findings=findings,
            )
        case errors.IssuanceError():
            return explain(error.error, host)
        case messages.Error():
            cure = _CURES.get(_code(error), "Nothing was installed.")
            return CertificateError(f"{host} refused: {_words(error)}", cure=cure)
        case errors.TimeoutError():
            return CertificateError(
                f"{host} did not finish within {patience:.0f} s", cure="Nothing was installed. Repeat the command."
            )
        case OSError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            cure = "If it is your company's own, name the file of its root in BUILD_CA_FILE."
            return CertificateError(f"{host} shows a certificate that this host does not trust", cure=cure)
        case OSError():
            cure = "Look at ACME_DIRECTORY, DNS, and the way out of this host."
            return CertificateError(f"{host} cannot be reached: {_root_cause(error)}", cure=cure)
    return CertificateError(f"{host} answers something that is not ACME: {error}", cure="Look at ACME_DIRECTORY.")


def _refusals(error: errors.ValidationError) -> Iterator[Finding]:
    for authorization in error.failed_authzrs:
        name = authorization.body.identifier.value
        said = [one.error for one in authorization.body.challenges if one.error]
        for one in said:
            cure = _CURES.get(_code(one), "inv deploy.logs --svc nginx shows whether it was asked.")
            yield Finding(name, _words(one), cure)
        if not said:
            yield Finding(name, "the authority did not find the token there, and says no more", _OTHER_SERVER)


def _words(error: messages.Error) -> str:
    """Give the authority's own detail, those of its parts, or at least the kind of error."""
    parts = [_words(one) for one in error.subproblems or ()]
    return "; ".join(filter(None, [error.detail, *parts])).rstrip(".") or error.description or error.typ


def _code(error: messages.Error) -> str:
    """Give the kind of error by its last word; the library knows fewer than RFC 8555 has."""
    return str(error.typ).rpartition(":")[2]


def _root_cause(error: BaseException) -> str:
    """Give what the operating system said, below the layers of libraries that wrapped it."""
    reason = getattr(error.args[0], "reason", error) if error.args else error
    text = re.sub(r"\[[^]]*\]|\(_ssl\.c:\d+\)", "", str(reason))  # numbers of errors, places in OpenSSL's binding
    return text.rpartition(": ")[2].strip(" ()'\"") or type(reason).__name__


_OTHER_SERVER = "Another server answers for it: look at its A and AAAA records, and at what stands before nginx."
_CURES = {
    "rateLimited": "Wait until the time that it names; nothing that is installed was touched.",
    "dns": "Set the name's A record to this host (it answers on IPv4 only: no AAAA), and wait until it is known.",
    "connection": "Let the world reach port 80 of this host: firewall, router, HTTP_PORT=80.",
    "unauthorized": _OTHER_SERVER,
    "incorrectResponse": _OTHER_SERVER,
    "caa": "The name's CAA record names other authorities: add this one, or take the record out.",
    "rejectedIdentifier": "It signs public names only: inv security.certs --self-signed is for all others.",
    "accountDoesNotExist": "It has forgotten our account: remove acme-account.json from the secrets folder; repeat.",
    "externalAccountRequired": "It wants an account that was opened elsewhere: choose another ACME_DIRECTORY.",
    "invalidContact": "Correct ACME_EMAIL, or leave it empty.",
    "unsupportedContact": "Correct ACME_EMAIL, or leave it empty.",
    "serverInternal": "The fault is on its side: repeat the command later.",
}
"""By the error codes of RFC 8555, section 6.7."""
