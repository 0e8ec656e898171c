"""A line as a PNG, for e-mails: most mailboxes show neither SVG nor script, and a PNG is a few bytes of zlib.

Drawn column by column at twice the shown size, with an edge softened by how much of a pixel the line covers. No text
is drawn: what the axes would say stands beside the picture, where it can be read aloud and follows dark mode.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 1_120
HEIGHT: Final = 240
_PAD: Final = 8
_HALF: Final = 2.0
"""Half of how thick the line is, in pixels."""
_LEVELS: Final = 16
_INK = (47, 95, 208)
_LIMIT = (187, 64, 0)
_PAPER = (255, 255, 255)
_FILL = (233, 239, 252)
_GRID = (228, 230, 234)


def draw(values: Sequence[float | None], threshold: float | None = None) -> bytes | None:
    """A PNG of values on a regular grid, None is a gap; None when there is nothing to draw."""
    known = [value for value in values if value is not None]
    if len(known) < 2:
        return None
    low, high = _span([*known, *([threshold] if threshold is not None else [])])
    rows = [bytearray(WIDTH) for _ in range(HEIGHT)]
    for part in range(5):
        rows[round(_PAD + part * (HEIGHT - 2 * _PAD - 1) / 4)][:] = bytes([_index("grid")]) * WIDTH
    ys = [None if value is None else _y(value, low, high) for value in values]
    for x in range(WIDTH):
        _column(rows, x, *_heights(ys, x))
    if threshold is not None:
        _dashes(rows, round(_y(threshold, low, high)))
    return _png(rows)


def _span(values: Sequence[float]) -> tuple[float, float]:
    """From zero when that is near, so that a small change does not look like a cliff."""
    low, high = min(values), max(values)
    if 0 <= low <= high / 2:
        low = 0.0
    if low == high:
        low, high = low - 1, high + 1
    return low, high


def _y(value: float, low: float, high: float) -> float:
    return _PAD + (high - value) / (high - low) * (HEIGHT - 2 * _PAD - 1)


def _heights(ys: Sequence[float | None], x: int) -> tuple[float, float] | tuple[None, None]:
    """From where to where the line goes within this column of pixels."""
    scale = (len(ys) - 1) / (WIDTH - 1)
    ends = [at for at in (_at(ys, (x - 0.5) * scale), _at(ys, x * scale), _at(ys, (x + 0.5) * scale)) if at is not None]
    return (min(ends), max(ends)) if ends else (None, None)


def _at(ys: Sequence[float | None], place: float) -> float | None:
    place = min(max(place, 0.0), len(ys) - 1.0)
    before = min(int(place), len(ys) - 2)
    first, second = ys[before], ys[before + 1]
    if first is None or second is None:
        return None
    return first + (second - first) * (place - before)


def _column(rows: Sequence[bytearray], x: int, top: float | None, bottom: float | None) -> None:
    if top is None or bottom is None:
        return
    top, bottom = top - _HALF, bottom + _HALF
    for y in range(max(0, int(bottom)), HEIGHT):
        rows[y][x] = _index("fill")
    for y in range(max(0, int(top)), min(HEIGHT, int(bottom) + 1)):
        covered = min(bottom, y + 1) - max(top, y)
        rows[y][x] = _ink(covered, is_filled=y > (top + bottom) / 2)


def _dashes(rows: Sequence[bytearray], y: int) -> None:
    for x in range(WIDTH):
        if x % 16 < 10:
            for row in rows[max(0, y - 1) : y + 2]:
                row[x] = _index("limit")


_NAMED = {"paper": 0, "fill": 1, "grid": 2, "limit": 3}


def _index(name: str) -> int:
    return _NAMED[name]


def _ink(covered: float, *, is_filled: bool) -> int:
    """The palette holds the line's colour in _LEVELS strengths over paper, then over the fill below the line."""
    level = min(_LEVELS - 1, max(0, round(covered * (_LEVELS - 1))))
    return len(_NAMED) + level + (_LEVELS if is_filled else 0)


def _palette() -> bytes:
    colours = [_PAPER, _FILL, _GRID, _LIMIT]
    for ground in (_PAPER, _FILL):
        for level in range(_LEVELS):
            part = level / (_LEVELS - 1)
            colours.append(tuple(round(g + (i - g) * part) for g, i in zip(ground, _INK, strict=True)))  # type: ignore[arg-type]
    return bytes(part for colour in colours for part in colour)


def _png(rows: Sequence[bytearray]) -> bytes:
    """8 bits a pixel, by palette; each row begins with its filter, none. https://www.w3.org/TR/png-3/"""
    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, 8, 3, 0, 0, 0)
    data = zlib.compress(b"".join(b"\x00" + row for row in rows), 9)
    parts = ((b"IHDR", header), (b"PLTE", _palette()), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, content) for kind, content in parts)


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
