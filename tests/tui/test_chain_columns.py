"""The sets of columns on the Desk, the figures behind their key, and their pictures."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.tui.harness import Desk, before_picture

SIZES = [(80, 24), (120, 36)]


async def test_column_sets_by_key() -> None:
    """Key c walks through the sets; the title names the one that is not for trading; a count skips."""
    async with Desk().running() as desk:
        headings = [desk.lines("chain")[0].split()[:3]]
        for _ in range(4):
            await desk.press("c")
            headings.append(desk.lines("chain")[0].split()[:3])
        assert headings == [
            ["OI", "lk", "chg%"],
            ["Γ", "Θ", "vega"],
            ["OI", "lk", "chg%"],
            ["liq", "spr%", "misp"],
            ["OI", "lk", "chg%"],
        ]
        assert "greeks" not in desk.text("head")
        await desk.press("2", "c")
        assert "open interest" in desk.text("head")
        assert "Wall" in desk.lines("chain")[0]
        assert desk.sent == []


async def test_drafts_take_the_living_quote_in_every_set() -> None:
    """Where the mid stands in place of bid and ask, a sale is still drafted at the bid."""
    async with Desk().running() as desk:
        await desk.press("c", "1", "0", "s")
        draft = desk.app._state.draft
        assert draft is not None
        live = desk.engine.quote(draft.instrument.token)
        assert live is not None
        assert f"{live.bid}" in desk.text("ticket")


async def test_all_figures_of_the_chain_by_key() -> None:
    """Key v shows the figures that have no room above the chain."""
    async with Desk().running(80, 24) as desk:
        await desk.press("v")
        text = " ".join(desk.dialog_text.split())
        for piece in ("expected move ±317", "call walls 24,900", "GEX +421.00 cr", "risk reversal -1.82"):
            assert piece in text
        await desk.press("escape")
        assert desk.dialog is None


async def test_figures_without_a_chain() -> None:
    """Before the first chain the key says so."""
    desk = Desk()
    desk.engine.loading = True
    async with desk.running() as desk:
        await desk.press("v")
        assert "There is no chain yet." in desk.text("ghost")


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("times", [1, 2, 3])
def test_picture_of_column_sets(snap_compare: Callable[..., bool], size: tuple[int, int], times: int) -> None:
    """Greeks, open interest with its walls, and value, at both common sizes."""
    desk = Desk()
    assert snap_compare(desk.app, terminal_size=size, run_before=before_picture(desk, *("c",) * times))
