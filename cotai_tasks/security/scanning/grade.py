"""A mark for what sslyze saw of a server: plain rules, on plain data.

Each fault lets the mark sink to its own; what is left is the worst of them. docs/scanning.md has the table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, get_args

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Profile = Literal["intermediate", "modern"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
Mark = Literal["A+", "A", "B", "C", "D", "F"]
MARKS: tuple[Mark, ...] = get_args(Mark)

HSTS = 63072000
"""Seconds: two years, as Mozilla has it, and as the lists want that browsers carry along."""
_SOON = 20
"""Days before its end from which a certificate is a worry."""

_PROTOCOLS = {
    "ssl_2_0_cipher_suites": "SSL 2.0",
    "ssl_3_0_cipher_suites": "SSL 3.0",
    "tls_1_0_cipher_suites": "TLS 1.0",
    "tls_1_1_cipher_suites": "TLS 1.1",
    "tls_1_2_cipher_suites": "TLS 1.2",
    "tls_1_3_cipher_suites": "TLS 1.3",
}
_BROKEN = re.compile(r"_NULL_|_anon_|_EXPORT|_RC4_|_DES_|_DES40_", re.IGNORECASE)
"""Suites that hide nothing from whoever listens."""
_WEAK = re.compile(r"_3DES_|_IDEA_|_SEED_")


@dataclass(frozen=True)
class Fault:
    """One thing that is not as it should be, and the best mark that it allows."""

    mark: Mark
    text: str


def read_protocols(result: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the protocols that the server speaks."""
    return tuple(name for key, name in _PROTOCOLS.items() if _accepted(result, key))


def find_faults(
    result: Mapping[str, Any], deviations: Sequence[str], *, now: datetime, private: bool = False
) -> list[Fault]:
    """Find everything that keeps a server from an A+, the worst first.

    `result` is sslyze's `scan_result`, `deviations` what it says against Mozilla's profile. `private` says that the
    certificate is trusted by those alone whom somebody told to.
    """
    faults = [*_protocol_faults(result), *_attack_faults(result), *_certificate_faults(result, now)]
    if not any(fault.mark in {"C", "D", "F"} for fault in faults):
        faults += [Fault("B", f"not Mozilla's profile: {text}") for text in deviations]
    if private:
        faults.append(Fault("A", "the certificate is signed by an authority of your own: others are warned"))
    age = _hsts(result)
    if age < HSTS:
        told = f"{age} s" if age else "missing"
        faults.append(Fault("A", f"Strict-Transport-Security is {told}; two years ({HSTS} s) are wanted"))
    return sorted(faults, key=lambda one: -MARKS.index(one.mark))


def mark_of(faults: Sequence[Fault]) -> Mark:
    """Give the mark: the worst of the faults' own, A+ without any."""
    return max((one.mark for one in faults), key=MARKS.index, default="A+")


def read_deviations(text: str) -> list[str]:
    """Read from what sslyze prints where the server differs from Mozilla's profile."""
    _, _, told = text.partition("COMPLIANCE AGAINST")
    return re.findall(r"^ +\* (.+)$", told, re.MULTILINE)


def unfinished(result: Mapping[str, Any]) -> list[str]:
    """Name what sslyze did not look at to the end, without which there is no mark."""
    return [key for key in (*_PROTOCOLS, "certificate_info") if (result.get(key) or {}).get("status") != "COMPLETED"]


def _protocol_faults(result: Mapping[str, Any]) -> Iterator[Fault]:
    spoken = read_protocols(result)
    for name in spoken:
        if name.startswith("SSL"):
            yield Fault("F", f"{name} is accepted")
        elif name in {"TLS 1.0", "TLS 1.1"}:
            yield Fault("C", f"{name} is accepted")
    if not {"TLS 1.2", "TLS 1.3"} & set(spoken):
        yield Fault("F", "neither TLS 1.2 nor TLS 1.3 is spoken")
    suites = sorted({suite for key in _PROTOCOLS for suite in _accepted(result, key)})
    for suite in suites:
        if _BROKEN.search(suite):
            yield Fault("F", f"{suite} is accepted")
        elif _WEAK.search(suite):
            yield Fault("D", f"{suite} is accepted")


def _attack_faults(result: Mapping[str, Any]) -> Iterator[Fault]:
    if _of(result, "heartbleed").get("is_vulnerable_to_heartbleed"):
        yield Fault("F", "Heartbleed: the server tells strangers what is in its memory")
    if _of(result, "openssl_ccs_injection").get("is_vulnerable_to_ccs_injection"):
        yield Fault("F", "CCS injection: who stands between can read along")
    if str(_of(result, "robot").get("robot_result", "")).startswith("VULNERABLE"):
        yield Fault("F", "ROBOT: recorded sessions can be opened")
    if _of(result, "tls_compression").get("supports_compression"):
        yield Fault("D", "TLS compression is on (CRIME)")
    renegotiation = _of(result, "session_renegotiation")
    if renegotiation and not renegotiation.get("supports_secure_renegotiation"):
        yield Fault("D", "renegotiation is not secure")
    if renegotiation.get("is_vulnerable_to_client_renegotiation_dos"):
        yield Fault("D", "clients can have it renegotiate for ever")


def _certificate_faults(result: Mapping[str, Any], now: datetime) -> Iterator[Fault]:
    found = _of(result, "certificate_info").get("certificate_deployments") or ()
    if not found:
        yield Fault("F", "it shows no certificate")
    for one in found:
        ends = datetime.fromisoformat(one["received_certificate_chain"][0]["not_valid_after"])
        checks = one["path_validation_results"]
        if ends < now:
            yield Fault("F", f"the certificate ended on {ends:%Y-%m-%d}")
        elif not any(check["was_validation_successful"] for check in checks):
            why = next(
                (check["validation_error"] for check in checks if check["validation_error"]), "unknown authority"
            )
            yield Fault("F", f"browsers refuse the certificate: {why}")
        elif (left := (ends - now).days) < _SOON:
            yield Fault("A", f"the certificate ends in {left} days")


def _hsts(result: Mapping[str, Any]) -> int:
    header = _of(result, "http_headers").get("strict_transport_security_header") or {}
    return int(header.get("max_age") or 0)


def _of(result: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Give what one of sslyze's looks came to; nothing where it did not come to its end."""
    return (result.get(key) or {}).get("result") or {}


def _accepted(result: Mapping[str, Any], key: str) -> list[str]:
    return [one["cipher_suite"]["name"] for one in _of(result, key).get("accepted_cipher_suites") or ()]
