"""Certificates of every kind of badness, made in a moment: for the tests of `security`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from cotai_tasks.security.certificates import general_name

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Made:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def pem(self) -> bytes:
        """The certificate."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        """Its key, in clear."""
        return self.sealed(serialization.NoEncryption())

    def sealed(self, encryption: serialization.KeySerializationEncryption) -> bytes:
        """Give its key, encrypted."""
        made: bytes = self.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
        return made


def make(  # noqa: PLR0913 - everything that can be bad
    name: str,
    by: Made | None = None,
    *,
    names: Sequence[str] = (),
    authority: bool = False,
    days: tuple[int, int] = (-10, 80),
    key: object = None,
    purposes: Sequence[x509.ObjectIdentifier] = (ExtendedKeyUsageOID.SERVER_AUTH,),
    path_length: int | None = None,
    issuer_at: str = "",
) -> Made:
    """Make a certificate signed by another, or by itself, valid from and to so many days from NOW."""
    own: Any = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=path_length), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(general_name, names))), critical=False)
    if purposes and not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=False)
    if issuer_at:
        place = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(issuer_at)
        )
        builder = builder.add_extension(x509.AuthorityInformationAccess([place]), critical=False)
    signer = by.key if by else own
    return Made(builder.sign(signer, hashes.SHA256()), own)


ROOT = make("Root", authority=True, days=(-100, 1000))
MIDDLE = make("Middle", ROOT, authority=True, days=(-100, 500))
NAME = "tenders.example.org"
SERVER = make(NAME, MIDDLE, names=[NAME])
