"""Making certificates: a local authority, what it signs, and the request to a public one. No file is touched here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

PUBLIC_DAYS = 90
"""Longest life of a certificate that browsers see: what public authorities give, and what makes renewal a habit."""

INTERNAL_DAYS = 3650
"""Life of the databases' certificates. Only the stack's own containers trust the authority that signs them, it signs
nothing else, and a date on which every database connection breaks at once would be the greater danger."""

_AUTHORITY_DAYS = 3650
_SKEW = timedelta(hours=1)
"""How much slower than ours another host's clock may be."""
_LONGEST_CN = 64
"""RFC 5280, ub-common-name. Who verifies reads the alternative names; the common name is for people."""


@dataclass(frozen=True, repr=False)
class Authority:
    """A certificate authority: its certificate and its private key, as PEM."""

    certificate_pem: bytes
    key_pem: bytes


@dataclass(frozen=True, repr=False)
class Certificate:
    """A certificate and its private key, as PEM."""

    chain_pem: bytes
    """The certificate itself, without the authority's: whoever trusts that has it already."""
    key_pem: bytes


def make_authority(name: str, *, now: datetime) -> Authority:
    """Make a certificate authority of that common name (P-256, ten years); it may sign servers, not authorities."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:_LONGEST_CN])])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + timedelta(days=_AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(sign=False, authority=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def issue(authority: Authority, names: Sequence[str], *, days: int, now: datetime, client: bool = False) -> Certificate:
    """Sign a server certificate for host names and IP addresses; `client` lets it log in to a server as well.

    It never outlives the authority.
    """
    issuer = x509.load_pem_x509_certificate(authority.certificate_pem)
    issuer_key = serialization.load_pem_private_key(authority.key_pem, password=None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)  # noqa: S101 - `make_authority` makes no other
    key = ec.generate_private_key(ec.SECP256R1())
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, *([ExtendedKeyUsageOID.CLIENT_AUTH] if client else [])]
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:_LONGEST_CN])]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        # A certificate's last second counts as well: with the skew it must not become longer than its days.
        .not_valid_after(min(now - _SKEW + timedelta(days=days, seconds=-1), issuer.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(sign=True, authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(issuer_key, hashes.SHA256())
    )
    return Certificate(certificate.public_bytes(serialization.Encoding.PEM), _key_pem(key))


def make_request(names: Sequence[str]) -> tuple[bytes, bytes]:
    """Make a new key and a request for a certificate of those names: both as PEM, the key first."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(x509.SubjectAlternativeName([general_name(name) for name in names]), critical=False)
        .sign(key, hashes.SHA256())
    )
    return _key_pem(key), request.public_bytes(serialization.Encoding.PEM)


def general_name(name: str) -> x509.DNSName | x509.IPAddress:
    """Give the alternative name that a certificate carries for a host: an address stays an address."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name.encode("idna").decode() if not name.isascii() else name)


def _usage(*, sign: bool, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=sign,
        content_commitment=False,
        key_encipherment=False,  # elliptic curves agree on keys, they do not encipher them
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
