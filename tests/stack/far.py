"""A second Docker daemon, as an engine on another machine: its own data on a disk of its own, its own network."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

SIZE = "14G"


def missing() -> str:
    """Say why there can be none here; empty where there can."""
    lacking = [name for name in ("dockerd", "unshare", "mkfs.ext4", "ip") if not shutil.which(name)]
    if lacking:
        return f"needs {', '.join(lacking)}"
    return "" if os.geteuid() == 0 else "needs root"


@dataclass
class Daemon:
    """It is started with `start`, and ended with everything that it has."""

    folder: Path
    docker: str = "docker"
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def host(self) -> str:
        """Where it listens, as DOCKER_HOST has it."""
        return f"unix://{self.folder}/docker.sock"

    @property
    def data(self) -> Path:
        """Its disk."""
        return self.folder / "data"

    def make(self) -> None:
        """Make its disk, and start it."""
        self.data.mkdir()
        disk = self.folder / "disk.img"
        run("truncate", "--size", SIZE, str(disk))
        run("mkfs.ext4", "-q", str(disk))
        run("mount", "-o", "loop", str(disk), str(self.data))
        self.start()

    def start(self) -> None:
        """Start it in a network of its own: two daemons in one would undo each other's rules."""
        flags = ("--data-root", str(self.data), "--exec-root", f"{self.folder}/exec", "--pidfile", f"{self.folder}/pid")
        (self.folder / "pid").unlink(missing_ok=True)
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    "unshare",
                    "--net",
                    "sh",
                    "-c",
                    'ip link set lo up && exec dockerd "$@"',
                    "dockerd",
                    *flags,
                    "--host",
                    self.host,
                ],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 90
        while subprocess.run([self.docker, "--host", self.host, "info"], capture_output=True, check=False).returncode:
            assert time.monotonic() < end, (self.folder / "log").read_text()[-2000:]
            time.sleep(0.5)

    def stop(self) -> None:
        """End it as an update of the engine does: its containers go with it."""
        assert self._process
        self._process.terminate()
        self._process.wait(timeout=180)

    def lose_power(self) -> None:
        """End it, and whatever it runs, in the same moment."""
        assert self._process
        own = f"{self.folder}/exec/"  # containerd's configuration and its socket, which its shims are told
        mine = [one for one in psutil.process_iter(["cmdline"]) if own in " ".join(one.info["cmdline"] or ())]
        mine += [child for one in mine for child in _children(one)]
        for one in [psutil.Process(self._process.pid), *mine]:
            with suppress(psutil.Error):
                one.send_signal(signal.SIGKILL)
        self._process.wait(timeout=60)

    def remove(self) -> None:
        """End it, and give its disk back."""
        if self._process and self._process.poll() is None:
            self.lose_power()
        time.sleep(1)
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if (place := line.split()[1]).startswith(str(self.folder)):
                run("umount", "--lazy", place)
        shutil.rmtree(self.folder, ignore_errors=True)


def _children(process: psutil.Process) -> list[psutil.Process]:
    with suppress(psutil.Error):
        return process.children(recursive=True)
    return []


def run(*command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, check=True, capture_output=True)
