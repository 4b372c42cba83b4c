"""Making certificates: what stands in them, and that OpenSSL's own verification takes them."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509.oid import ExtendedKeyUsageOID

from cotai_tasks.security.certificates import INTERNAL_DAYS, issue, make_authority, make_request
from cotai_tasks.security.pem import common_name, server_names

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_a_server_certificate_says_what_it_is_for() -> None:
    """Names and addresses, ninety days and not a second more, a server and nothing else."""
    authority = make_authority("CotAi local CA cotai", now=NOW)
    names = ("tenders.example.org", "127.0.0.1", "*.example.org", "postgres")
    made = x509.load_pem_x509_certificate(issue(authority, names, days=90, now=NOW).chain_pem)
    signer = x509.load_pem_x509_certificate(authority.certificate_pem)
    made.verify_directly_issued_by(signer)
    assert server_names(made) == ("tenders.example.org", "*.example.org", "postgres", "127.0.0.1")
    assert common_name(made.issuer) == "CotAi local CA cotai"
    assert made.not_valid_before_utc == NOW - timedelta(hours=1)
    assert made.not_valid_after_utc - made.not_valid_before_utc == timedelta(days=90, seconds=-1)
    purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert not made.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    own, above = (one.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value for one in (made, signer))
    known = made.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    assert own.digest != above.digest == known


def test_a_client_certificate_logs_in_as_well() -> None:
    """The MongoDB exporter shows one."""
    authority = make_authority("internal", now=NOW)
    made = x509.load_pem_x509_certificate(issue(authority, ["exporter"], days=30, now=NOW, client=True).chain_pem)
    purposes = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]


def test_nothing_outlives_its_authority() -> None:
    """A certificate of ten years, signed a year later, ends with the authority."""
    authority = make_authority("internal", now=NOW)
    later = NOW + timedelta(days=365)
    made = x509.load_pem_x509_certificate(issue(authority, ["redis"], days=INTERNAL_DAYS, now=later).chain_pem)
    assert made.not_valid_after_utc == x509.load_pem_x509_certificate(authority.certificate_pem).not_valid_after_utc


def test_serial_numbers_and_keys_are_never_the_same() -> None:
    """Two of one name are two."""
    authority = make_authority("internal", now=NOW)
    first, second = (issue(authority, ["redis"], days=30, now=NOW) for _ in range(2))
    assert first.key_pem != second.key_pem
    serials = {x509.load_pem_x509_certificate(one.chain_pem).serial_number for one in (first, second)}
    assert len(serials) == 2


def test_keys_do_not_show() -> None:
    """A certificate that is printed by mistake shows no key."""
    authority = make_authority("internal", now=NOW)
    assert "PRIVATE" not in f"{authority!r} {issue(authority, ['redis'], days=30, now=NOW)!r}"


def test_a_request_carries_the_names() -> None:
    """What an ACME server signs: names and addresses, and a key that is new."""
    key_pem, request_pem = make_request(["tenders.example.org", "192.0.2.7"])
    request = x509.load_pem_x509_csr(request_pem)
    names = request.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(names.get_values_for_type(x509.DNSName)) == ["tenders.example.org"]
    assert [str(one) for one in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7"]
    assert request.public_key() == serialization.load_pem_private_key(key_pem, None).public_key()


def test_openssl_shakes_hands_with_it(tmp_path: Path) -> None:
    """A client that trusts the authority takes the server for its name, and for no other."""
    now = datetime.now(UTC)
    authority = make_authority("CotAi local CA cotai", now=now)
    made = issue(authority, ["tenders.example.org"], days=90, now=now)
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(made.chain_pem)
    key.write_bytes(made.key_pem)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(chain, key)
    client = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    assert handshake(client, server, "tenders.example.org") == ""
    assert "Hostname mismatch" in handshake(client, server, "other.example.org")


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> str:
    """Let two ends talk through memory; give what the client says against it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (near, far, near, far, near):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError as error:
            return str(error)
    return ""
