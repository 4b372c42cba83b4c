"""Judging a chain: every kind of badness has its own words, and what is good passes in silence."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from cotai_tasks.errors import Finding
from cotai_tasks.security.certificates import make_request
from cotai_tasks.security.chain import Judgement, judge
from cotai_tasks.security.pem import covers, private_key, read_certificates, system_anchors
from tests.unit.security.chains import MIDDLE, NAME, NOW, ROOT, SERVER, Made, make

GOOD = SERVER.pem + MIDDLE.pem
FULL_CHAIN = "Put the server's certificate first, then each authority that signed the one before (often fullchain.pem)."


def judged(
    chain: bytes, key: bytes = SERVER.key_pem, names: tuple[str, ...] = (NAME,), anchor: Made = ROOT
) -> Judgement:
    return judge(chain, key, names=names, anchors=[anchor.certificate], now=NOW, files=("chain.pem", "key.pem"))


def one_fault(chain: bytes, key: bytes = SERVER.key_pem, **options: object) -> Finding:
    judgement = judged(chain, key, **options)  # type: ignore[arg-type]
    (fault,) = judgement.faults
    return fault


@pytest.mark.parametrize("chain", [GOOD, GOOD + ROOT.pem, b"subject=CN\n" + GOOD.replace(b"\n", b"\r\n")])
def test_a_whole_chain_passes(chain: bytes) -> None:
    """With or without the root, with comments and line ends of another system."""
    assert judged(chain) == Judgement(())


def test_a_cross_signed_chain_passes() -> None:
    """A chain may go on above what this host trusts: older clients trust its end."""
    older = make("Older root", authority=True, days=(-900, 100))
    crossed = make("Root", older, authority=True, days=(-900, 100), key=ROOT.key)
    assert judged(GOOD + crossed.pem) == Judgement(())


def test_another_key() -> None:
    """The most common mistake at three in the morning."""
    assert one_fault(GOOD, MIDDLE.key_pem) == Finding(
        "key.pem",
        "another certificate's key, not that of chain.pem",
        f"Bring the key that the request for {NAME} was made with.",
    )


def test_a_key_with_a_passphrase() -> None:
    """Nginx would wait for somebody to type it."""
    sealed = SERVER.sealed(serialization.BestAvailableEncryption(b"secret"))
    fault = one_fault(GOOD, sealed)
    assert (fault.where, fault.fault) == ("key.pem", "encrypted with a passphrase")
    assert "openssl pkey -in FILE" in fault.cure


@pytest.mark.parametrize(
    ("pem", "fault"),
    [
        (b"", "no private key: it holds nothing"),
        (GOOD, "no private key: it holds a certificate"),
        (SERVER.key_pem[:60] + SERVER.key_pem[90:], "the private key is damaged"),
    ],
)
def test_a_file_that_is_no_key(pem: bytes, fault: str) -> None:
    """It is said what it is instead."""
    assert one_fault(GOOD, pem).fault == fault


@pytest.mark.parametrize(
    ("pem", "fault", "cure"),
    [
        (b" \n", "no certificate: it holds nothing", "Name the PEM file"),
        (SERVER.key_pem, "no certificate: it holds a private key", "are they swapped?"),
        (make_request([NAME])[1], "no certificate: it holds a request for a certificate", "Send it to an authority"),
        (b"\x30\x82", "no certificate: it holds binary data (DER or PKCS #12)", "openssl x509 -inform der"),
        (b"hello", "no certificate: it holds something else", "Name the PEM file"),
        (SERVER.pem[:80] + SERVER.pem[120:], "certificate 1 is damaged", "Copy the file again"),
    ],
)
def test_a_file_that_is_no_certificate(pem: bytes, fault: str, cure: str) -> None:
    """It is said what it is instead, and how to make one of it."""
    found = one_fault(pem)
    assert found.fault == fault
    assert cure in found.cure


def test_expired_and_not_yet_valid() -> None:
    """Each certificate of the chain, by its name and to the minute."""
    old = make(NAME, MIDDLE, names=[NAME], days=(-90, -1))
    assert one_fault(old.pem + MIDDLE.pem, old.key_pem).fault == f"{NAME} expired on 2026-05-31 12:00 UTC"
    young = make(NAME, MIDDLE, names=[NAME], days=(1, 80))
    assert (
        one_fault(young.pem + MIDDLE.pem, young.key_pem).fault == f"{NAME} is valid only from 2026-06-02 12:00 UTC on"
    )
    ended = make("Middle", ROOT, authority=True, days=(-90, -1), key=MIDDLE.key)
    assert one_fault(SERVER.pem + ended.pem).fault == "Middle expired on 2026-05-31 12:00 UTC"


def test_other_names() -> None:
    """Which of SERVER_NAME are missing, and which there are."""
    assert one_fault(GOOD, names=(NAME, "www.example.org", "192.0.2.7")) == Finding(
        "chain.pem",
        f"not for www.example.org, 192.0.2.7, only for {NAME}",
        "Have it issued for every name in SERVER_NAME, or correct SERVER_NAME.",
    )
    nameless = make(NAME, MIDDLE)
    assert one_fault(nameless.pem + MIDDLE.pem, nameless.key_pem).fault == "no alternative names (subjectAltName)"


@pytest.mark.parametrize(
    ("pattern", "name", "covered"),
    [
        ("a.example.org", "A.example.org.", True),
        ("*.example.org", "a.example.org", True),
        ("*.example.org", "a.b.example.org", False),
        ("*.example.org", "example.org", False),
        ("localhost", "localhost", True),
        ("*.", "localhost", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("*.0.2.7", "192.0.2.7", False),
        ("2001:db8::1", "2001:0db8:0::1", True),
    ],
)
def test_what_a_star_stands_for(pattern: str, name: str, *, covered: bool) -> None:
    """Exactly the first label, and never part of an address."""
    assert covers(pattern, name) is covered


def test_an_incomplete_chain() -> None:
    """Who is missing, and where that certificate can be had."""
    assert one_fault(SERVER.pem).fault == f"incomplete: Middle, who signed {NAME}, is missing"
    told = make(NAME, MIDDLE, names=[NAME], issuer_at="http://ca.example.org/middle.crt")
    assert one_fault(told.pem, told.key_pem).cure.endswith("it is at http://ca.example.org/middle.crt")


def test_a_root_that_nobody_trusts() -> None:
    """A company's own, which this host has not been told of."""
    other = make("Corporate root", authority=True)
    assert one_fault(GOOD + ROOT.pem, anchor=other) == Finding(
        "chain.pem",
        "it ends at Root, which this host does not trust",
        "If it is your company's own, name its file in BUILD_CA_FILE; else bring one of a public authority.",
    )


def test_a_wrong_order() -> None:
    """Some clients mend it, others refuse: the right order is told."""
    assert one_fault(MIDDLE.pem + SERVER.pem) == Finding("chain.pem", "wrong order", f"Put {NAME}, then Middle.")


def test_what_does_not_belong() -> None:
    """A stranger's authority, the same one twice, two servers, none at all."""
    stranger = make("Stranger", authority=True)
    assert one_fault(GOOD + stranger.pem).fault == "Stranger signed none of the others"
    assert one_fault(GOOD + MIDDLE.pem).fault == "a certificate stands in it twice"
    second = make("b.example.org", MIDDLE, names=["b.example.org"])
    assert one_fault(GOOD + second.pem).fault == f"several servers' certificates ({NAME}, b.example.org)"
    assert one_fault(MIDDLE.pem + ROOT.pem) == Finding(
        "chain.pem", "only authorities' certificates (Middle first), the server's own is missing", FULL_CHAIN
    )


def test_a_signature_that_only_looks_right() -> None:
    """An authority of the same name signed nothing here."""
    false = make("Middle", ROOT, authority=True)
    faults = [one.fault for one in judged(SERVER.pem + false.pem).faults]
    assert faults == ["Middle signed none of the others", f"incomplete: Middle, who signed {NAME}, is missing"]


def test_weak_keys_and_signatures() -> None:
    """What can be broken or forged, and what browsers do not take."""
    small = make(NAME, MIDDLE, names=[NAME], key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - what is tried
    assert one_fault(small.pem + MIDDLE.pem, small.key_pem).fault == f"{NAME} has a weak key (RSA 1024)"
    curve = make(NAME, MIDDLE, names=[NAME], key=ec.generate_private_key(ec.SECP192R1()))
    assert one_fault(curve.pem + MIDDLE.pem, curve.key_pem).fault == f"{NAME} has a weak key (secp192r1)"
    edwards = make(NAME, MIDDLE, names=[NAME], key=ed25519.Ed25519PrivateKey.generate())
    assert one_fault(edwards.pem + MIDDLE.pem, edwards.key_pem).fault == (
        f"{NAME} has a key that browsers do not take (Ed25519)"
    )


@pytest.mark.parametrize(("number", "name"), [(0x05, "SHA1"), (0x04, "MD5")])
def test_signatures_that_can_be_forged(number: int, name: str) -> None:
    """Nobody makes them any more, so one is made by changing what the certificate says: 1.2.840.113549.1.1.11."""
    middle = make("Middle", ROOT, authority=True, key=rsa.generate_private_key(65537, 2048))
    server = make(NAME, middle, names=[NAME])
    sha256 = bytes.fromhex("2a864886f70d0101")
    der = server.certificate.public_bytes(serialization.Encoding.DER)
    old = x509.load_der_x509_certificate(der.replace(sha256 + b"\x0b", sha256 + bytes([number])))
    fault = one_fault(old.public_bytes(serialization.Encoding.PEM) + middle.pem, server.key_pem)
    assert fault.fault == f"{NAME} is signed with {name}, which can be forged"


def test_a_certificate_that_is_for_no_server() -> None:
    """One that logs in to servers only; without any purpose named it is good for all."""
    client = make(NAME, MIDDLE, names=[NAME], purposes=[ExtendedKeyUsageOID.CLIENT_AUTH])
    assert one_fault(client.pem + MIDDLE.pem, client.key_pem).fault == "not for a server (serverAuth is missing)"
    any_purpose = make(NAME, MIDDLE, names=[NAME], purposes=())
    assert judged(any_purpose.pem + MIDDLE.pem, any_purpose.key_pem) == Judgement(())


def test_what_only_a_client_would_see() -> None:
    """An authority that may sign servers only has signed another authority."""
    root = make("Short root", authority=True, path_length=0)
    middle = make("Middle", root, authority=True, key=MIDDLE.key)
    fault = one_fault(SERVER.pem + middle.pem, anchor=root)
    assert fault.fault.startswith("no client would trust it (")


def test_a_long_life_is_only_a_warning() -> None:
    """It is installed all the same."""
    long = make(NAME, MIDDLE, names=[NAME], days=(-1, 364))
    cure = "90 at most keep a stolen key short-lived, and renewal a habit."
    assert judged(long.pem + MIDDLE.pem, long.key_pem) == Judgement(
        (), (Finding("chain.pem", "it lives 365 days", cure),)
    )


def test_several_faults_are_told_at_once() -> None:
    """Nobody likes to mend one and be told of the next."""
    bad = make(NAME, MIDDLE, names=["other.example.org"], days=(-90, -1))
    wheres = [(one.where, one.fault.split()[0]) for one in judged(bad.pem, MIDDLE.key_pem).faults]
    assert wheres == [("key.pem", "another"), ("chain.pem", NAME), ("chain.pem", "not"), ("chain.pem", "incomplete:")]


def test_a_key_is_taken_out_of_what_surrounds_it() -> None:
    """Files of `openssl ecparam` begin with the curve, others with the certificate."""
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    assert private_key(parameters + SERVER.pem + SERVER.key_pem) == SERVER.key_pem
    assert judged(GOOD, parameters + SERVER.key_pem) == Judgement(())


def test_this_host_trusts_somebody(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The system's authorities, and one more bundle; what cannot be read in it is passed over."""
    extra = tmp_path_factory.mktemp("ca") / "corporate.pem"
    extra.write_bytes(ROOT.pem + b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    assert len(system_anchors()) > 10
    assert system_anchors(extra)[-1] == ROOT.certificate
    assert read_certificates(extra.read_bytes()) == [ROOT.certificate]
