"""A table's rows, as a dump gives them: numbers, digests, moments, words, JSON."""

from __future__ import annotations

import random
import string
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_WORDS = 4000
_BLOCK = 32 * 2**20
"""Bytes that are made row by row. The rest are the same rows with other letters and digits: as long, as hard to
compress, and new to whoever looks for what it has seen already."""


def write_rows(path: Path, size: int) -> None:
    """Write `size` bytes of rows."""
    chance = random.Random(7)  # noqa: S311 - the same rows each time
    block = _block(chance)
    letters, digits = (list(kind) for kind in (string.ascii_lowercase, string.digits))
    with path.open("wb") as file:
        for start in range(0, size, len(block)):
            chance.shuffle(letters)
            chance.shuffle(digits)
            others = bytes.maketrans(
                (string.ascii_lowercase + string.digits).encode(), "".join([*letters, *digits]).encode()
            )
            file.write(block.translate(others)[: size - start])


def _block(chance: random.Random) -> bytes:
    words = ["".join(chance.choices(string.ascii_lowercase, k=chance.randint(2, 11))) for _ in range(_WORDS)]
    often = [*accumulate(1 / (rank + 3) for rank in range(_WORDS))]  # as often as words of a language are
    rows: list[bytes] = []
    size = 0
    while size < _BLOCK:
        text = chance.choices(words, cum_weights=often, k=chance.randint(6, 28))
        moment = f"2026-{chance.randint(1, 12):02}-{chance.randint(1, 28):02} {chance.randint(0, 86399) / 3600:.6f}+00"
        digest, state = f"{chance.getrandbits(128):032x}", chance.choice(("open", "won", "lost", "draft"))
        price = chance.randint(100, 10**8) / 100
        details = f'{{"source": "{text[0]}", "score": {chance.random():.4f}}}'
        row = f"{len(rows)}\t{digest}\t{moment}\t{state}\t{price:.2f}\t{' '.join(text)}\t{details}\n"
        rows.append(row.encode())
        size += len(rows[-1])
    return b"".join(rows)
