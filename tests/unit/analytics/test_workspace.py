"""Scratch memory: reuse, bounds, and blocks that cover everything once."""

from __future__ import annotations

import numpy as np
import pytest

from engine.analytics.workspace import BLOCK, ROWS, Workspace, blocks


@pytest.mark.parametrize("size", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 5])
def test_blocks_cover_every_element_once(size: int) -> None:
    """Slices follow on one another, none is longer than a block, and none is a small rest."""
    cut = list(blocks(size))
    covered = [place for block in cut for place in range(block.start, block.stop)]
    assert covered == list(range(size))
    lengths = [block.stop - block.start for block in cut]
    assert max(lengths) <= BLOCK
    assert min(lengths) > 0.9 * max(lengths)


def test_nothing_needs_no_block() -> None:
    """No elements, no slices."""
    assert list(blocks(0)) == []


def test_rows_are_reused_while_the_size_stays() -> None:
    """The same memory comes back for the same size, as rows and as a table; another size makes it anew."""
    space = Workspace()
    rows = space.rows(7)
    assert len(rows) == ROWS
    assert {row.shape for row in rows} == {(7,)}
    assert space.rows(7) is rows
    assert np.shares_memory(space.table(7), rows[0])
    assert space.rows(8) is not rows
    assert space.table(9).shape == (ROWS, 9)
    assert space.spare is space.spare
    assert not np.shares_memory(space.spare.table(8), space.table(8))


@pytest.mark.parametrize("size", [-1, BLOCK + 1])
def test_the_memory_is_bounded(size: int) -> None:
    """More than a block is refused, with what to do."""
    with pytest.raises(ValueError, match=r"at most .* split it with blocks"):
        Workspace().rows(size)
