"""Damage to bytes, as disks, networks and people do it."""

from __future__ import annotations

import random

LENGTHS = (0, 1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)
"""Numbers at which counts and lengths go wrong."""


def damage(content: bytes, random: random.Random, head: int = 200) -> tuple[str, bytes]:
    """Damage of a random sort.

    Args:
        head: bytes at the start that matter most: half of the changes fall there.

    Returns:
        The sort, and the damaged content.
    """
    data = bytearray(content)
    sort = random.choice(SORTS)
    SORTS_BY_NAME[sort](data, random, head)
    return sort, bytes(data)


def _place(data: bytearray, random: random.Random, head: int) -> int:
    return random.randrange(min(len(data), head) if random.random() < 0.5 else len(data)) if data else 0


def _cut(data: bytearray, random: random.Random, head: int) -> None:
    del data[_place(data, random, head) :]


def _bit(data: bytearray, random: random.Random, head: int) -> None:
    if data:
        data[_place(data, random, head)] ^= 1 << random.randrange(8)


def _bits(data: bytearray, random: random.Random, head: int) -> None:
    for _ in range(random.choice((3, 10, 100))):
        _bit(data, random, head)


def _number(data: bytearray, random: random.Random, head: int) -> None:
    size = random.choice((1, 2, 4, 8))
    value = random.choice(LENGTHS) % 2 ** (8 * size)
    at = _place(data, random, head)
    new = value.to_bytes(size, random.choice(("little", "big")))[: len(data) - at]
    data[at : at + len(new)] = new


def _fill(data: bytearray, random: random.Random, head: int) -> None:
    at = _place(data, random, head)
    size = min(random.choice((1, 8, 64, 512, 4096)), len(data) - at)
    data[at : at + size] = random.choice((b"\0", b"\xff")) * size


def _remove(data: bytearray, random: random.Random, head: int) -> None:
    at = _place(data, random, head)
    del data[at : at + random.choice((1, 9, 512))]


def _repeat(data: bytearray, random: random.Random, head: int) -> None:
    at = _place(data, random, head)
    data[at:at] = data[at : at + random.choice((1, 9, 512, 4096))]


def _swap(data: bytearray, random: random.Random, head: int) -> None:
    size = random.choice((1, 16, 512))
    if len(data) > 2 * size:
        first, second = random.randrange(len(data) - size), random.randrange(len(data) - size)
        data[first : first + size], data[second : second + size] = (
            data[second : second + size],
            data[first : first + size],
        )


def _noise(data: bytearray, random: random.Random, head: int) -> None:
    at = _place(data, random, head)
    new = random.randbytes(random.choice((1, 20, 300)))
    data[at : at + len(new)] = new


SORTS_BY_NAME = {
    "cut": _cut,
    "bit": _bit,
    "bits": _bits,
    "number": _number,
    "fill": _fill,
    "remove": _remove,
    "repeat": _repeat,
    "swap": _swap,
    "noise": _noise,
}
SORTS = tuple(SORTS_BY_NAME)
