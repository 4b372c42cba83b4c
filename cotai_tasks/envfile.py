"""Reading an env file: every variable with its line, and everything that is wrong with the file itself."""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotenv import dotenv_values
from dotenv.parser import parse_stream

from cotai_tasks.errors import Finding

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class EnvFile:
    """The variables of one file, the line of each, and the file's own faults."""

    name: str
    values: dict[str, str]
    lines: dict[str, int]
    findings: tuple[Finding, ...]

    def where(self, variable: str) -> str:
        """Point at a variable as `file:line NAME`; a variable that the file lacks has no line."""
        line = self.lines.get(variable)
        return f"{self.name}:{line} {variable}" if line else f"{self.name} {variable}"


def read_env_file(path: Path, name: str) -> EnvFile:
    """Read `path` as Docker Compose would, and report what Compose would misread in silence."""
    raw = path.read_bytes()
    findings = []
    if raw.startswith(codecs.BOM_UTF8):
        findings.append(Finding(f"{name}:1", "the file starts with a byte order mark", "Save it as UTF-8 without BOM."))
        raw = raw.removeprefix(codecs.BOM_UTF8)
    if b"\r" in raw:
        line = raw[: raw.index(b"\r")].count(b"\n") + 1
        findings.append(Finding(f"{name}:{line}", "Windows line ends (CRLF)", f"Convert it: sed -i 's/\\r$//' {name}"))
        raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    text = raw.decode(errors="replace")
    lines: dict[str, int] = {}
    for binding in parse_stream(io.StringIO(text)):
        original = binding.original
        line = original.line + len(original.string) - len(original.string.lstrip("\n"))
        if binding.error or (binding.key and binding.value is None):
            findings.append(Finding(f"{name}:{line}", "not a NAME=value line", "Correct it or begin it with #."))
        elif binding.key in lines:
            findings.append(
                Finding(f"{name}:{line} {binding.key}", f"already set on line {lines[binding.key]}", "Keep one.")
            )
        elif binding.key:
            lines[binding.key] = line
    parsed = dotenv_values(stream=io.StringIO(text), interpolate=False)
    values = {key: value for key, value in parsed.items() if value is not None}
    return EnvFile(name, values, lines, tuple(findings))
