"""Judging a certificate before anybody sees it: the chain, its key, the names, the dates, and who trusts it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID

from cotai_tasks.errors import Finding
from cotai_tasks.security.certificates import PUBLIC_DAYS, general_name
from cotai_tasks.security.pem import FULL_CHAIN, common_name, covers, key_block, kind_of, read_chain, server_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

_MIN_RSA = 2048
_MIN_CURVE = 256
"""Bits; NIST SP 800-57 part 1, table 2: 112 and 128 bits of security. Browsers refuse less."""


@dataclass(frozen=True)
class Judgement:
    """What is wrong with a certificate (it must not be installed), and what is only worth knowing."""

    faults: tuple[Finding, ...]
    warnings: tuple[Finding, ...] = ()


def judge(
    chain_pem: bytes,
    key_pem: bytes,
    *,
    names: Sequence[str],
    anchors: Sequence[x509.Certificate],
    now: datetime,
    files: tuple[str, str] = ("certificate", "key"),
) -> Judgement:
    """Judge a chain and its private key for a server of these names, as somebody would who trusts the anchors.

    `files` says what the findings call the chain and the key. Nothing is looked up: revocation stays unknown.
    """
    where, key_where = files
    chain, faults = read_chain(chain_pem, where)
    if faults:
        return Judgement(tuple(faults))
    servers = [one for one in chain if not _is_authority(one)]
    if len(servers) != 1:
        return Judgement((_not_one_server(chain, servers, where),))
    server = servers[0]
    path = _path(server, chain)
    forgeable = list(_signature_faults(chain, where))
    faults = [
        *_key_faults(key_pem, server, key_where, where),
        *_date_faults(path, now, where),
        *_name_faults(server, names, where),
        *_purpose_faults(server, where),
        *_strength_faults(path, where),
        *(forgeable or _path_faults(chain, path, anchors, where)),  # who signed what is not to be known from those
    ]
    if not faults:  # what remains: path lengths, name constraints, and whatever else a client looks at
        faults = _verify(path, names, anchors, now, where)
    return Judgement(tuple(faults), tuple(_lifetime_warnings(server, where)))


# -- who signed whom ---------------------------------------------------------------------------------------------------


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _signed(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (
        ValueError,
        TypeError,
        InvalidSignature,
    ):  # other names, a kind of key that signs nothing, a wrong signature
        return False
    return True


def _path(server: x509.Certificate, chain: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """Follow the signatures from the server's certificate upwards, as far as the file goes."""
    path = [server]
    rest = [one for one in chain if one != server]
    while found := next((one for one in rest if _signed(path[-1], one)), None):
        path.append(found)
        rest = [one for one in rest if one != found]
    return path


def _not_one_server(chain: Sequence[x509.Certificate], servers: Sequence[x509.Certificate], where: str) -> Finding:
    if servers:
        named = ", ".join(common_name(one.subject) for one in servers)
        return Finding(where, f"several servers' certificates ({named})", f"Keep one of them. {FULL_CHAIN}")
    own = common_name(chain[0].subject)
    fault = f"only authorities' certificates ({own} first), the server's own is missing"
    return Finding(where, fault, FULL_CHAIN)


def _path_faults(
    chain: Sequence[x509.Certificate],
    path: Sequence[x509.Certificate],
    anchors: Sequence[x509.Certificate],
    where: str,
) -> Iterator[Finding]:
    if len(set(chain)) < len(chain):
        yield Finding(where, "a certificate stands in it twice", "Keep one of each.")
    elif strangers := [common_name(one.subject) for one in chain if one not in path]:
        fault = f"{', '.join(strangers)} signed none of the others"
        yield Finding(where, fault, f"Take out what does not belong to the chain. {FULL_CHAIN}")
    elif list(chain) != list(path):
        order = ", then ".join(common_name(one.subject) for one in path)
        yield Finding(where, "wrong order", f"Put {order}.")
    trusted = set(anchors)
    if any(one in trusted or any(_signed(one, anchor) for anchor in anchors) for one in path):
        return
    last = path[-1]
    issuer = common_name(last.issuer)
    if last.issuer == last.subject:
        cure = "If it is your company's own, name its file in BUILD_CA_FILE; else bring one of a public authority."
        yield Finding(where, f"it ends at {issuer}, which this host does not trust", cure)
    else:
        fault = f"incomplete: {issuer}, who signed {common_name(last.subject)}, is missing"
        yield Finding(where, fault, _where_issuer_is(last))


def _where_issuer_is(certificate: x509.Certificate) -> str:
    """Say where the missing certificate can be had: most certificates tell."""
    cure = "Append its certificate (and what it needs up to one that this host trusts)"
    try:
        access = certificate.extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    except x509.ExtensionNotFound:
        return f"{cure}; the authority gave it to you as chain or bundle."
    places = [
        one.access_location.value
        for one in access
        if one.access_method == AuthorityInformationAccessOID.CA_ISSUERS
        and isinstance(one.access_location, x509.UniformResourceIdentifier)
    ]
    return f"{cure}; it is at {places[0]}" if places else f"{cure}; the authority gave it to you as chain or bundle."


# -- one certificate ---------------------------------------------------------------------------------------------------


def _key_faults(pem: bytes, server: x509.Certificate, key_where: str, where: str) -> list[Finding]:
    block = key_block(pem)
    if not block:
        return [
            Finding(
                key_where,
                f"no private key: it holds {kind_of(pem)}",
                "Name the PEM file that begins with -----BEGIN PRIVATE KEY-----.",
            )
        ]
    try:
        key = serialization.load_pem_private_key(block, password=None)
    except TypeError:
        cure = "nginx starts without anybody to type it: openssl pkey -in FILE -out plain.pem, and bring that."
        return [Finding(key_where, "encrypted with a passphrase", cure)]
    except ValueError:
        return [Finding(key_where, "the private key is damaged", "Copy the file again, whole and unchanged.")]
    if key.public_key() != server.public_key():
        cure = f"Bring the key that the request for {common_name(server.subject)} was made with."
        return [Finding(key_where, f"another certificate's key, not that of {where}", cure)]
    return []


def _date_faults(path: Sequence[x509.Certificate], now: datetime, where: str) -> Iterator[Finding]:
    for one in path:
        name = common_name(one.subject)
        if one.not_valid_after_utc < now:
            renewed = "Bring a renewed one; inv security.certs --acme gets one by itself."
            yield Finding(where, f"{name} expired on {one.not_valid_after_utc:%Y-%m-%d %H:%M} UTC", renewed)
        if one.not_valid_before_utc > now:
            cure = f"It is {now:%Y-%m-%d %H:%M} UTC here: wait, or set this host's clock."
            yield Finding(where, f"{name} is valid only from {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on", cure)


def _name_faults(server: x509.Certificate, names: Sequence[str], where: str) -> Iterator[Finding]:
    own = server_names(server)
    if not own:
        cure = "Browsers read the alternative names only: have it issued again with them."
        yield Finding(where, "no alternative names (subjectAltName)", cure)
    elif missing := [name for name in names if not any(covers(pattern, name) for pattern in own)]:
        fault = f"not for {', '.join(missing)}, only for {', '.join(own)}"
        yield Finding(where, fault, "Have it issued for every name in SERVER_NAME, or correct SERVER_NAME.")


def _purpose_faults(server: x509.Certificate, where: str) -> Iterator[Finding]:
    try:
        purposes = server.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return  # good for any purpose
    if not {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(purposes):
        yield Finding(where, "not for a server (serverAuth is missing)", "Have it issued as a TLS server certificate.")


def _strength_faults(path: Sequence[x509.Certificate], where: str) -> Iterator[Finding]:
    for one in path:
        name, key = common_name(one.subject), one.public_key()
        if isinstance(key, rsa.RSAPublicKey):
            if key.key_size < _MIN_RSA:
                fault = f"{name} has a weak key (RSA {key.key_size})"
                yield Finding(where, fault, f"Have it issued for RSA {_MIN_RSA} or P-256.")
        elif isinstance(key, ec.EllipticCurvePublicKey):
            if key.key_size < _MIN_CURVE:
                yield Finding(where, f"{name} has a weak key ({key.curve.name})", "Have it issued for P-256.")
        else:
            kind = type(key).__name__.removesuffix("PublicKey")
            yield Finding(where, f"{name} has a key that browsers do not take ({kind})", "Have it issued for P-256.")


def _signature_faults(chain: Sequence[x509.Certificate], where: str) -> Iterator[Finding]:
    for one in chain:
        digest = one.signature_hash_algorithm
        if one.issuer != one.subject and isinstance(digest, hashes.SHA1 | hashes.MD5):
            fault = f"{common_name(one.subject)} is signed with {digest.name.upper()}, which can be forged"
            yield Finding(where, fault, "Have it issued again; every authority signs with SHA-256 today.")


def _lifetime_warnings(server: x509.Certificate, where: str) -> Iterator[Finding]:
    days = (server.not_valid_after_utc - server.not_valid_before_utc) // timedelta(days=1)
    if days > PUBLIC_DAYS:
        cure = f"{PUBLIC_DAYS} at most keep a stolen key short-lived, and renewal a habit."
        yield Finding(where, f"it lives {days} days", cure)


# -- everything else ---------------------------------------------------------------------------------------------------


def _verify(
    path: Sequence[x509.Certificate],
    names: Sequence[str],
    anchors: Sequence[x509.Certificate],
    now: datetime,
    where: str,
) -> list[Finding]:
    """Let `cryptography` verify the path as a client would.

    Its own profile is that of public authorities to the letter; a company's authority, which every browser takes, may
    lack an identifier. What must be there has been looked at above, so the extensions' presence is not asked for.
    """
    lenient = verification.ExtensionPolicy.permit_all()
    agnostic = verification.Criticality.AGNOSTIC
    policy = (
        verification.PolicyBuilder()
        .store(verification.Store(list(anchors)))
        .time(now)
        .extension_policies(
            ca_policy=lenient.require_present(x509.BasicConstraints, agnostic, None),
            ee_policy=lenient.require_present(x509.SubjectAlternativeName, agnostic, None),
        )
    )
    for name in names:
        try:
            policy.build_server_verifier(general_name(name)).verify(path[0], list(path[1:]))
        except verification.VerificationError as error:
            return [Finding(where, f"no client would trust it ({error})", "Ask the authority that issued it.")]
    return []
