"""Short-lived containers that work in volumes: of an image that the stack has anyway, and cut off from everything."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

READ = ("DAC_READ_SEARCH",)
"""What reading takes: files belong to whatever user wrote them."""

WRITE = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "MKNOD")
"""What it takes to make files as they were, whosesoever."""

# What goes through its output is data: the engine would write it down as a log.
CUT_OFF = (
    *("--pull", "never", "--network", "none", "--log-driver", "none", "--read-only", "--user", "0:0"),
    *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "256m", "--pids-limit", "50"),
)


def helper(image: str, volumes: Mapping[str, str], command: Sequence[str], *, may: Sequence[str]) -> list[str]:
    """Give the docker command that runs `command` once, with volumes (by folder) to read or, if it may, to write."""
    how = ",readonly" if may == READ else ""
    return [
        *("run", "--rm", "--interactive", *CUT_OFF, *allow(may)),
        *(
            part
            for folder, name in volumes.items()
            for part in ("--mount", f"type=volume,source={name},target={folder},volume-nocopy{how}")
        ),
        *("--entrypoint", command[0], image, *command[1:]),
    ]


def allow(capabilities: Sequence[str]) -> list[str]:
    """Give docker's flags for capabilities."""
    return [part for one in capabilities for part in ("--cap-add", one)]
