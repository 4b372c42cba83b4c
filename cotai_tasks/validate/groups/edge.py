"""Security of the way in: certificate, headers, rate limits, logins."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cryptography import x509

from cotai_tasks.console import count
from cotai_tasks.validate.check import Severity, SkipCheck, check, failed, judged, passed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cotai_tasks.validate.check import Outcome
    from cotai_tasks.validate.subject import Subject

HEADERS = {
    "strict-transport-security": "max-age=63072000",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "strict-origin-when-cross-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
"""What stands on every answer, errors too."""
API_POLICY = "default-src 'none'; frame-ancestors 'none'"
DAYS = 20
"""That a certificate must still be valid: renewal begins at 30."""

_BURST = 60
"""Requests at once: three times what the API's limit lets through."""
_STEADY = 20
_PACE = 0.2
"""Seconds between two of them: half of what the limit allows."""

DEFAULTS = ("admin:admin", "admin:admin-development", "admin:password", "admin:changeme", "cotai:cotai", "root:root")
"""Logins that people leave as they found them."""
_PAGES = ("/metrics/", "/flower/")

_OK, _UNAUTHORIZED, _MISSING, _TOO_MANY, _FAULTS = 200, 401, 404, 429, 500


@check(
    "SEC-12",
    "The certificate is valid for some time, and for the name that users type",
    "> 20 days",
    Severity.MAJOR,
    envs=("prod",),
)
def certificate_lasts(subject: Subject) -> Outcome:
    """Take the certificate that Nginx shows."""
    told = subject.probe("certificate", {"host": "nginx", "port": 8443, "name": _name(subject)}, network="edge")
    return judge_certificate(told["pem"], _name(subject), datetime.now(UTC))


def judge_certificate(pem: str, name: str, now: datetime) -> Outcome:
    """Judge a certificate (PEM) for a name."""
    certificate = x509.load_pem_x509_certificate(pem.encode())
    days = (certificate.not_valid_after_utc - now).days
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    known = [*names.get_values_for_type(x509.DNSName)]
    faults = [] if days > DAYS else [f"it ends on {certificate.not_valid_after_utc:%Y-%m-%d}"]
    if name not in known and f"*.{name.partition('.')[2]}" not in known:
        faults.append(f"it is for {', '.join(known)}, not for {name}")
    return judged(faults, f"{days} days left", cure="inv security.renew --force.")


@check(
    "SEC-13",
    "Every answer carries the security headers, errors too",
    "exact, each once",
    Severity.MAJOR,
    envs=("prod",),
)
def headers_are_exact(subject: Subject) -> Outcome:
    """Compare the headers of a page, of one that is missing, and of one that nothing answers."""
    paths = ("/health", "/api/there-is-no-such-page", "/monitoring/", "/")
    answers = _ask(subject, [{"path": path} for path in paths], network="probe")
    return judge_headers(dict(zip(paths, answers, strict=True)))


def judge_headers(answers: Mapping[str, Mapping[str, Any]]) -> Outcome:
    """Judge the headers of answers by their path."""
    faults, seen = [], []
    for path, answer in answers.items():
        headers = answer["headers"]
        seen.append(f"{answer['status']}")
        if not answer["status"]:
            faults.append(f"{path}: {answer.get('fault', 'no answer')}")
            continue
        faults += [
            f"{path} ({answer['status']}): {name}: {headers.get(name, 'missing')}"
            for name, value in HEADERS.items()
            if headers.get(name) != value
        ]
        policy = headers.get("content-security-policy", "")
        api = path.startswith(("/api/", "/health"))
        if policy != API_POLICY if api else "frame-ancestors 'none'" not in policy:
            faults.append(f"{path} ({answer['status']}): content-security-policy: {policy or 'missing'}")
        if any(digit in headers.get("server", "") for digit in "0123456789"):
            faults.append(f"{path}: the server tells its version: {headers['server']}")
    if not any(answer["status"] == _MISSING for answer in answers.values()):
        faults.append("no error was seen: nothing is proved for them")
    return judged(
        faults,
        f"answers {', '.join(seen)}",
        cure="nginx/snippets/headers.conf: a location of yours has an add_header of its own?",
    )


@check(
    "SEC-14",
    "A burst is braked, and who asks steadily is not",
    "429 in the burst, none at 5 r/s",
    Severity.MAJOR,
    envs=("prod",),
    alone=True,
)
def bursts_are_braked(subject: Subject) -> Outcome:
    """Ask sixty times at once, wait, then twenty times slowly; from the network that is counted."""
    spec = {
        "url": "https://nginx:8443/api/there-is-no-such-page",
        "name": _name(subject),
        "burst": _BURST,
        "steady": _STEADY,
        "pace": _PACE,
    }
    told = subject.probe("burst", spec, network="edge")
    return judge_limits(told["burst"], told["steady"])


def judge_limits(burst: Sequence[int], steady: Sequence[int]) -> Outcome:
    """Judge the statuses of both."""
    braked, disturbed = burst.count(_TOO_MANY), steady.count(_TOO_MANY)
    faults = [] if braked else [f"{len(burst)} requests at once, and none was refused"]
    if disturbed:
        faults.append(f"{disturbed} of {len(steady)} steady requests were refused")
    if not burst or not steady or 0 in steady:
        faults.append("not every request was answered")
    figure = f"{braked} of {len(burst)} at once refused, {disturbed} of {len(steady)} steady ones"
    return judged(faults, figure, cure="nginx/templates/limits.conf.template; is limit_req in your own route?")


@check(
    "SEC-15", "Nobody gets in with a password that was never changed", "401 for each", Severity.BLOCKER, envs=("prod",)
)
def default_passwords_are_refused(subject: Subject) -> Outcome:
    """Try well-known logins on the operators' pages; the right one is taken."""
    variables = subject.settings.variables
    right = f"{variables.ADMIN_USER}:{variables.ADMIN_PASSWORD.get_secret_value()}"
    if right.endswith(":"):
        raise SkipCheck("the admin's password is not known here: COTAI_SECRETS has none")
    pages = [page for page in _PAGES if page.strip("/") in subject.stack.services or page == "/metrics/"]
    tries = [{"path": page, "login": login} for page in pages for login in DEFAULTS]
    answers = _ask(subject, [*tries, *({"path": page, "login": right} for page in pages)], network="probe")
    refused = {f"{one['path']} {one['login']}": answer["status"] for one, answer in zip(tries, answers, strict=False)}
    return judge_logins(
        refused, {page: answer["status"] for page, answer in zip(pages, answers[len(tries) :], strict=True)}
    )


def judge_logins(defaults: Mapping[str, int], right: Mapping[str, int]) -> Outcome:
    """Judge the statuses that well-known logins got, and those that the right one got."""
    faults = [f"{name}: {status}" for name, status in defaults.items() if status != _UNAUTHORIZED]
    unsure = [
        f"{page}: the right login gets {status}" for page, status in right.items() if status in {0, _UNAUTHORIZED}
    ]
    if not defaults or unsure:
        return failed("nothing is proved", *faults, *unsure, cure="inv security.secrets --check; inv monitor.health.")
    if faults:
        return failed(
            f"{len(faults)} of {len(defaults)} let in", *faults, cure="inv security.secrets --rotate ADMIN_PASSWORD."
        )
    return passed(f"{count(len(defaults), 'login')} refused, the right one taken")


def _name(subject: Subject) -> str:
    return subject.settings.server_names[0]


def _ask(subject: Subject, pages: Sequence[Mapping[str, str]], *, network: str) -> list[dict[str, Any]]:
    """Ask Nginx for pages, by the name that users type."""
    subject.running("nginx")
    spec = [{"url": f"https://nginx:8443{one['path']}", "name": _name(subject), **one} for one in pages]
    found: list[dict[str, Any]] = subject.probe("ask", spec, network=network)
    return found
