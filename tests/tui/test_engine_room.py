"""The engine room: its figures, how often it asks, what it says when nothing comes, its keys, and its pictures."""

from __future__ import annotations

import re

import msgspec
import pytest

from engine.core.operations import GapView
from engine.core.vocabulary import QuoteState
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_engine_room import account, amiss, socket
from tests.tui.harness import Desk
from workstation.formatting import data_size, milliseconds, whole
from workstation.presenters.operations_sections import connection_word
from workstation.screens.desk import DeskScreen
from workstation.screens.engine_room import EngineRoomScreen
from workstation.screens.rules import RulesScreen
from workstation.widgets.panes import LinePane

UNKNOWN = "—"


def page(desk: Desk) -> str:
    """What stands on the screen's page."""
    pane = desk.app.screen.query_one("#engine-page", LinePane)
    return "\n".join(pane.render_line(y).text for y in range(pane.size.height))


def words(desk: Desk) -> str:
    """The page with single blanks."""
    return " ".join(page(desk).split())


def standing(desk: Desk, name: str) -> str:
    """A standing line of the screen on top."""
    pane = desk.app.screen.query_one(f"#{name}", LinePane)
    return "\n".join(pane.render_line(y).text for y in range(pane.size.height))


async def later(desk: Desk, seconds: float = 1.0) -> None:
    """Let time pass, and what is then asked for arrive."""
    desk.clock.advance(seconds)
    await desk.settle()


def everything_amiss(engine: FakeEngineClient) -> None:
    """One thing of each kind is wrong."""
    engine.room = amiss(engine.clock.market_now())


@pytest.mark.parametrize("keys", [("g", "n"), ("f8",), ("g", "v", "g", "n"), ("g", "u", "f8")])
async def test_keys_open_it_and_escape_leads_back(keys: tuple[str, ...]) -> None:
    """Keys g n and F8 open it, from other screens too; Esc is the Desk again; nothing was sent on the way."""
    async with Desk().running() as desk:
        await desk.press(*keys)
        assert isinstance(desk.app.screen, EngineRoomScreen)
        await desk.press("escape")
        assert isinstance(desk.app.screen, DeskScreen)
        assert len(desk.app.screen_stack) == 1
        assert desk.sent == []


async def test_it_is_a_place_of_the_command_bar() -> None:
    """The sentence ``go engine`` opens it."""
    async with Desk().running() as desk:
        await desk.press("colon")
        await desk.type("go engine")
        await desk.press("enter")
        assert isinstance(desk.app.screen, EngineRoomScreen)


async def test_the_figures_are_the_engines_own() -> None:
    """Every figure of every part reads as EngineClient gives it, also when something of each kind is wrong."""
    desk = Desk()
    everything_amiss(desk.engine)
    async with desk.running(200, 60) as desk:
        await desk.press("g", "n")
        text, view = words(desk), await desk.engine.operations()
        for item in view.connections:
            byte, packet = (UNKNOWN if age is None else f"{age:.1f}s" for age in (item.byte_age_s, item.packet_age_s))
            counts = (item.bad_frames, item.unknown_packets, item.reconnects, item.silent_replaced)
            row = (
                f"{item.number} {item.account} {connection_word(item)} {byte} {packet} "
                f"{whole(item.subscribed)}/{whole(item.capacity)} {whole(item.packets)} {whole(item.packets_per_s)} "
                f"{data_size(item.bytes)} {' '.join(str(count) for count in counts)}"
            )
            assert row in text
        assert "9,000 of 9,000 100%" in text
        for name, count in view.consumers:
            assert re.search(rf"{re.escape(name)} +{whole(count)}\b", page(desk))
        assert "no room for 120 of strike window: NFO:NIFTY27FEB2524000CE," in text
        assert "and 117 more" in text
        for word, count in (("LIVE", 2_980), ("STALE", 1_240), ("ONE-SIDED", 52), ("NO QUOTE", 36)):
            assert f"{word} {whole(count)}" in text
        for queue in view.queues:
            assert f"{whole(queue.waiting)} of {whole(queue.limit)}" in text
            assert f"beyond it: {queue.policy}" in text
        assert "dropped 812" in text
        recorder = view.recorder
        assert recorder is not None
        assert f"tape {recorder.path}" in text
        assert f"size {data_size(recorder.bytes)} in 4 segments" in text
        assert "to disk 2.4s behind" in text
        assert "240 minutes missing, 180 filled" in text
        assert "8 requests to make, 0:00:03 left" in text
        assert "AB1234 LIMITED" in text
        assert "CD5678 LOGIN NEEDED data" in text
        assert "session over" in text
        assert "Run `workstation login CD5678`, then L takes it." in text
        assert f"dump {whole(view.instruments_rows)} rows of 14 JAN" in text
        assert f"loop lag {milliseconds(61.0)} at worst" in text
        assert view.degraded[0] in text


async def test_what_is_unknown_is_the_unknown_sign() -> None:
    """None and NaN are never a number: ages, rates, the loop's delay, the end of the filling."""
    desk = Desk()
    nothing = float("nan")
    desk.engine.set_room(
        connections=(
            socket(0, state=QuoteState.UNKNOWN, up=False, byte_age_s=None, packet_age_s=nothing, packets_per_s=nothing),
        ),
        loop_lag_ms=None,
        capacity=0,
        subscribed=0,
        states={},
        gaps=GapView(instruments=1, minutes=5, filled=0, waiting=2, eta_s=None),
    )
    async with desk.running(200, 60) as desk:
        await desk.press("g", "n")
        text = words(desk)
        assert f"0 AB1234 NOT UP {UNKNOWN} {UNKNOWN} 2,980/3,000 12,84,300 {UNKNOWN} 236.9 MB" in text
        assert f"loop lag {UNKNOWN} at worst" in text
        assert f"0 of 0 {UNKNOWN}" in text
        assert f"2 requests to make, {UNKNOWN} left" in text
        assert "No instrument is subscribed." in text
        assert "nan" not in text.lower()
        desk.engine.set_room(loop_lag_ms=nothing, connections=())
        await later(desk)
        assert f"loop lag {UNKNOWN} at worst" in words(desk)
        assert "There is no connection" in words(desk)


async def test_it_asks_once_a_second_and_only_while_it_is_seen() -> None:
    """Twenty frames are one question; leaving ends the asking, coming back begins it again."""
    async with Desk().running() as desk:
        await later(desk, 5.0)
        assert desk.engine.room_calls == 0
        await desk.press("g", "n")
        assert desk.engine.room_calls == 1
        for _ in range(20):
            desk.clock.advance(0.04)
            await desk.settle(1)
        assert desk.engine.room_calls == 1
        await later(desk, 0.3)
        assert desk.engine.room_calls == 2
        await desk.press("escape")
        for _ in range(4):
            await later(desk)
        assert desk.engine.room_calls == 2
        await desk.press("g", "n")
        assert desk.engine.room_calls == 3


async def test_leaving_ends_a_question_under_way() -> None:
    """An engine that does not answer holds nothing back; the Desk lives on."""
    async with Desk().running() as desk:
        desk.engine.room_hangs = True
        await desk.press("g", "n")
        assert "the engine has been asked" in words(desk)
        await desk.press("escape")
        await later(desk, 3.0)
        assert desk.engine.room_calls == 1
        assert "24,400" in desk.text("chain")


async def test_an_answer_that_is_not_renewed_ages_and_is_marked() -> None:
    """The ages of the connections go on with it; after five seconds the title says how old all of it is."""
    async with Desk().running() as desk:
        await desk.press("g", "n")
        assert "LIVE 0.2s 0.4s" in words(desk)
        desk.engine.room_hangs = True
        await later(desk, 2.0)
        assert "LIVE 2.2s 2.4s" in words(desk)
        assert "old" not in words(desk)
        await later(desk, 5.0)
        assert "~ 7.0s old" in words(desk)


async def test_a_failing_engine_is_said_and_survived() -> None:
    """The last figures stay with the reason; from the first moment failing there are reasons and no figures."""
    async with Desk().running() as desk:
        desk.engine.room_failing = "the engine is busy"
        await desk.press("g", "n")
        assert f"{UNKNOWN} the engine is busy" in words(desk)
        await desk.press("T")
        assert "has not answered yet" in standing(desk, "ghost")
        desk.engine.room_failing = ""
        await later(desk)
        assert "2,980/3,000" in words(desk)
        assert "busy" not in words(desk)
        desk.engine.room_failing = "the socket is closed"
        await later(desk)
        assert "2,980/3,000" in words(desk)
        assert "the socket is closed" in words(desk)


async def test_a_key_begins_and_ends_a_tape() -> None:
    """T begins a tape, T again ends it; the page and the answer say so at once; no order is involved."""
    async with Desk().running() as desk:
        await desk.press("g", "n")
        assert "recording off; T begins a tape" in words(desk)
        await desk.press("T")
        told = [desk.engine.recording]
        assert "recording ON since" in words(desk)
        assert "Recording to tapes/2027-01-14-live." in standing(desk, "ghost")
        await desk.press("T")
        assert [*told, desk.engine.recording] == [True, False]
        assert "recording off" in words(desk)
        assert desk.sent == []


async def test_a_refusal_is_the_engines_sentence() -> None:
    """An engine that keeps no tape says so in its own words, and nothing changes."""
    async with Desk().running() as desk:
        desk.engine.record_failing = "A replay is not recorded: the tape is there already."
        desk.engine.set_room(recorder=None)
        await desk.press("g", "n")
        assert "No tape is kept here" in words(desk)
        await desk.press("T")
        assert "A replay is not recorded: the tape is there already." in standing(desk, "ghost")


async def test_a_new_login_is_taken_for_the_accounts_that_need_one() -> None:
    """L asks for those accounts only; the state is ok at once; without one it asks nothing."""
    desk = Desk()
    everything_amiss(desk.engine)
    async with desk.running(200, 60) as desk:
        await desk.press("g", "n", "L")
        assert desk.engine.renewed == ["CD5678"]
        assert "CD5678 ok" in words(desk)
        assert "The new login is in force." in standing(desk, "ghost")
        await desk.press("L")
        assert desk.engine.renewed == ["CD5678"]
        assert "No account needs a login." in standing(desk, "ghost")


async def test_why_says_everything_in_full() -> None:
    """Key y: what is wrong with what to do, one sentence each; nothing wrong is said too."""
    desk = Desk()
    everything_amiss(desk.engine)
    async with desk.running() as desk:
        await desk.press("g", "n", "y")
        text = " ".join(desk.dialog_text.split())
        assert "Connection 1 of AB1234 is STALE: nothing was heard for 7 s; it is being replaced." in text
        assert "No room for 120 instruments of strike window" in text
        assert "Run `workstation login CD5678`" in text
        await desk.press("escape")
        desk.engine.room = msgspec.structs.replace(
            desk.engine.room,
            connections=(socket(0),),
            refused=(),
            queues=(),
            recorder=None,
            gaps=GapView(instruments=0, minutes=0, filled=0, waiting=0, eta_s=None),
            accounts=(account("AB1234"),),
            instruments_note="",
            degraded=(),
        )
        await later(desk)
        await desk.press("y")
        assert "Nothing is amiss" in desk.dialog_text


async def test_one_part_at_a_time_at_80_by_24() -> None:
    """Tab, Shift-Tab, w and a digit choose the part; a part that calls has a mark beside its digit."""
    desk = Desk()
    everything_amiss(desk.engine)
    async with desk.running(80, 24) as desk:
        await desk.press("g", "n")
        assert "1 Summary 2!Connections 3!Capacity" in page(desk)
        assert "ACT Accounts AB1234 limited, CD5678 login needed" in words(desk)
        await desk.press("tab")
        assert "STALE 7.2s 7.2s 1,240/3,000 0 118.5 MB 3 17 2 1" in words(desk)
        await desk.press("shift+tab", "shift+tab")
        assert "loop lag 61ms at worst" in words(desk)
        await desk.press("w", "4")
        assert "ONE-SIDED 52 1%" in words(desk)
        assert standing(desk, "status").startswith(" LIVE")


async def test_what_does_not_fit_is_counted_and_can_be_scrolled_to() -> None:
    """A part that is cut says how much is left; zoomed and scrolled, its last line comes into sight; g g goes back."""
    desk = Desk()
    desk.engine.set_room(consumers=tuple((f"consumer {place}", place) for place in range(60)))
    async with desk.running() as desk:
        await desk.press("g", "n", "w", "3")
        assert "more lines: w 3, then z and j" in words(desk)
        assert "consumer 59" not in words(desk)
        await desk.press("z", "9", "9", "j")
        assert "consumer 59" in words(desk)
        assert "more lines" not in words(desk)
        await desk.press("g", "g")
        assert "subscribed" in words(desk)
        await desk.press("z")
        assert "2 Connections" in words(desk)


async def test_the_rules_are_one_key_away() -> None:
    """Key r opens the rules of the market."""
    async with Desk().running() as desk:
        await desk.press("g", "n", "r")
        assert isinstance(desk.app.screen, RulesScreen)


async def test_a_frozen_picture_stays() -> None:
    """Space freezes figures and questions; the status line says so; Space again lets them go on."""
    async with Desk().running() as desk:
        await desk.press("g", "n", "space")
        calls, before = desk.engine.room_calls, page(desk)
        await later(desk, 3.0)
        assert page(desk) == before
        assert desk.engine.room_calls == calls
        assert "FROZEN" in standing(desk, "status")
        await desk.press("space")
        await later(desk)
        assert desk.engine.room_calls > calls


async def test_words_from_outside_cannot_move_the_terminals_cursor() -> None:
    """A message with control characters is text like any other."""
    desk = Desk()
    desk.engine.set_room(
        connections=(socket(0, state=QuoteState.STALE, message="bad\x1b[2Jframe\n"),), degraded=("a\x07b",)
    )
    async with desk.running(200, 60) as desk:
        await desk.press("g", "n")
        assert "\x1b" not in page(desk)
        assert "\x07" not in page(desk)
        assert "bad [2Jframe" in words(desk)


async def test_too_small_a_terminal_does_not_break_it() -> None:
    """Down to nothing and back; the page is whole again."""
    async with Desk().running() as desk:
        await desk.press("g", "n")
        for size in ((40, 10), (10, 5), (300, 90), (120, 36)):
            await desk.resize(*size)
        assert "2,980/3,000" in words(desk)
