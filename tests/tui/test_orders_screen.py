"""The Orders screen: its parts, what its keys send, what it says when nothing comes, and its pictures."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from engine.core.commands import (
    CancelOrders,
    CancelPlan,
    CloseDeadLetter,
    DeleteGtt,
    ExplainMismatch,
    Reconcile,
    ReplayDeadLetter,
    SteerPlan,
)
from engine.core.errors import WorkstationError
from engine.core.identifiers import OrderNumber
from engine.core.plans import PlanState, PlanTurn
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_orders import dead_letter, difference, exit_plan, trigger
from tests.tui.harness import Desk, before_picture
from workstation.screens.desk import DeskScreen
from workstation.screens.execution import ExecutionScreen
from workstation.widgets.panes import LinePane

OPEN = ("g", "o")
PARTS = ("#execution-tabs", "#execution-list", "#execution-detail", "#execution-side")


def page(desk: Desk) -> str:
    """What stands on the screen, with single blanks."""
    texts = []
    for name in PARTS:
        pane = desk.app.screen.query_one(name, LinePane)
        if pane.display:
            texts += [pane.render_line(y).text for y in range(pane.size.height)]
    return " ".join(" ".join(texts).split())


def on_top(desk: Desk) -> object:
    """The screen that takes the keys."""
    return desk.app.screen


def busy(engine: FakeEngineClient) -> None:
    """One thing of each kind."""
    now = engine.clock.market_now()
    engine.worked = (exit_plan(now), exit_plan(now, PlanState.PAUSED, 11))
    engine.letters = (dead_letter(now),)
    engine.standing = (trigger(now),)
    engine.differences = (difference(now),)


def busy_desk() -> Desk:
    """A Desk whose engine has something of everything."""
    desk = Desk()
    busy(desk.engine)
    return desk


@pytest.mark.parametrize("keys", [OPEN, ("f12",), ("g", "n", "g", "o")])
async def test_keys_open_it_and_escape_leads_back(keys: tuple[str, ...]) -> None:
    """Keys g o and F12 open it, from other screens too; Esc is the Desk again; nothing was sent on the way."""
    async with Desk().running() as desk:
        await desk.press(*keys)
        assert isinstance(on_top(desk), ExecutionScreen)
        await desk.press("escape")
        assert isinstance(on_top(desk), DeskScreen)
        assert not desk.sent


async def test_figures_are_those_of_the_client() -> None:
    """Budget, unknown orders and the counts on the tabs are read off the screen and equal the engine's own."""
    async with busy_desk().running() as desk:
        await desk.press(*OPEN)
        (health,) = await desk.engine.execution_health()
        words = page(desk)
        assert f"{health.budget.day_used} of" in words
        assert f"working {health.working}" in words
        assert "Plans 2" in words
        assert "Dead letters 1" in words
        assert "Differences 1" in words


async def test_an_order_is_explained_and_cancelled() -> None:
    """The row under the cursor is told in full below; c cancels that very order, in any mode."""
    async with busy_desk().running() as desk:
        await desk.press(*OPEN)
        working = next(order for order in desk.engine.order_list if order.state.is_working)
        desk.app.screen.query_one("#execution-list").select(int(working.number))  # type: ignore[attr-defined]
        await desk.settle()
        assert f"Why o{working.number}" in page(desk)
        await desk.press("c")
        assert desk.sent == [CancelOrders(numbers=(working.number,))]


async def test_a_plan_is_steered_and_cancelled() -> None:
    """A paused plan stands first; p lets it go on, + hurries, - slows, c ends it."""
    async with busy_desk().running() as desk:
        await desk.press(*OPEN, "w", "2")
        words = page(desk)
        assert words.index("p11 PAUSED") < words.index("p12 RUNNING")
        await desk.press("p", "plus", "minus", "c")
        number = desk.engine.worked[1].record.number
        assert desk.sent == [
            SteerPlan(number=number, turn=PlanTurn.RESUME),
            SteerPlan(number=number, turn=PlanTurn.HURRY),
            SteerPlan(number=number, turn=PlanTurn.PATIENT),
            CancelPlan(number=number),
        ]
        await desk.press("j")
        assert "650 of 650 avg 120.25 decided 120.05 o51" in page(desk)


async def test_a_dead_letter_is_sent_again_only_after_a_review() -> None:
    """The key s opens a review; Enter there sends nothing; y sends it; x closes one."""
    async with busy_desk().running() as desk:
        await desk.press(*OPEN, "w", "3")
        assert "o44" in page(desk)
        await desk.press("s")
        assert desk.dialog is not None
        await desk.press("enter")
        assert not desk.sent
        await desk.press("s")
        desk.clock.advance(1.0)
        await desk.settle()
        await desk.press("y")
        await desk.press("x")
        assert desk.sent == [ReplayDeadLetter(numbers=(OrderNumber(44),)), CloseDeadLetter(numbers=(OrderNumber(44),))]


async def test_a_trigger_is_taken_back_after_a_review() -> None:
    """The key c on a trigger asks first: it may be somebody's stop."""
    async with busy_desk().running() as desk:
        await desk.press(*OPEN, "w", "4")
        assert "7001 active two-leg NIFTY26DEC24400PE" in page(desk)
        await desk.press("c")
        assert not desk.sent
        desk.clock.advance(1.0)
        await desk.settle()
        await desk.press("y")
        (command,) = desk.sent
        assert isinstance(command, DeleteGtt)
        assert command.trigger_id == 7001


async def test_a_difference_is_explained_in_words() -> None:
    """Nothing is explained by nothing; words go to the engine with the seat; R compares anew."""
    async with busy_desk().running() as desk:
        await desk.press(*OPEN, "w", "5")
        assert "strategies hold 650 together, the broker's net is 715" in page(desk)
        await desk.press("R", "e", "enter")
        assert desk.sent == [Reconcile()]
        await desk.type("bought by phone")
        await desk.press("enter")
        assert desk.sent[1:] == [ExplainMismatch(mismatch="m1f3c09a2", words="bought by phone")]


@pytest.mark.parametrize("part", ["1", "2", "3", "4", "5"])
async def test_keys_without_a_row_send_nothing(part: str) -> None:
    """On an empty list no key sends, and each says why there is nothing."""
    desk = Desk()
    desk.engine.order_list.clear()
    async with desk.running():
        await desk.press(*OPEN, "w", part)
        for key in ("c", "s", "x", "p", "plus", "minus", "e", "y"):
            await desk.press(key)
        assert not desk.sent
        assert desk.dialog is None


async def test_what_fails_to_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that does not answer leaves the last picture, marked, with the reason."""

    async def gone() -> tuple[object, ...]:
        raise WorkstationError("the engine is gone")

    async with busy_desk().running() as desk:
        await desk.press(*OPEN)
        monkeypatch.setattr(desk.engine, "mismatches", gone)
        desk.clock.advance(2.0)
        await desk.settle()
        assert "the engine is gone" in page(desk)


def limits_near(engine: FakeEngineClient) -> None:
    """Everything, and a lock."""
    busy(engine)
    engine.order_list[0] = msgspec.structs.replace(engine.order_list[0], message="x" * 300)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("part", ["1", "2"])
def test_picture(snap_compare: Callable[..., bool], size: tuple[int, int], part: str) -> None:
    """Book and plans at every size it is made for."""
    desk = Desk()
    limits_near(desk.engine)
    assert snap_compare(desk.app, terminal_size=size, run_before=before_picture(desk, *OPEN, "w", part))


@pytest.mark.parametrize("part", ["3", "4", "5", "6"])
def test_picture_of_the_other_parts(snap_compare: Callable[..., bool], part: str) -> None:
    """Letters, triggers, differences and limits where one stands at a time."""
    desk = busy_desk()
    assert snap_compare(desk.app, terminal_size=(80, 24), run_before=before_picture(desk, *OPEN, "w", part))
