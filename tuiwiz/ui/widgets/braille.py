"""A bitmap of dots packed into terminal cells: 2x4 braille dots a cell, or 1x3 levels in ASCII. Knows no Textual.

The cost of drawing is that of the dots that are set, which callers bound by the number of columns.
"""

from __future__ import annotations

_BRAILLE = 0x2800
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of a braille cell by row (from the top) and column."""

_ASCII = (" ", "'", "-", "|", ".", "|", "|", "|")
"""Character by bit set of three levels: 1 top, 2 middle, 4 bottom."""


class Canvas:
    """`width` x `height` cells; dots are addressed from the top left. Dots outside are ignored."""

    def __init__(self, width: int, height: int, *, ascii: bool = False) -> None:
        self.width = max(0, width)
        self.height = max(0, height)
        self.ascii = ascii
        self.across = 1 if ascii else 2
        """Dots of a cell from left to right."""
        self.down = 3 if ascii else 4
        """Dots of a cell from top to bottom."""
        self.dot_width = self.width * self.across
        self.dot_height = self.height * self.down
        self._cells = bytearray(self.width * self.height)

    def dot(self, x: int, y: int) -> None:
        """Set one dot."""
        if not (0 <= x < self.dot_width and 0 <= y < self.dot_height):
            return
        row, sub = divmod(y, self.down)
        if self.ascii:
            self._cells[row * self.width + x] |= 1 << sub
        else:
            self._cells[row * self.width + (x >> 1)] |= _BITS[sub][x & 1]

    def column(self, x: int, top: int, bottom: int) -> None:
        """Set the dots of column `x` from `top` to `bottom`, both included."""
        for y in range(max(0, top), min(self.dot_height - 1, bottom) + 1):
            self.dot(x, y)

    def segment(self, x0: int, y0: int, x1: int, y1: int) -> None:
        """A straight line; columns outside the canvas cost nothing, and at most one run of dots is set a column."""
        if x1 < x0:
            x0, y0, x1, y1 = x1, y1, x0, y0
        if x1 == x0:
            self.column(x0, min(y0, y1), max(y0, y1))
            return
        slope = (y1 - y0) / (x1 - x0)
        first, last = max(x0, 0), min(x1, self.dot_width - 1)
        for x in range(first, last + 1):
            # Each column covers half a step to both sides, so that steep lines stay connected.
            a = y0 + slope * max(0.0, x - x0 - 0.5)
            b = y0 + slope * min(float(x1 - x0), x - x0 + 0.5)
            self.column(x, round(min(a, b)), round(max(a, b)))

    def char(self, column: int, row: int) -> str:
        """The character of a cell; a space where nothing is set."""
        bits = self._cells[row * self.width + column]
        if not bits:
            return " "
        return _ASCII[bits] if self.ascii else chr(_BRAILLE | bits)

    def is_set(self, x: int, y: int) -> bool:
        """Whether a dot is set; for tests and for layering."""
        row, sub = divmod(y, self.down)
        if self.ascii:
            return bool(self._cells[row * self.width + x] & 1 << sub)
        return bool(self._cells[row * self.width + (x >> 1)] & _BITS[sub][x & 1])

    def rows(self) -> list[str]:
        """All cells, one string a row."""
        return ["".join(self.char(x, y) for x in range(self.width)) for y in range(self.height)]
