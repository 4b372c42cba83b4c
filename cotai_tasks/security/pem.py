"""Reading PEM files: what is in them, in words that a person can act on."""

from __future__ import annotations

import re
import ssl
import warnings
from ipaddress import ip_address
from typing import TYPE_CHECKING

import certifi
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import NameOID

from cotai_tasks.errors import Finding

if TYPE_CHECKING:
    from pathlib import Path

CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
_KEY = re.compile(rb"-----BEGIN ([A-Z ]*PRIVATE KEY)-----.+?-----END \1-----", re.DOTALL)
FULL_CHAIN = "Put the server's certificate first, then each authority that signed the one before (often fullchain.pem)."


def system_anchors(extra: Path | None = None) -> list[x509.Certificate]:
    """Give the authorities that this host trusts (SSL_CERT_FILE included), and those of one more bundle."""
    own = ssl.get_default_verify_paths().cafile or certifi.where()
    with open(own, "rb") as bundle:  # noqa: PTH123 - a path that OpenSSL names
        anchors = read_certificates(bundle.read())
    return [*anchors, *(read_certificates(extra.read_bytes()) if extra else ())]


def read_certificates(pem: bytes) -> list[x509.Certificate]:
    """Give every certificate of a PEM text; one that cannot be read is passed over."""
    found = []
    with warnings.catch_warnings():  # a host may trust roots from before today's rules: that is for it to know
        warnings.simplefilter("ignore", CryptographyDeprecationWarning)
        for block in CERTIFICATE.findall(pem):
            try:
                found.append(x509.load_pem_x509_certificate(block))
            except ValueError:
                continue
    return found


def private_key(pem: bytes) -> bytes:
    """Give the private key alone out of a PEM text that `judge` found nothing wrong with."""
    key = serialization.load_pem_private_key(key_block(pem), password=None)
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def common_name(name: x509.Name) -> str:
    """Give what people call a subject or an issuer."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME) or name.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else name.rfc4514_string() or "(without a name)"


def server_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Give the DNS names and the addresses that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    return (*names.get_values_for_type(x509.DNSName), *map(str, names.get_values_for_type(x509.IPAddress)))


def covers(pattern: str, name: str) -> bool:
    """Tell whether a name of a certificate stands for a host: a star stands for exactly the first label (RFC 6125)."""
    if is_address(name):
        return is_address(pattern) and ip_address(pattern) == ip_address(name)
    first, _, rest = name.lower().rstrip(".").partition(".")
    return pattern.lower() in ({f"{first}.{rest}", f"*.{rest}"} if rest else {first})


def read_chain(pem: bytes, where: str) -> tuple[list[x509.Certificate], list[Finding]]:
    """Give the certificates of a file in their order, and what cannot be read of it."""
    blocks = CERTIFICATE.findall(pem)
    if not blocks:
        return [], [Finding(where, f"no certificate: it holds {kind_of(pem)}", _cure_for(pem))]
    chain, faults = [], []
    for number, block in enumerate(blocks, 1):
        try:
            chain.append(x509.load_pem_x509_certificate(block))
        except ValueError:
            faults.append(
                Finding(where, f"certificate {number} is damaged", "Copy the file again, whole and unchanged.")
            )
    return chain, faults


def kind_of(pem: bytes) -> str:
    """Say what a file holds that should have held something else."""
    if not pem.strip():
        return "nothing"
    if _KEY.search(pem):
        return "a private key"
    if CERTIFICATE.search(pem):
        return "a certificate"
    if b"BEGIN CERTIFICATE REQUEST" in pem or b"BEGIN NEW CERTIFICATE REQUEST" in pem:
        return "a request for a certificate"
    return "binary data (DER or PKCS #12)" if pem[:1] == b"\x30" else "something else"


def _cure_for(pem: bytes) -> str:
    match kind_of(pem):
        case "a private key":
            return "--cert takes the chain and --key the private key: are they swapped?"
        case "a request for a certificate":
            return "Send it to an authority, and bring what comes back."
        case "binary data (DER or PKCS #12)":
            return "Make PEM of it: openssl x509 -inform der -in FILE, or openssl pkcs12 -in FILE -nodes."
    return "Name the PEM file that begins with -----BEGIN CERTIFICATE-----."


def key_block(pem: bytes) -> bytes:
    """Give the key's own block: files of `openssl ecparam` begin with another."""
    found = _KEY.search(pem)
    return found.group(0) if found else b""


def is_address(name: str) -> bool:
    """Tell an IP address from a host name."""
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
