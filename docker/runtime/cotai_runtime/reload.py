"""Development: run a command, and run it again when a Python file changes or when it ends by itself.

A worker may end by itself: kombu's Redis transport does not survive the loss of its broker while it holds a message. In
production the container's restart policy starts it again; here the container goes on, so this does.
"""

import os
import signal
import subprocess
import sys
import time

from watchfiles import PythonFilter, watch

FOLDER = "/app"
POLL_MS = 1000
# What cannot start, for want of a neighbour or for an error in its code, is not tried more often than this.
PAUSE_S = 10
# A warm shutdown first; then a cold one, which gives what the worker holds back to its queue; then an end.
STOPS = ((signal.SIGTERM, 10), (signal.SIGQUIT, 5), (signal.SIGKILL, 5))


class Child:
    """The command, in a process group of its own, so that nothing of it is left behind."""

    def __init__(self, command: list[str]) -> None:
        """Start the command."""
        self.process = subprocess.Popen(command, start_new_session=True)
        self.started = time.monotonic()

    def ended(self) -> bool:
        """Tell whether it has ended by itself, and was not started just now."""
        return self.process.poll() is not None and time.monotonic() - self.started > PAUSE_S

    def stop(self) -> None:
        """End the command, ever less patiently."""
        for number, patience_s in STOPS:
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(patience_s)
                except subprocess.TimeoutExpired:
                    continue
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def main(command: list[str]) -> None:
    """Run `command` until a signal says stop."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    child = Child(command)
    for changes in watch(
        FOLDER, watch_filter=PythonFilter(), rust_timeout=POLL_MS, yield_on_timeout=True, raise_interrupt=False
    ):
        if changes or child.ended():
            what = ", ".join(sorted({os.path.relpath(path, FOLDER) for _, path in changes})) or "it ended"
            sys.stderr.write(f"Restarting {command[0]}: {what}\n")
            child.stop()
            child = Child(command)
    child.stop()


if __name__ == "__main__":
    main(sys.argv[1:])
