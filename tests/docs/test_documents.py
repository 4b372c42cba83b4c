"""The documents: every link leads somewhere, and every command shown exists."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cotai_tasks import ns

REPOSITORY = Path(__file__).parents[2]
TRACKED = subprocess.run(
    ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
    cwd=REPOSITORY,
    capture_output=True,
    text=True,
    check=True,
).stdout.split()
DOCUMENTS = [REPOSITORY / name for name in TRACKED]
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_TASK = re.compile(r"(?:`|^[$ ]*|bootstrap |: )inv ((?:[a-z]+\.)?[a-z]+(?:-[a-z]+)*)((?: [^\n`|&;#,]*)?)", re.MULTILINE)
_SESSION = re.compile(r"\bnox -s ([a-z-]+)")


def anchors(document: Path) -> set[str]:
    """Give the anchors of a document's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=TRACKED)
def test_links_lead_somewhere(document: Path) -> None:
    """A relative link names a file that exists, and a heading in it if it names one."""
    broken = []
    for link in _LINK.findall(document.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path) if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=TRACKED)
def test_commands_exist(document: Path) -> None:
    """Every `inv …` and `nox -s …` that is shown names a task with those flags, or a session."""
    text = document.read_text()
    contexts = {name: context for context in ns.to_contexts() for name in (context.name, *context.aliases)}
    sessions = set(re.findall(r"^def ([a-z_]+)\(session", (REPOSITORY / "noxfile.py").read_text(), re.MULTILINE))
    unknown = []
    for task, flags in _TASK.findall(text):
        if task not in contexts:
            unknown.append(f"inv {task}")
            continue
        words = re.findall(r"(?<!\S)(--[a-z-]+)", flags.split(" inv ")[0])
        unknown += [f"inv {task} {word}" for word in words if word not in contexts[task].flags]
    unknown += [f"nox -s {name}" for name in _SESSION.findall(text) if name.replace("-", "_") not in sessions]
    assert unknown == []
