"""Screens of an engine with four accounts: every row says whose it is, and one account can be looked at alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.core.commands import CancelOrders, PlaceOrder, Reconcile
from tests.kit.fake_market import FixedClock
from tests.kit.four_accounts_desk import ACCOUNTS, ONE, TWO, FourAccountsEngine
from tests.tui.harness import Desk, before_picture
from tests.tui.test_orders_screen import OPEN, page

SnapCompare = Callable[..., bool]
SIZES = [(80, 24), (120, 36)]
ALONE = ("colon", *"account", "space", *"PR0002", "enter", "escape")
TAB_KEYS = {"Plans": "2", "Dead letters": "3", "Triggers": "4", "Differences": "5"}


def four_desk() -> Desk:
    """A Desk over four accounts."""
    return Desk(engine=FourAccountsEngine(FixedClock()))


async def look_at(desk: Desk, words: str) -> None:
    """Say ``account …`` in the bar."""
    await desk.press("colon", "ctrl+u")
    await desk.type(f"account {words}")
    await desk.press("enter", "escape")


async def test_every_row_of_the_desk_says_whose_it_is() -> None:
    """Strategies and orders of all accounts stand behind their names; the status line counts the others."""
    async with four_desk().running(160, 45) as desk:
        strategies, orders = desk.text("strategies"), desk.text("orders")
        assert "Account" in strategies
        for account in ACCOUNTS:
            assert any(line.startswith(f" {account} ") for line in desk.lines("strategies")), account
            assert any(line.startswith(f" {account} ") for line in desk.lines("orders")), account
        assert f"{ONE} +3" in desk.text("status")
        assert "main (default)" in strategies
        assert " o" in orders


async def test_one_account_alone_is_all_that_is_seen_and_drafted_for() -> None:
    """The sentence ``account PR0002``: its rows, money and chain; drafts, sentences and cancels are its own."""
    async with four_desk().running() as desk:
        await look_at(desk, "pr0002")
        assert f"{TWO} alone" in desk.text("status")
        for pane in ("strategies", "orders"):
            assert "Account" not in desk.text(pane)
            assert not any(account in desk.text(pane) for account in ACCOUNTS)
        assert "11" in desk.text("strategies")
        assert "12 " not in desk.text("strategies").replace("120", "")
        shown = desk.app._shared.picture
        assert shown.desk is not None
        assert shown.live_desk is not None
        assert {order.account for order in shown.desk.orders} == {TWO}
        assert {order.account for order in shown.live_desk.orders} == set(ACCOUNTS)
        assert shown.desk.status.day_profit == shown.live_desk.status.accounts[1].day_profit
        await desk.press("b", "enter")
        assert desk.dialog is not None
        assert f"PRACTICE Bimal {TWO}" in str(desk.dialog.query_one("DeskDialog > Vertical").border_title)
        desk.clock.advance(1.0)  # longer than the least time before y counts
        await desk.press("y")
        (sent,) = [command for command in desk.sent if isinstance(command, PlaceOrder)]
        assert sent.account == TWO
        await desk.press("colon")
        await desk.type("buy 1L nifty 24400 ce @ 100")
        assert isinstance(desk.engine, FourAccountsEngine)
        assert desk.engine.asked_for[-1] == TWO
        await desk.press("escape", "w", "5", "C")
        assert desk.dialog is not None
        desk.clock.advance(1.0)
        await desk.press("y")
        assert desk.sent[-1] == CancelOrders(everything=True, account=TWO)
        await look_at(desk, "all")
        assert f"{ONE} +3" in desk.text("status")
        assert "Account" in desk.text("strategies")


async def test_the_chains_own_columns_are_those_of_the_account_looked_at() -> None:
    """The short of the account stands on its strike; the first account's positions do not, and come back after."""
    async with four_desk().running() as desk:
        first = desk.text("chain")
        await look_at(desk, TWO)
        view = desk.app._shared.picture.chain
        assert view is not None
        held = [units for side in (view.calls, view.puts) for units in side.position.tolist() if units]
        (option,) = desk.engine.legs[11]
        assert held == [option.holding.signed_quantity]
        assert sum(view.puts.working.tolist()) + sum(view.calls.working.tolist()) == 1
        assert desk.text("chain") != first
        await look_at(desk, "all")
        assert desk.text("chain") == first


async def test_an_account_that_is_not_there_is_not_looked_at() -> None:
    """It is said which there are; nothing changes."""
    async with four_desk().running() as desk:
        before = desk.text("orders")
        await look_at(desk, "ZZ9999")
        assert desk.app._shared.state.account is None
        assert desk.text("orders") == before


async def test_with_one_account_there_is_nothing_to_choose() -> None:
    """Its own name changes nothing on the screen, and rows do not say whose they are."""
    async with Desk().running() as desk:
        assert "Account" not in desk.text("strategies")
        assert "+" not in desk.text("status").split("main")[1][:10]


@pytest.mark.parametrize("part", TAB_KEYS)
async def test_every_part_of_the_orders_screen_says_whose_a_row_is(part: str) -> None:
    """Plans, letters, triggers and differences of all accounts by name; alone, only one's own, without a name."""
    async with four_desk().running() as desk:
        await desk.press(*OPEN, "w", TAB_KEYS[part])
        lines = page_lines(desk)
        for account in ACCOUNTS:
            assert any(line.startswith(f" {account} ") for line in lines), (part, account)
        await desk.press("escape")
        await look_at(desk, TWO)
        await desk.press(*OPEN, "w", TAB_KEYS[part])
        assert f"{part} 1" in page(desk)
        assert not any(line.startswith(f" {account} ") for line in page_lines(desk)[:8] for account in ACCOUNTS)


async def test_comparing_is_of_the_account_looked_at() -> None:
    """The key that compares with the broker names it; of all accounts without one."""
    async with four_desk().running() as desk:
        await desk.press(*OPEN, "w", "5", "R")
        await desk.press("escape")
        await look_at(desk, TWO)
        await desk.press(*OPEN, "w", "5", "R")
        assert [command for command in desk.sent if isinstance(command, Reconcile)] == [
            Reconcile(),
            Reconcile(account=TWO),
        ]


def page_lines(desk: Desk) -> list[str]:
    """The list of the Orders screen."""
    pane = desk.app.screen.query_one("#execution-list")
    return [pane.render_line(y).text for y in range(pane.size.height)]


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("keys", [(), ALONE], ids=["all", "alone"])
def test_the_desk_of_four_accounts(snap_compare: SnapCompare, size: tuple[int, int], keys: tuple[str, ...]) -> None:
    """All of them, and one alone."""
    desk = four_desk()
    assert snap_compare(desk.app, terminal_size=size, run_before=before_picture(desk, *keys))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_orders_of_four_accounts(snap_compare: SnapCompare, size: tuple[int, int]) -> None:
    """The Orders screen: rows by account, limits of each beside them where there is room."""
    desk = four_desk()
    assert snap_compare(desk.app, terminal_size=size, run_before=before_picture(desk, *OPEN))
