"""The rules of PyTorch's CUDA caching allocator, replayed over sizes: what a process would take from the card.

Rules as in c10/cuda/CUDACachingAllocator.cpp: sizes are rounded to 512 bytes; up to 1 MiB comes from segments of 2 MiB,
up to 10 MiB from segments of 20 MiB, more from segments of its own, rounded to 2 MiB. The smallest free block that is
large enough is taken, and split where the rest is worth it; free neighbours are joined. With expandable segments all
blocks of a pool lie in one segment that grows at its end, 2 or 20 MiB at a time.
"""

from __future__ import annotations

import bisect
from dataclasses import dataclass

MIB = 1 << 20
ROUND = 512
SMALL, SMALL_SEGMENT = MIB, 2 * MIB
MIDDLE, MIDDLE_SEGMENT = 10 * MIB, 20 * MIB


def rounded(size: int) -> int:
    """Bytes that a tensor of `size` bytes takes."""
    return max(ROUND, -(-size // ROUND) * ROUND)


@dataclass(slots=True, eq=False)
class Block:
    """A piece of a segment; `before` and `after` are its neighbours there."""

    segment: int
    offset: int
    size: int
    free: bool = True
    before: Block | None = None
    after: Block | None = None


class Pool:
    """Free blocks of one size class, sorted by size, then by place."""

    def __init__(self) -> None:
        self._keys: list[tuple[int, int, int]] = []
        self._blocks: list[Block] = []
        self.end: Block | None = None
        """With expandable segments, the last block of the one segment."""

    def put(self, block: Block) -> None:
        key = (block.size, block.segment, block.offset)
        at = bisect.bisect_left(self._keys, key)
        self._keys.insert(at, key)
        self._blocks.insert(at, block)

    def remove(self, block: Block) -> None:
        at = bisect.bisect_left(self._keys, (block.size, block.segment, block.offset))
        del self._keys[at], self._blocks[at]

    def best(self, size: int) -> Block | None:
        """Take out the smallest free block of at least `size` bytes."""
        at = bisect.bisect_left(self._keys, (size,))
        if at == len(self._keys):
            return None
        del self._keys[at]
        return self._blocks.pop(at)

    def whole_segments(self) -> list[Block]:
        return [block for block in self._blocks if block.before is None and block.after is None]


class CachingAllocator:
    """`reserved` is what the process holds of the card, `allocated` what tensors take of it; both with their peaks."""

    def __init__(self, *, expandable: bool) -> None:
        self.expandable = expandable
        self.allocated = self.peak_allocated = 0
        self.reserved = self.peak_reserved = 0
        self._small, self._large = Pool(), Pool()
        self._held: dict[int, tuple[Block, Pool]] = {}
        self._segments = 0

    def allocate(self, key: int, size: int) -> None:
        """Give `size` bytes to `key`; nothing happens for an empty tensor."""
        if size == 0:
            return
        size = rounded(size)
        small = size <= SMALL
        pool = self._small if small else self._large
        block = pool.best(size) or (self._grow(pool, size, small) if self.expandable else self._segment(size, small))
        rest = block.size - size
        if rest >= ROUND if small or self.expandable else rest > SMALL:
            pool.put(self._split(block, size, pool))
        block.free = False
        self._held[key] = (block, pool)
        self.allocated += block.size
        self.peak_allocated = max(self.peak_allocated, self.allocated)

    def release(self, key: int) -> None:
        """Take back what `key` was given, and join it with free neighbours."""
        found = self._held.pop(key, None)
        if found is None:
            return
        block, pool = found
        self.allocated -= block.size
        block.free = True
        if block.before is not None and block.before.free:
            pool.remove(block.before)
            block = self._join(block.before, block, pool)
        if block.after is not None and block.after.free:
            pool.remove(block.after)
            self._join(block, block.after, pool)
        pool.put(block)

    def empty_cache(self) -> None:
        """Give all segments back that no tensor lies in."""
        for pool in (self._small, self._large):
            for block in pool.whole_segments():
                pool.remove(block)
                self.reserved -= block.size
                if pool.end is block:
                    pool.end = None

    def _segment(self, size: int, small: bool) -> Block:
        room = (
            SMALL_SEGMENT if small else MIDDLE_SEGMENT if size < MIDDLE else -(-size // SMALL_SEGMENT) * SMALL_SEGMENT
        )
        self._take(room)
        self._segments += 1
        return Block(self._segments, 0, room)

    def _grow(self, pool: Pool, size: int, small: bool) -> Block:
        """Map more pages at the end of the pool's one segment; a free block there becomes part of the new one."""
        step = SMALL_SEGMENT if small else MIDDLE_SEGMENT
        end = pool.end
        if end is not None and end.free:
            more = -(-(size - end.size) // step) * step
            pool.remove(end)
            end.size += more
            self._take(more)
            return end
        more = -(-size // step) * step
        self._take(more)
        block = Block(0 if end is not None else self._new_segment(), end.offset + end.size if end else 0, more)
        if end is not None:
            block.segment = end.segment
            end.after, block.before = block, end
        pool.end = block
        return block

    def _new_segment(self) -> int:
        self._segments += 1
        return self._segments

    def _take(self, size: int) -> None:
        self.reserved += size
        self.peak_reserved = max(self.peak_reserved, self.reserved)

    def _split(self, block: Block, size: int, pool: Pool) -> Block:
        rest = Block(block.segment, block.offset + size, block.size - size, True, block, block.after)
        if block.after is not None:
            block.after.before = rest
        block.after, block.size = rest, size
        if pool.end is block:
            pool.end = rest
        return rest

    def _join(self, left: Block, right: Block, pool: Pool) -> Block:
        left.size += right.size
        left.after = right.after
        if right.after is not None:
            right.after.before = left
        if pool.end is right:
            pool.end = left
        return left
