"""One release put in the place of another while users are served.

New containers start beside the old ones and must be healthy; then Nginx is told of them by a reload; both are watched;
then the old ones finish what they have in hand and go. Until they are told to go, going back is one reload.

What is to be done next is read from the engine each time, never remembered: so a deploy that was killed anywhere is
finished, or taken back, by whoever comes next.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cotai_tasks.console import count, duration
from cotai_tasks.deploy.changes import named, rolled_beside
from cotai_tasks.deploy.proxy import (
    PORTS,
    PROXY,
    flip,
    open_requests,
    put_upstreams,
    reachable,
    read_upstreams,
    upstreams,
)
from cotai_tasks.deploy.users import Seen, asked_steadily, seen, worse
from cotai_tasks.deploy.wait import last_words, restart_in_turn, wait_until_ready
from cotai_tasks.errors import CotaiError, UnhealthyError
from cotai_tasks.facts import started_at
from cotai_tasks.stack import containers_by_service, rendered

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from cotai_tasks.console import Console
    from cotai_tasks.deploy.release import Records, Release
    from cotai_tasks.engine import Engine
    from cotai_tasks.facts import Container, Project
    from cotai_tasks.stack import Stack

_LOOK = 2.0
"""Seconds between two looks at a release that is watched, or at requests that end."""
_MANY = 6
"""Services that are counted, not named."""
_BASELINE = 120.0
"""Seconds before a deploy that it is compared with."""


@dataclass
class Rollout:
    """A release on its way."""

    stack: Stack
    release: Release
    records: Records
    host: str
    """The name by which users ask."""
    timeout: float
    """Seconds for new containers to become healthy."""
    watch: float
    """Seconds that both releases are kept, once the new one serves."""
    drain: float
    """Seconds that requests in hand have to end, before the old containers are told to finish."""
    engine: Engine
    console: Console
    require_held: Callable[[], None] = lambda: None
    """Raises `LockedError` once the lock is lost."""
    project: Project = field(init=False)
    """The Compose project as it was written down, with the services in their new places."""
    steps: dict[str, float] = field(default_factory=dict)
    begun: float = field(default_factory=time.time)
    _done: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.project = rendered(self.stack, self.records.frozen(self.release)[0])

    def run(self) -> Release:
        """Take every step that is still to be taken, and give the release with what came of it.

        Raises what went wrong, once all is as it was before; where the old containers were told to go already, it says
        how to go on.
        """
        proxy = next((one for one in self._containers() if one.service == PROXY and one.state == "running"), None)
        asking = asked_steadily(proxy, self.host, self.engine) if proxy else nullcontext()
        try:
            with asking:
                self._prepare()
                if self.rolled:
                    self._roll(serving=proxy is not None)
            self._finish()
        except BaseException as error:
            try:
                self._fail(error)
            except CotaiError as also:  # the engine may be gone
                self.console.warn(f"nothing could be put back: {also}. Then: inv deploy.resume, or inv deploy.abort")
            raise
        release = self._ended("live")
        self.records.end(release)
        return release

    @property
    def rolled(self) -> list[str]:
        """The services that are started beside their old containers."""
        return rolled_beside(self.stack, self.release.changes)

    @property
    def proxied(self) -> list[str]:
        """Those of them that Nginx asks."""
        return [name for name in self.rolled if name in PORTS]

    def seen_since(self) -> Seen:
        """Tell what users saw since the deploy began."""
        return self._seen(self.begun)

    # -- the steps ---------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Start what others need: databases, then what runs once, such as the migration. It may fail at no cost."""
        if all(one.how in {"start", "run"} for one in self.release.changes):
            return  # nothing is served yet: Compose knows the order of all of it
        self._start(
            [name for name in named(self.release.changes, "start", "replace") if name in self.stack.stateful],
            "--no-deps",
        )
        self._start(
            [name for name in named(self.release.changes, "run") if self.stack.services[name].awaited], "--no-deps"
        )

    def _roll(self, *, serving: bool) -> None:
        """Go from the old release to the new one, as far as users notice anything."""
        with self._step(f"{', '.join(self.rolled)} beside the old ones"):
            self._start_beside()
        if self.proxied and serving:
            with self._step("nginx asks the new ones"):
                for name in self.proxied:
                    reachable(name, self.release.after[name], self.stack, self.engine)
                flip(upstreams(self.release.after), self.stack, self.engine)
            if self.watch:
                with self._step(f"watching both for {duration(self.watch)}"):
                    self._watch()
            with self._step("the requests in hand end"):
                self._drain()
        with self._step("the old ones finish and go"):
            self.records.pass_the_point()
            self._retire(self._old(self.rolled))

    def _finish(self) -> None:
        """Do what is left: the scheduler, whatever cannot be rolled, and a last look at everything."""
        if self.proxied or PROXY in named(self.release.changes, "start", "replace"):
            put_upstreams(upstreams(self.release.after), self.stack, self.engine)
        for name in [name for name in named(self.release.changes, "roll") if self.stack.rolls[name] == "alone"]:
            with self._step(f"{name}, never two of it"):
                self._replace_alone(name)
        fresh = all(one.how in {"start", "run"} for one in self.release.changes)
        self._start(named(self.release.changes, "start", "replace", "run"), *([] if fresh else ["--no-deps"]))
        if restarted := named(self.release.changes, "restart"):
            restart_in_turn(self.stack, restarted, timeout=self.timeout, engine=self.engine, console=self.console)

    def _start(self, names: Sequence[str], *flags: str) -> None:
        """Create or replace the containers of services that are not done yet, and wait for them."""
        names = [name for name in names if name not in self._done]
        self._done.update(names)
        if not names:
            return
        self.console.say(f"Starting {', '.join(names) if len(names) < _MANY else count(len(names), 'service')}")
        awaited = [name for name in names if self.stack.services[name].awaited]
        earlier = {one.run for one in self._containers()}
        with self.engine.up(self.project, names, *flags) as running:
            wait_until_ready(
                running,
                awaited,
                self.stack,
                earlier=earlier,
                timeout=self.timeout,
                engine=self.engine,
                console=self.console,
            )

    def _start_beside(self) -> None:
        """Start the new containers of every service that is rolled, and wait until each is healthy."""
        old = self._old(self.rolled)
        for gone in [one for one in old if one.state not in {"running", "restarting"}]:
            self.engine.command("container", "rm", gone.id)  # Compose would start it again
        standing = containers_by_service([one for one in old if one.state in {"running", "restarting"}])
        scales = [
            part
            for name in self.rolled
            for part in ("--scale", f"{name}={len(standing.get(name, [])) + self.stack.services[name].replicas}")
        ]
        with self.engine.up(self.project, self.rolled, "--no-deps", "--no-recreate", *scales) as running:
            wait_until_ready(
                running,
                self.rolled,
                self.stack,
                without=self._old_ids(),
                timeout=self.timeout,
                engine=self.engine,
                console=self.console,
            )

    def _watch(self) -> None:
        """Look at the new release while the old one could still take over; raise `UnhealthyError` where it is worse."""
        before = self._seen(self.begun - _BASELINE, until=self.begun)
        flipped = time.time()
        restarts = {one.id: one.restarts for one in self._new(self.rolled)}
        while time.time() < flipped + self.watch:
            time.sleep(_LOOK)
            for one in self._new(self.rolled):
                if one.state != "running" or one.health == "unhealthy" or one.restarts != restarts.get(one.id, 0):
                    words = last_words(one.service, self.stack, self.engine, self._old_ids())
                    raise UnhealthyError(
                        f"{one.service} was healthy, and is not any more ({one.health or one.state})", evidence=words
                    )
            if reason := worse(before, self._seen(flipped)):
                words = "\n".join(last_words(name, self.stack, self.engine, self._old_ids()) for name in self.proxied)
                raise UnhealthyError(f"users see errors since the new release serves: {reason}", evidence=words)

    def _drain(self) -> None:
        """Wait until nothing is asked of the old containers any more, or for as long as requests have to end."""
        addresses = self._addresses(self._old(self.proxied))
        end = time.monotonic() + self.drain
        time.sleep(_LOOK)  # what old workers of Nginx had accepted, and not read yet
        while (left := open_requests(addresses, self.stack, self.engine)) and time.monotonic() < end:
            time.sleep(_LOOK)
        if left:
            self.console.say(f"  {count(left, 'stream')} still open: the old containers close them, clients come back")

    def _retire(self, containers: Sequence[Container]) -> None:
        """Let containers finish what they have in hand, and remove them; each has its own patience for that."""
        ids = [one.id for one in containers]
        if ids:
            self.engine.command("container", "stop", *ids)
            self.engine.command("container", "rm", "--force", *ids)

    def _replace_alone(self, name: str) -> None:
        """Stop the old one, then start the new one; say how long there was none."""
        begun = time.monotonic()
        self._retire(self._old([name]))
        stopped = time.time()
        self._start([name], "--no-deps")
        (one, *others) = [one for one in self._containers() if one.service == name]
        if others:
            raise UnhealthyError(f"there are {len(others) + 1} containers of {name}, and there may be one only")
        gap = started_at(one) - stopped if one.started_at else time.monotonic() - begun
        self.console.say(f"  {name}: none of it ran for {duration(max(gap, 0))}")

    # -- going back --------------------------------------------------------------------------------------------------

    def _fail(self, error: BaseException) -> None:
        """Put the old release back where it is still there, and write down what went wrong."""
        fault = str(error) or type(error).__name__
        if not self.rolled:  # nothing was put in the place of anything: what was started goes on
            self.records.end(self._ended("failed", fault))
            return
        if not self.can_go_back:
            self.console.warn(
                "the old containers are gone already: inv deploy.resume goes on, inv deploy.rollback goes back"
            )
            return
        self.require_held = lambda: None  # whoever comes next is refused until this is put back
        with self.console.uninterrupted("what served before is being put back"):
            self.go_back(fault)
        if isinstance(error, CotaiError):
            error.cure = f"Mend it, then deploy again; inv deploy.show --id {self.release.id} has every step."

    @property
    def can_go_back(self) -> bool:
        """Whether every container that the release replaces without a gap still runs, and none was told to go."""
        if self.records.passed:
            return False
        running = {one.id for one in self._containers() if one.state == "running"}
        return all(one in running for name in self.rolled for one in self.release.old.get(name, ()))

    def go_back(self, fault: str, outcome: str = "failed") -> None:
        """Let Nginx ask the old containers again, and remove the new ones."""
        before = self.records.frozen(self.release)[1]
        try:
            if self.proxied and before and read_upstreams(self.stack, self.engine) != before:
                with self._step("nginx asks the old ones again"):
                    flip(before, self.stack, self.engine)
                    self._drain_new()
            with self._step("the new containers go"):
                new = self._new(self.rolled)
                # Who is not ready holds nothing; and a first process that is still starting hears no SIGTERM.
                booting = [one for one in new if one.health != "healthy"]
                if booting:
                    self.engine.command("container", "rm", "--force", *(one.id for one in booting))
                self._retire([one for one in new if one not in booting])
        except CotaiError as also:
            self.console.warn(f"not all could be put back: {also}. inv deploy.abort tries it again")
            return
        self.records.end(self._ended(outcome, fault))
        self.console.warn("what served before goes on serving")

    def _drain_new(self) -> None:
        end = time.monotonic() + self.drain
        addresses = self._addresses(self._new(self.proxied))
        while open_requests(addresses, self.stack, self.engine) and time.monotonic() < end:
            time.sleep(_LOOK)

    def _ended(self, outcome: str, fault: str = "") -> Release:
        """Give the record of what came of it."""
        facts = {"outcome": outcome, "ended": datetime.now(UTC), "steps": self.steps, "seen": self.seen_since()}
        return self.release.model_copy(update={**facts, "fault": fault})

    # -- what there is -----------------------------------------------------------------------------------------------

    def _containers(self) -> list[Container]:
        return self.engine.containers(self.stack.project.name)

    def _old_ids(self) -> set[str]:
        return {one for ids in self.release.old.values() for one in ids}

    def _old(self, names: Collection[str]) -> list[Container]:
        old = self._old_ids()
        return [one for one in self._containers() if one.service in names and one.id in old]

    def _new(self, names: Collection[str]) -> list[Container]:
        old = self._old_ids()
        return [one for one in self._containers() if one.service in names and one.id not in old]

    def _addresses(self, containers: Sequence[Container]) -> set[str]:
        """Give the addresses of containers on all their networks."""
        if not containers:
            return set()
        shown = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}"
        ids = [one.id for one in containers]
        return set(self.engine.command("container", "inspect", "--format", shown, *ids).split())

    def _seen(self, since: float, until: float | None = None) -> Seen:
        proxies = [one for one in self._containers() if one.service == PROXY]
        return seen(proxies, since, self.engine, until)

    @contextmanager
    def _step(self, text: str) -> Iterator[None]:
        self.require_held()
        begun = time.monotonic()
        with self.console.step(text):
            yield
        self.steps[text] = round(time.monotonic() - begun, 1)
