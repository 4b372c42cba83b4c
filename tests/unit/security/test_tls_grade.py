"""A mark for a server's TLS: every rule, on what sslyze tells of a good server with one thing changed."""

from __future__ import annotations

import copy
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from cotai_tasks.errors import CertificateError, FindingsError, UsageError
from cotai_tasks.security.scanning import tls
from cotai_tasks.security.scanning.grade import (
    HSTS,
    find_faults,
    mark_of,
    read_deviations,
    read_protocols,
    unfinished,
)
from cotai_tasks.security.scanning.tls import Grade, grade_tls, published, read_profile, show_grade
from cotai_tasks.security.scanning.tools import ScannerError, Tool
from cotai_tasks.testing import FakeEngine, RecordingConsole, container
from tests.unit.deploy.stacks import settings as development
from tests.unit.security.production import settings

if TYPE_CHECKING:
    from collections.abc import Sequence

NOW = datetime(2026, 11, 27, tzinfo=UTC)
GOOD_SUITE = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"


def suites(*names: str) -> dict[str, Any]:
    return {"accepted_cipher_suites": [{"cipher_suite": {"name": name}} for name in names]}


GOOD: dict[str, Any] = {
    key: {"status": "COMPLETED", "result": result}
    for key, result in {
        "ssl_2_0_cipher_suites": suites(),
        "ssl_3_0_cipher_suites": suites(),
        "tls_1_0_cipher_suites": suites(),
        "tls_1_1_cipher_suites": suites(),
        "tls_1_2_cipher_suites": suites(GOOD_SUITE),
        "tls_1_3_cipher_suites": suites("TLS_AES_256_GCM_SHA384"),
        "certificate_info": {
            "certificate_deployments": [
                {
                    "received_certificate_chain": [{"not_valid_after": "2027-02-25T12:11:09Z"}],
                    "path_validation_results": [
                        {
                            "was_validation_successful": True,
                            "validation_error": None,
                            "trust_store": {"path": "moz.pem"},
                        }
                    ],
                }
            ]
        },
        "heartbleed": {"is_vulnerable_to_heartbleed": False},
        "openssl_ccs_injection": {"is_vulnerable_to_ccs_injection": False},
        "robot": {"robot_result": "NOT_VULNERABLE_RSA_NOT_SUPPORTED"},
        "tls_compression": {"supports_compression": False},
        "session_renegotiation": {
            "supports_secure_renegotiation": True,
            "is_vulnerable_to_client_renegotiation_dos": False,
        },
        "http_headers": {"strict_transport_security_header": {"max_age": HSTS}},
    }.items()
}


def changed(key: str, **fields: object) -> dict[str, Any]:
    made = copy.deepcopy(GOOD)
    made[key]["result"] |= fields
    return made


def certificate(**check: object) -> dict[str, Any]:
    made = copy.deepcopy(GOOD)
    found = made["certificate_info"]["result"]["certificate_deployments"][0]
    found["path_validation_results"][0] |= check
    return made


def ending(when: str) -> dict[str, Any]:
    made = copy.deepcopy(GOOD)
    found = made["certificate_info"]["result"]["certificate_deployments"][0]
    found["received_certificate_chain"][0]["not_valid_after"] = when
    return made


def test_a_good_server() -> None:
    """Nothing keeps it from the best mark."""
    assert find_faults(GOOD, [], now=NOW) == []
    assert mark_of([]) == "A+"
    assert read_protocols(GOOD) == ("TLS 1.2", "TLS 1.3")
    assert unfinished(GOOD) == []


@pytest.mark.parametrize(
    ("result", "mark", "text"),
    [
        (changed("ssl_2_0_cipher_suites", **suites("SSL_CK_DES_64_CBC_WITH_MD5")), "F", "SSL 2.0 is accepted"),
        (changed("ssl_3_0_cipher_suites", **suites("TLS_RSA_WITH_AES_128_CBC_SHA")), "F", "SSL 3.0 is accepted"),
        (changed("tls_1_0_cipher_suites", **suites("TLS_RSA_WITH_AES_128_CBC_SHA")), "C", "TLS 1.0 is accepted"),
        (changed("tls_1_1_cipher_suites", **suites("TLS_RSA_WITH_AES_128_CBC_SHA")), "C", "TLS 1.1 is accepted"),
        (changed("tls_1_2_cipher_suites", **suites("TLS_RSA_WITH_RC4_128_SHA")), "F", "TLS_RSA_WITH_RC4_128_SHA"),
        (changed("tls_1_2_cipher_suites", **suites("TLS_RSA_WITH_NULL_SHA")), "F", "TLS_RSA_WITH_NULL_SHA"),
        (changed("tls_1_2_cipher_suites", **suites("TLS_DH_anon_WITH_AES_128_GCM_SHA256")), "F", "TLS_DH_anon"),
        (changed("tls_1_2_cipher_suites", **suites("TLS_RSA_EXPORT_WITH_DES40_CBC_SHA")), "F", "TLS_RSA_EXPORT"),
        (changed("tls_1_2_cipher_suites", **suites("TLS_RSA_WITH_3DES_EDE_CBC_SHA")), "D", "TLS_RSA_WITH_3DES"),
        (changed("heartbleed", is_vulnerable_to_heartbleed=True), "F", "Heartbleed"),
        (changed("openssl_ccs_injection", is_vulnerable_to_ccs_injection=True), "F", "CCS injection"),
        (changed("robot", robot_result="VULNERABLE_WEAK_ORACLE"), "F", "ROBOT"),
        (changed("tls_compression", supports_compression=True), "D", "TLS compression"),
        (changed("session_renegotiation", supports_secure_renegotiation=False), "D", "renegotiation is not secure"),
        (changed("session_renegotiation", is_vulnerable_to_client_renegotiation_dos=True), "D", "clients can"),
        (ending("2026-11-26T00:00:00Z"), "F", "the certificate ended on 2026-11-26"),
        (ending("2026-12-10T00:00:00Z"), "A", "the certificate ends in 13 days"),
        (certificate(was_validation_successful=False, validation_error="no anchor"), "F", "browsers refuse the"),
        (changed("certificate_info", certificate_deployments=[]), "F", "it shows no certificate"),
        (changed("http_headers", strict_transport_security_header=None), "A", "Strict-Transport-Security is missing"),
        (changed("http_headers", strict_transport_security_header={"max_age": 60}), "A", "is 60 s; two years"),
    ],
)
def test_each_rule_can_fail(result: dict[str, Any], mark: str, text: str) -> None:
    """One thing is wrong, and decides."""
    faults = find_faults(result, [], now=NOW)
    assert mark_of(faults) == mark
    assert any(text in fault.text and fault.mark == mark for fault in faults)


def test_no_newer_protocol() -> None:
    """A server that speaks neither 1.2 nor 1.3."""
    old = changed("tls_1_2_cipher_suites", **suites())
    old["tls_1_3_cipher_suites"]["result"] = suites()
    assert [(one.mark, one.text) for one in find_faults(old, [], now=NOW)] == [
        ("F", "neither TLS 1.2 nor TLS 1.3 is spoken")
    ]


def test_what_differs_from_the_profile() -> None:
    """It costs a B; where something worse is known, it is not told twice. An authority of one's own is no A+."""
    text = (
        "    OK - nothing\n COMPLIANCE AGAINST TLS CONFIGURATION\n    localhost: FAILED - Not compliant.\n"
        "        * ciphers: x is supported\n        * tls_curves: y\n"
    )
    deviations = read_deviations(text)
    assert deviations == ["ciphers: x is supported", "tls_curves: y"]
    assert [one.mark for one in find_faults(GOOD, deviations, now=NOW)] == ["B", "B"]
    bad = changed("tls_compression", supports_compression=True)
    assert [one.mark for one in find_faults(bad, deviations, now=NOW, private=True)] == ["D", "A"]


def test_a_look_that_came_to_no_end() -> None:
    """Without it there is no mark: what nobody looked at is not refused either."""
    broken = GOOD | {"tls_1_0_cipher_suites": {"status": "ERROR", "result": None}}
    assert unfinished(broken) == ["tls_1_0_cipher_suites"]
    assert len(unfinished({})) == 7


# --- The procedure ----------------------------------------------------------------------------------------------------


class Sslyze(Tool):
    """Sslyze as it answers."""

    def run(self, arguments: Sequence[str], *, directory: Path, codes: Sequence[int] = (0,)) -> str:  # noqa: ARG002
        assert directory.is_dir()
        asked.append(list(arguments))
        if "told" not in answer:
            raise ScannerError("sslyze 6.3.1 ended with 2: usage")
        told = next(one for one in arguments if one.startswith("--json_out="))
        Path(told.removeprefix("--json_out=")).write_text(json.dumps(answer["told"]))
        return str(answer["text"])


asked: list[list[str]] = []
answer: dict[str, Any] = {}


@pytest.fixture(autouse=True)
def _sslyze(monkeypatch: pytest.MonkeyPatch) -> None:
    asked.clear()
    answer.clear()
    answer.update(told={"server_scan_results": [{"scan_result": GOOD}]}, text="OK")
    monkeypatch.setattr(tls, "tool", lambda name: Sslyze(name, Path(name), "6.3.1", "PATH"))


def running(*ports: str) -> FakeEngine:
    return FakeEngine(found_containers=[container("nginx", project="cotai-prod", ports=ports)])


def test_productions_nginx_is_asked(tmp_path: Path) -> None:
    """By its name, at the address where it is published, against the profile."""
    engine = running("0.0.0.0:80", "0.0.0.0:443")
    grade = grade_tls(settings=settings(tmp_path), engine=engine, now=NOW)
    name = "cotai.example.org"
    protocols = ("TLS 1.2", "TLS 1.3")
    assert grade == Grade(name, "127.0.0.1:443", "intermediate", "A+", (), "sslyze 6.3.1", protocols, compliant=True)
    (arguments,) = asked
    assert arguments[:2] == ["--mozilla_config=intermediate", "--http_headers"]
    assert arguments[-1] == f"{name}:443{{127.0.0.1}}"


def test_an_authority_of_ones_own(tmp_path: Path) -> None:
    """It is trusted for the look, and told."""
    (tmp_path / "env/secrets").mkdir(parents=True)
    authority = tmp_path / "env/secrets/local-ca.pem"
    authority.write_text("x")
    only = certificate(trust_store={"path": str(authority)})
    answer["told"] = {"server_scan_results": [{"scan_result": only}]}
    grade = grade_tls(settings=settings(tmp_path), engine=running("127.0.0.1:443"), now=NOW)
    assert (grade.mark, len(grade.faults)) == ("A", 1)
    assert f"--certinfo_ca_file={authority}" in asked[0]


def test_another_server(tmp_path: Path) -> None:
    """As DNS has it, at 443 or another port, without an authority of ours."""
    for host, target in (("a.example.org", "a.example.org:443"), ("b.example.org:8443", "b.example.org:8443")):
        grade = grade_tls(settings=settings(tmp_path), engine=FakeEngine(), host=host, profile="modern", now=NOW)
        assert (grade.address, asked[-1][-1], asked[-1][0]) == (target, target, "--mozilla_config=modern")
    with pytest.raises(UsageError, match="no such port"):
        grade_tls(settings=settings(tmp_path), engine=FakeEngine(), host="b.example.org:https")


def test_nothing_to_look_at(tmp_path: Path) -> None:
    """Development has no TLS; a stopped Nginx, and one that does not answer, are told."""
    with pytest.raises(UsageError, match="the development stack has no TLS"):
        grade_tls(settings=development(), engine=FakeEngine())
    with pytest.raises(CertificateError, match="cotai-prod has no Nginx that is published at port 443"):
        grade_tls(settings=settings(tmp_path), engine=running("127.0.0.1:8080"))
    answer["told"] = {"server_scan_results": [{"scan_result": None}]}
    with pytest.raises(CertificateError, match=r"nobody speaks TLS at cotai\.example\.org:443"):
        grade_tls(settings=settings(tmp_path), engine=running("127.0.0.1:443"))
    answer["told"] = {"server_scan_results": [{"scan_result": GOOD | {"certificate_info": None}}]}
    with pytest.raises(CertificateError, match=r"could not finish with .*: certificate_info"):
        grade_tls(settings=settings(tmp_path), engine=running("127.0.0.1:443"))
    answer.clear()
    with pytest.raises(CertificateError) as caught:
        grade_tls(settings=settings(tmp_path), engine=running("127.0.0.1:443"))
    assert caught.value.evidence == "sslyze 6.3.1 ended with 2: usage"


def test_where_nginx_is_published() -> None:
    """Everywhere means here too."""
    for place, address in (
        ("0.0.0.0:443", "127.0.0.1"),
        (":::443", "127.0.0.1"),
        ("192.0.2.1:443", "192.0.2.1"),
        ("0.0.0.0:80", ""),
    ):
        assert published([container("nginx", ports=(place,))], 443) == address
    assert published([container("nginx", ports=("0.0.0.0:443",), state="exited")], 443) == ""
    assert published([container("backend", ports=("0.0.0.0:443",))], 443) == ""


def test_a_mark_is_shown() -> None:
    """With what keeps it from a better one; what is not the profile ends with 18."""
    console = RecordingConsole()
    good = Grade(
        "a.example.org",
        "127.0.0.1:443",
        "intermediate",
        "A",
        ("A: soon",),
        "sslyze 6.3.1",
        ("TLS 1.3",),
        compliant=True,
    )
    show_grade(good, as_json=False, console=console)
    assert console.text().splitlines() == [
        "A  a.example.org at 127.0.0.1:443: TLS 1.3",
        "    A: soon",
        "sslyze 6.3.1: Mozilla's profile intermediate is kept",
    ]
    bad = Grade("a.example.org", "127.0.0.1:443", "modern", "B", (), "sslyze 6.3.1", compliant=False)
    with pytest.raises(FindingsError, match=r"the TLS of a\.example\.org is not Mozilla's modern: B"):
        show_grade(bad, as_json=True, console=console)
    assert '"mark": "B"' in console.text()
    assert read_profile("modern") == "modern"
    with pytest.raises(UsageError):
        read_profile("old")
