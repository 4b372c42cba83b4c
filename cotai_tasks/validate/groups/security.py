"""Security of what runs: who a container is, what it may, and where secrets are."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from cotai_tasks.console import count
from cotai_tasks.errors import EngineError
from cotai_tasks.validate.check import Severity, SkipCheck, check, failed, judged, passed
from cotai_tasks.variables import DEVELOPMENT_SECRETS, PRODUCTION_SECRETS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cotai_tasks.facts import Container
    from cotai_tasks.validate.check import Outcome
    from cotai_tasks.validate.subject import Subject

ROOTS = {"cadvisor": "reads the control groups of all containers", "alloy": "reads the engine's logs"}
"""Services that run as root, and why: without a capability, and to read alone."""
DEVELOPMENT_ROOTS = {"ollama": "owns a volume that nobody gives to another user in development"}
WRITABLE = {"redis-commander": "writes its list of servers beside its program, in development alone"}
"""Services whose root takes a write, and why."""
FOLDERS = {"cadvisor", "alloy"}
"""Those that see folders of the host."""

_CAPABILITIES = (
    *("CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP"),
    *("LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER"),
    *("SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE"),
    *("SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP"),
    *("MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF"),
    "CHECKPOINT_RESTORE",
)
"""By the number of their bit, as the kernel's capability.h has them."""

_SHORTEST = 8
"""Letters of a secret that is looked for: a shorter one is found by chance."""
_SIDE_BY_SIDE = 4


@check("SEC-01", "No container runs as root", "0, but those listed", Severity.BLOCKER)
def nobody_is_root(subject: Subject) -> Outcome:
    """Ask the kernel for the user of each container's first process."""
    listed = ROOTS | (DEVELOPMENT_ROOTS if subject.environment == "dev" else {})
    return judge_users({one.service: told["uid"] for one, told in _processes(subject)}, listed)


def judge_users(users: Mapping[str, int], allowed: Mapping[str, str]) -> Outcome:
    """Judge user ids by service; `allowed` says who may be root, and why."""
    faults = [f"{name}: runs as root" for name, uid in users.items() if uid == 0 and name not in allowed]
    listed = [f"{name} is root: it {allowed[name]}" for name, uid in users.items() if uid == 0 and name in allowed]
    if not users:
        faults.append("no container was looked at")
    if faults:
        return failed(f"{len(faults)} of {len(users)}", *faults, cure="Give it a user: in docker/compose.*.yaml.")
    return passed(f"{len(users) - len(listed)} of {len(users)} have a user of their own", *listed)


@check(
    "SEC-02",
    "Capabilities are as declared, privileges cannot grow, system calls are filtered",
    "as declared",
    Severity.BLOCKER,
)
def privileges_are_as_declared(subject: Subject) -> Outcome:
    """Compare what the kernel grants each first process with what the Compose files declare."""
    services = subject.stack.rendered["services"]
    declared = {name: capabilities(one) for name, one in services.items()}
    return judge_privileges({one.name: (declared.get(one.service, set()), told) for one, told in _processes(subject)})


def capabilities(service: Mapping[str, Any]) -> set[str]:
    """Give the capabilities that a service's definition leaves it; raise nothing for those of a default."""
    added = {str(one).removeprefix("CAP_") for one in service.get("cap_add") or ()}
    dropped = {str(one).removeprefix("CAP_") for one in service.get("cap_drop") or ()}
    return added if "ALL" in dropped else {*added, "the engine's default"}


def judge_privileges(processes: Mapping[str, tuple[set[str], Mapping[str, Any]]]) -> Outcome:
    """Judge what was declared for each container, and what the kernel says of it."""
    faults = []
    for name, (declared, told) in processes.items():
        granted = {one for bit, one in enumerate(_CAPABILITIES) if told["effective"] >> bit & 1}
        if "the engine's default" in declared:
            faults.append(f"{name}: its capabilities are not dropped")
        elif extra := granted - declared:
            faults.append(f"{name}: has {', '.join(sorted(extra))}, which nobody declared")
        if not told["no_new_privileges"]:
            faults.append(f"{name}: may gain privileges (no-new-privileges is missing)")
        if not told["seccomp"]:
            faults.append(f"{name}: its system calls are not filtered")
    if not processes:
        faults.append("no container was looked at")
    cure = "cap_drop: [ALL] and no-new-privileges:true in docker/compose.yaml; never seccomp:unconfined."
    return judged(faults, f"{count(len(processes), 'container')}", cure=cure)


@check("SEC-03", "The root filesystem refuses a write", "refused everywhere", Severity.MAJOR)
def roots_are_read_only(subject: Subject) -> Outcome:
    """Try to make a file at the root of each container; where there is no shell, the engine's word is taken."""
    mounted = {one["Id"]: bool(one["HostConfig"]["ReadonlyRootfs"]) for one in subject.inspected}

    def refuses(one: Container) -> tuple[str, bool]:
        return one.name, mounted[one.id] and _refuses(subject, one)

    with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
        tried = dict(pool.map(refuses, [one for one in _running(subject) if one.service not in WRITABLE]))
    return judge_roots(tried, [one.service for one in _running(subject) if one.service in WRITABLE])


def judge_roots(tried: Mapping[str, bool], listed: Sequence[str]) -> Outcome:
    """Judge who refused a write to its root."""
    faults = [f"{name}: a file can be made at its root" for name, refused in tried.items() if not refused]
    if not tried:
        faults.append("no container was tried")
    figure = f"{len(tried) - len(faults)} of {len(tried)} refuse"
    if faults:
        return failed(figure, *faults, cure="read_only: true, and a tmpfs for what it writes.")
    return passed(figure, *(f"{name} {WRITABLE[name]}" for name in listed))


def _refuses(subject: Subject, one: Container) -> bool:
    try:
        subject.within(one, ["sh", "-c", ": >/cotai-was-here && rm /cotai-was-here"])
    except EngineError as error:
        return "Read-only" in error.evidence or "not found" in error.evidence or "no such file" in error.evidence
    return False


@check(
    "SEC-04",
    "No container reaches the engine, a device or the host's own files",
    "0, but those listed",
    Severity.BLOCKER,
)
def nobody_reaches_the_host(subject: Subject) -> Outcome:
    """Look for the engine's socket, devices, privileges and folders of the host."""
    own = (subject.settings.home, subject.settings.app_context, subject.settings.llm_context)
    return judge_reach(subject.inspected, [str(one) for one in own])


def judge_reach(inspected: Sequence[Mapping[str, Any]], own: Sequence[str]) -> Outcome:
    """Judge `docker inspect` of each container; folders below `own` are the project's code and configuration."""
    faults: list[str] = []
    listed: list[str] = []
    for one in inspected:
        service = str((one["Config"]["Labels"] or {}).get("com.docker.compose.service", ""))
        name, host = one["Name"].lstrip("/"), one["HostConfig"]
        binds = [mount for mount in one["Mounts"] if mount["Type"] == "bind"]
        if host["Privileged"]:
            faults.append(f"{name}: is privileged")
        if host.get("Devices"):
            faults.append(f"{name}: has devices of the host")
        faults += [f"{name}: has the engine's socket" for mount in binds if mount["Source"].endswith("docker.sock")]
        wide = [mount for mount in binds if not mount["Source"].startswith(tuple(own))]
        told = [f"{name}: sees {mount['Source']} of the host" for mount in wide if not mount["RW"]]
        (listed if service in FOLDERS else faults).extend(told)
        faults += [f"{name}: writes {mount['Source']} of the host" for mount in binds if mount["RW"]]
    if not inspected:
        faults.append("no container was looked at")
    if faults:
        return failed(f"{len(faults)} ways out", *faults, cure="Take the mount, device or privilege away.")
    return passed(f"{count(len(inspected), 'container')}", *listed)


@check(
    "SEC-06",
    "No secret is in the environment or the command line of a container",
    "0",
    Severity.BLOCKER,
    envs=("prod",),
)
def environments_hold_no_secret(subject: Subject) -> Outcome:
    """Look for each secret's value in what the engine shows of every container."""
    shown = {
        one["Name"].lstrip("/"): json.dumps([one["Config"]["Env"], one["Path"], one["Args"], one["Config"]["Labels"]])
        for one in subject.inspected
    }
    return judge_secrets(shown, _secrets(subject), "NAME_FILE instead of NAME; APP_SECRETS=files.")


def judge_secrets(texts: Mapping[str, str], secrets: Mapping[str, str], cure: str) -> Outcome:
    """Judge whether a secret's value stands in a text; neither is told, only their names."""
    looked = {name: value for name, value in secrets.items() if len(value) >= _SHORTEST}
    faults = [
        f"{place}: holds {name}" for place, text in texts.items() for name, value in looked.items() if value in text
    ]
    if not looked or not texts:
        raise SkipCheck("there is no secret to look for" if texts else "there is nothing to look at")
    figure = f"{count(len(looked), 'secret')} looked for in {count(len(texts), 'place')}"
    return judged(faults, figure, cure=cure)


@check(
    "SEC-07", "Secret files are readable by their service alone", "mode 0440 or less", Severity.MAJOR, envs=("prod",)
)
def secret_files_are_closed(subject: Subject) -> Outcome:
    """Look at the mode of every file in the volume of secrets, and in this host's folder of them."""
    told = subject.probe("modes", {"mode": "440"}, volume="secrets")
    folder = subject.settings.secrets_folder
    faults = list(told["wide"])
    if folder.is_dir():
        own = [path for path in (folder, *folder.rglob("*")) if not path.is_symlink()]
        faults += [f"{path.relative_to(folder.parent)}: open to others" for path in own if path.stat().st_mode & 0o037]
    if not told["files"]:
        faults.append("the volume of secrets is empty")
    return judged(faults, f"{told['files']} files", cure="inv security.secrets makes them as they should be.")


@check("SEC-05", "The history and the environment of our images hold no secret", "0", Severity.BLOCKER)
def images_hold_no_secret(subject: Subject) -> Outcome:
    """Look for each secret's value in the history and configuration of every image of our own."""
    images = _own_images(subject)
    texts = {}
    for image in images:
        history = subject.engine.command("image", "history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
        texts[image] = history + subject.engine.command("image", "inspect", image)
    return judge_secrets(texts, _secrets(subject), "Rotate it, and give it to the build as --secret.")


@check("SEC-16", "No program of our images runs as its owner (setuid)", "0", Severity.MINOR, profile="full")
def no_setuid(subject: Subject) -> Outcome:
    """List such programs in each image of our own."""
    found = {}
    for image in _own_images(subject):
        command = ("run", "--rm", "--network", "none", "--pull", "never", "--read-only", "--cap-drop", "ALL")
        search = ("--entrypoint", "find", image, "/", "-xdev", "-type", "f", "-perm", "/6000")
        told = subject.engine.command(*command, "--user", "0", "--cap-add", "DAC_READ_SEARCH", *search)
        found[image] = told.split()
    faults = [f"{image}: {path}" for image, paths in found.items() for path in paths]
    return judged(
        faults, f"{count(len(found), 'image')}", cure="chmod u-s,g-s in docker/Dockerfile; no container needs it."
    )


@check("SEC-17", "No log holds a secret", "0", Severity.BLOCKER, profile="full")
def logs_hold_no_secret(subject: Subject) -> Outcome:
    """Look for each secret's value in every line that the containers wrote."""
    secrets = {name: value for name, value in _secrets(subject).items() if len(value) >= _SHORTEST}
    wanted = re.compile("|".join(map(re.escape, secrets.values())) or "$^")
    places: dict[str, str] = {}
    lines = 0
    for one in subject.containers:
        for line in subject.engine.stream("container", "logs", one.id):
            lines += 1
            if found := wanted.search(line):
                places[one.name] = found[0]
    if not lines:
        raise SkipCheck("there is no log to look at")
    return judge_logs(places, secrets, lines)


def judge_logs(places: Mapping[str, str], secrets: Mapping[str, str], lines: int) -> Outcome:
    """Judge which secret was found in whose log."""
    if not secrets:
        raise SkipCheck("there is no secret to look for")
    names = {value: name for name, value in secrets.items()}
    faults = [f"{place}: wrote {names[value]} into its log" for place, value in places.items()]
    return judged(
        faults,
        f"{count(len(secrets), 'secret')} looked for in {lines:,} lines",
        cure="Rotate it: inv security.secrets --rotate NAME.",
    )


def _running(subject: Subject) -> list[Container]:
    return [one for one in subject.containers if one.state == "running"]


def _processes(subject: Subject) -> list[tuple[Container, dict[str, Any]]]:
    """Ask the kernel about each container's first process, once for all that want to know."""

    def ask(one: Container) -> tuple[Container, dict[str, Any]]:
        try:
            text = subject.within(one, ["cat", "/proc/1/status"])
        except EngineError:  # an image with nothing in it but its one program: asked from beside it, which takes longer
            text = subject.probe("process", None, beside=one)
        return one, read_process(text)

    def look() -> list[tuple[Container, dict[str, Any]]]:
        with ThreadPoolExecutor(_SIDE_BY_SIDE) as pool:
            return list(pool.map(ask, _running(subject)))

    return subject.once("processes", look)


def read_process(text: str) -> dict[str, Any]:
    """Read what the kernel says of a process, as `/proc/PID/status` has it."""
    told = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    return {
        "uid": int(told["Uid"].split()[0]),
        "effective": int(told["CapEff"], 16),
        "no_new_privileges": told.get("NoNewPrivs", "0").strip() == "1",
        "seccomp": told.get("Seccomp", "0").strip() == "2",
    }


def _own_images(subject: Subject) -> list[str]:
    """Give the images that are built from our Dockerfile, that the stack uses, and that are there."""
    prefix = f"{subject.settings.variables.COTAI_REPOSITORY}/"
    names = sorted({one.image for one in subject.stack.services.values() if one.image.startswith(prefix)})
    if not (found := sorted(subject.engine.images(*names))):
        raise SkipCheck("there is no image of our own")
    return found


def _secrets(subject: Subject) -> dict[str, str]:
    """Give the secrets by their names; those of development stand in its env file for all to see."""
    names = PRODUCTION_SECRETS if subject.environment == "prod" else DEVELOPMENT_SECRETS
    plain = subject.settings.variables.plain()
    return {name: plain[name] for name in names if plain[name]}
