"""Reading env files, with the faults that Compose would read in silence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from cotai_tasks.envfile import EnvFile, read_env_file
from cotai_tasks.errors import Finding

if TYPE_CHECKING:
    from pathlib import Path


def read(folder: Path, content: bytes) -> EnvFile:
    path = folder / "some.env"
    path.write_bytes(content)
    return read_env_file(path, "env/some.env")


def test_every_variable_is_read_with_its_line(tmp_path: Path) -> None:
    """Comments, blank lines, quotes, `export` and dollar signs are read as they are written."""
    content = b"# heading\n\nA=1\nexport B='two words'\n\n# more\nC=\"${A}\"\nD=\n"
    assert read(tmp_path, content) == EnvFile(
        "env/some.env",
        {"A": "1", "B": "two words", "C": "${A}", "D": ""},
        {"A": 3, "B": 4, "C": 7, "D": 8},
        (),
    )


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (
            b"\xef\xbb\xbfA=1\nB=2\n",
            Finding("env/some.env:1", "the file starts with a byte order mark", "Save it as UTF-8 without BOM."),
        ),
        (
            b"A=1\nB=2\r\n",
            Finding("env/some.env:2", "Windows line ends (CRLF)", "Convert it: sed -i 's/\\r$//' env/some.env"),
        ),
        (b"A=0\nB=2\nA=1\n", Finding("env/some.env:3 A", "already set on line 1", "Keep one.")),
        (b"A=1\nB=2\nnonsense\n", Finding("env/some.env:3", "not a NAME=value line", "Correct it or begin it with #.")),
        (b"A=1\n= 7\nB=2\n", Finding("env/some.env:2", "not a NAME=value line", "Correct it or begin it with #.")),
    ],
    ids=["BOM", "CRLF", "duplicate", "no value", "no name"],
)
def test_a_fault_of_the_file_is_found_and_the_rest_is_read(tmp_path: Path, content: bytes, finding: Finding) -> None:
    """Each fault has its line and its cure, and hides none of the variables."""
    file = read(tmp_path, content)
    assert file.findings == (finding,)
    assert file.values == {"A": "1", "B": "2"}


def test_all_faults_are_found_at_once(tmp_path: Path) -> None:
    """A file from a Windows editor has several, and one run names them all."""
    file = read(tmp_path, b"\xef\xbb\xbfA=1\r\nA=2\r\nB\r\n")
    assert [one.where for one in file.findings] == [
        "env/some.env:1",
        "env/some.env:1",
        "env/some.env:2 A",
        "env/some.env:3",
    ]


def test_a_variable_is_pointed_at(tmp_path: Path) -> None:
    """Findings say file, line and name; a variable that the file lacks has no line."""
    file = read(tmp_path, b"\nA=1\n")
    assert (file.where("A"), file.where("B")) == ("env/some.env:2 A", "env/some.env B")
