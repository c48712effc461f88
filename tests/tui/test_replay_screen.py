"""A replay: its screen, the keys that move the tape on every screen, sentences, and that it is never taken for live."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine.core.replay import ReplayAction
from engine.core.vocabulary import Venue
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_engine_room import TAPE_END, TAPE_START, tape
from tests.tui.harness import Desk
from workstation.app import ActionProvider
from workstation.presenters.settings import TerminalSettings
from workstation.screens.desk import DeskScreen
from workstation.screens.replay import ReplayScreen
from workstation.screens.tape_control import joined, moment_on_tape
from workstation.widgets.panes import LinePane

NOW = tape().now
MINUTE = timedelta(minutes=1)


def at(hour: int, minute: int) -> datetime:
    """A moment of the tape by Indian clock."""
    return datetime(2027, 1, 14, hour, minute, tzinfo=UTC) - timedelta(hours=5, minutes=30)


def page(desk: Desk) -> str:
    """What stands on the screen's page."""
    pane = desk.app.screen.query_one("#replay-page", LinePane)
    return "\n".join(pane.render_line(y).text for y in range(pane.size.height))


def words(desk: Desk) -> str:
    """The page with single blanks."""
    return " ".join(page(desk).split())


def standing(desk: Desk, name: str) -> str:
    """A standing line of the screen on top."""
    pane = desk.app.screen.query_one(f"#{name}", LinePane)
    return "\n".join(pane.render_line(y).text for y in range(pane.size.height))


def replay(**changes: Any) -> Callable[[FakeEngineClient], None]:
    """The venue plays a tape that stands so."""

    def state(engine: FakeEngineClient) -> None:
        engine.venue = Venue.REPLAY
        engine.venue_note = "tape 2027-01-14-live"
        engine.set_tape(**changes)

    return state


def replaying(settings: TerminalSettings | None = None, **changes: Any) -> Desk:
    """A Desk on a tape."""
    desk = Desk(settings)
    replay(**changes)(desk.engine)
    return desk


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 36), (200, 60)])
@pytest.mark.parametrize("keys", [(), ("g", "r"), ("g", "n"), ("g", "v"), ("g", "s"), ("g", "h"), ("g", "u")])
async def test_every_screen_says_that_it_is_a_replay(size: tuple[int, int], keys: tuple[str, ...]) -> None:
    """The venue's word first, state and speed beside it, dotted rules: at every width, on every screen."""
    async with replaying(state="playing", speed=10.0).running(*size) as desk:
        await desk.press(*keys)
        first = standing(desk, "status").splitlines()[0]
        assert first.split()[:2] == ["REPLAY", "CONFIRM"]
        assert "PLAYING 10x" in first
        desk.engine.set_tape(state="seeking", target=at(13, 5))
        await desk.settle()
        assert "SEEKING" in standing(desk, "status")
        desk.engine.set_tape(state="ended", target=None)
        await desk.settle()
        assert "ENDED 10x" in standing(desk, "status")


async def test_a_replay_nobody_has_heard_of_yet_is_still_one() -> None:
    """Before the first word of the tape the status line says that nothing is known of it."""
    desk = Desk()
    desk.engine.venue = Venue.REPLAY
    desk.engine.touch()
    async with desk.running() as desk:
        assert desk.text("status").startswith(" REPLAY ")
        assert "tape —" in desk.text("status")
        await desk.press("g", "r")
        assert "This venue plays no tape" in words(desk)


async def test_live_knows_no_tape() -> None:
    """On another venue the screen says where it is and how a replay is opened, and the engine is not asked."""
    async with Desk().running() as desk:
        await desk.press("g", "r")
        assert isinstance(desk.app.screen, ReplayScreen)
        assert "this is LIVE, not a replay" in words(desk)
        assert "workstation replay TAPE opens one" in words(desk)
        await desk.press("slash")
        assert "plays no tape" in standing(desk, "ghost")
        await desk.press("escape", "escape")
        assert isinstance(desk.app.screen, DeskScreen)
        assert desk.engine.replay_asked == []


async def test_the_figures_are_the_engines_own() -> None:
    """Name, day, span, state, speed, moment, share, frames and damage of the tape stand on the screen."""
    desk = replaying(speed=5.0, damage="segment 4 is torn after 15:39:58")
    async with desk.running() as desk:
        await desk.press("g", "r")
        text, view = words(desk), await desk.engine.replay()
        assert "2027-01-14-live ┄ Thu 14 JAN 2027 ┄ 09:15:00 to 15:40:00 IST" in text
        assert "PAUSED 5x 11:02:41 IST" in text
        assert f"{round(100 * (view.now - view.start) / (view.end - view.start))}% of the tape" in text
        assert "ends in 4:37:19, 0:55:28 at this speed" in text
        assert "1 2 [5] 10 30 60" in text
        assert "frames 25,841 played" in text
        assert "damaged: segment 4 is torn after 15:39:58" in text


@pytest.mark.parametrize("place", [(), ("g", "r"), ("g", "n"), ("g", "h")])
async def test_space_plays_and_pauses(place: tuple[str, ...]) -> None:
    """From every screen; the picture is not frozen by it."""
    async with replaying().running() as desk:
        await desk.press(*place, "space")
        assert desk.engine.replay_asked == [ReplayAction(play=True)]
        assert "PLAYING 1x" in standing(desk, "status")
        await desk.press("space")
        assert desk.engine.replay_asked[1:] == [ReplayAction(play=False)]
        assert "PAUSED 1x" in standing(desk, "status")
        assert "FROZEN" not in standing(desk, "status")


async def test_slower_and_faster_walk_the_list_to_its_ends() -> None:
    """Keys < > and [ ]; the ends are said; a count repeats; a speed between two goes to its neighbours."""
    async with replaying().running() as desk:
        await desk.press("g", "r")
        for expected in (2, 5, 10, 30, 60):
            await desk.press("right_square_bracket")
            assert desk.engine.replay_asked[-1] == ReplayAction(speed=expected)
        asked = len(desk.engine.replay_asked)
        await desk.press("greater_than_sign")
        assert len(desk.engine.replay_asked) == asked
        assert "60x is the fastest speed." in standing(desk, "ghost")
        await desk.press("3", "left_square_bracket")
        assert desk.engine.replay_asked[-1] == ReplayAction(speed=5)
        await desk.press("9", "less_than_sign")
        assert desk.engine.replay_asked[-1] == ReplayAction(speed=0.25)
        desk.engine.set_tape(speed=3.0)
        await desk.settle()
        await desk.press("greater_than_sign")
        assert desk.engine.replay_asked[-1] == ReplayAction(speed=5)


async def test_steps_and_minutes() -> None:
    """Dot is a frame, a count is frames; arrows are minutes, with Shift ten; never beyond the tape."""
    async with replaying().running() as desk:
        await desk.press("g", "r", "full_stop")
        assert desk.engine.replay_asked[-1] == ReplayAction(step_frames=1)
        await desk.press("2", "0", "full_stop")
        assert desk.engine.replay_asked[-1] == ReplayAction(step_frames=20)
        desk.engine.set_tape(now=NOW)
        await desk.settle()
        await desk.press("right")
        assert desk.engine.replay_asked[-1] == ReplayAction(seek=NOW + MINUTE)
        await desk.press("5", "left")
        assert desk.engine.replay_asked[-1] == ReplayAction(seek=NOW - 4 * MINUTE)
        await desk.press("shift+right")
        assert desk.engine.replay_asked[-1] == ReplayAction(seek=NOW + 6 * MINUTE)
        for _ in range(2):
            await desk.press("9", "9", "9", "shift+left")
            assert desk.engine.replay_asked[-1] == ReplayAction(seek=TAPE_START)
        await desk.press("9", "9", "9", "shift+right")
        assert desk.engine.replay_asked[-1] == ReplayAction(seek=TAPE_END)


async def test_a_seek_goes_on_from_where_the_last_one_leads() -> None:
    """While one is under way the next arrow counts from its goal; the goal is on the screen and in the status line."""
    desk = replaying(state="playing")
    desk.engine.seeks_take_time = True
    async with desk.running() as desk:
        await desk.press("g", "r", "shift+right", "shift+right", "right")
        assert desk.engine.replay_asked[-1] == ReplayAction(seek=NOW + 21 * MINUTE)
        assert "SEEKING 11:23:41" in words(desk)
        assert "SEEKING 11:23:41" in standing(desk, "status")
        await desk.press("space")
        assert desk.engine.replay_asked[-1] == ReplayAction(play=False), "it played before the seek"
        desk.engine.arrive()
        await desk.settle()
        assert "PAUSED 1x 11:23:41 IST" in words(desk)


async def test_keys_in_one_read_are_joined_and_none_is_lost() -> None:
    """Five arrows at once while the first is under way: the tape ends five minutes on, in few questions."""
    async with replaying().running() as desk:
        await desk.press("g", "r")
        await desk.burst("right", "right", "right", "right", "right")
        assert desk.engine.replay_asked[-1] == ReplayAction(seek=NOW + 5 * MINUTE)
        assert desk.engine.tape is not None
        assert desk.engine.tape.now == NOW + 5 * MINUTE


async def test_actions_are_sent_one_after_the_other() -> None:
    """While an answer is awaited everything asked meanwhile becomes one next action."""
    async with replaying().running() as desk:
        await desk.press("g", "r")
        gate, plain = asyncio.Event(), desk.engine.replay

        async def slow(action: ReplayAction | None = None) -> Any:
            if action is not None:
                await gate.wait()
            return await plain(action)

        desk.engine.replay = slow  # type: ignore[method-assign]
        await desk.press("space", "greater_than_sign", "right", "full_stop", "greater_than_sign", "space")
        assert desk.engine.replay_asked == []
        gate.set()
        await desk.settle()
        first, second = desk.engine.replay_asked
        assert first == ReplayAction(play=True)
        assert second.speed == 5
        assert second.seek == NOW + MINUTE
        assert second.step_frames == 1


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (ReplayAction(play=True), ReplayAction(play=False), ReplayAction(play=False)),
        (ReplayAction(speed=2.0), ReplayAction(play=True), ReplayAction(speed=2.0, play=True)),
        (ReplayAction(seek=at(10, 0)), ReplayAction(seek=at(11, 0)), ReplayAction(seek=at(11, 0))),
        (ReplayAction(step_frames=2), ReplayAction(step_frames=3), ReplayAction(step_frames=5)),
        (ReplayAction(step_frames=2), ReplayAction(seek=at(11, 0)), ReplayAction(play=False, seek=at(11, 0))),
        (
            ReplayAction(seek=at(11, 0)),
            ReplayAction(step_frames=2),
            ReplayAction(seek=at(11, 0), step_frames=2),
        ),
        (ReplayAction(play=True), ReplayAction(step_frames=1), ReplayAction(step_frames=1)),
    ],
)
def test_joined_actions_do_what_both_would(first: ReplayAction, second: ReplayAction, expected: ReplayAction) -> None:
    """In the order that an action is done in: pause, seek, step, speed, play."""
    assert joined(first, second) == expected


def test_a_clock_time_is_the_first_such_moment_of_the_tape() -> None:
    """On the tape's own day; on the next one where the tape goes over midnight."""
    assert moment_on_tape(tape(), at(13, 5).astimezone().time().replace(hour=13, minute=5)) == at(13, 5)
    long = tape(end=TAPE_END + timedelta(days=1))
    early = datetime(2027, 1, 14, 8, 0, tzinfo=UTC).time()
    assert moment_on_tape(long, early) == at(8, 0) + timedelta(days=1)
    assert moment_on_tape(tape(), early) == at(8, 0), "before the tape: the engine refuses it in its words"


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (("slash", "1", "3", "colon", "0", "5", "enter"), ReplayAction(seek=at(13, 5))),
        (("1", "3", "colon", "0", "5", "enter"), ReplayAction(seek=at(13, 5))),
        (("9", "colon", "3", "0", "enter"), ReplayAction(seek=at(9, 30))),
        (("slash", "minus", "5", "m", "enter"), ReplayAction(seek=NOW - 5 * MINUTE)),
        (("slash", "plus", "9", "0", "s", "enter"), ReplayAction(seek=NOW + timedelta(seconds=90))),
    ],
)
async def test_a_time_is_typed(typed: tuple[str, ...], expected: ReplayAction) -> None:
    """After a slash, or right away; only Enter seeks; afterwards the keys move the tape again."""
    async with replaying().running() as desk:
        await desk.press("g", "r", *typed[:-1])
        assert desk.engine.replay_asked == []
        assert "Enter take" in standing(desk, "keys")
        await desk.press(typed[-1])
        assert desk.engine.replay_asked == [expected]
        await desk.press("space")
        assert desk.engine.replay_asked[-1] == ReplayAction(play=True)


async def test_a_wrong_time_stays_to_be_mended() -> None:
    """What is wrong is said, the text stays, nothing is asked; Esc forgets it; keys typed there move nothing."""
    async with replaying().running() as desk:
        await desk.press("g", "r", "slash", "1", "3", "full_stop", "0", "5", "left", "right", "space", "enter")
        assert "does not fit" in standing(desk, "ghost") or "colon" in standing(desk, "ghost")
        assert "Enter take" in standing(desk, "keys")
        await desk.press("escape")
        assert "Enter take" not in standing(desk, "keys")
        assert isinstance(desk.app.screen, ReplayScreen)
        assert desk.engine.replay_asked == []


async def test_typing_ahead_belongs_to_the_prompt() -> None:
    """Slash and a time in one read of the terminal: no digit is lost, none becomes a count."""
    async with replaying().running() as desk:
        await desk.press("g", "r")
        await desk.burst("slash", "1", "3", "colon", "0", "5")
        await desk.press("enter")
        assert desk.engine.replay_asked == [ReplayAction(seek=at(13, 5))]


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("play", ReplayAction(play=True)),
        ("play 10", ReplayAction(play=True, speed=10)),
        ("pause", ReplayAction(play=False)),
        ("speed 0.5", ReplayAction(speed=0.5)),
        ("seek 13:05", ReplayAction(seek=at(13, 5))),
        ("seek -5m", ReplayAction(seek=NOW - 5 * MINUTE)),
        ("step 20", ReplayAction(step_frames=20)),
    ],
)
async def test_sentences_move_the_tape(sentence: str, expected: ReplayAction) -> None:
    """In the command bar, without a review; nothing is sent."""
    async with replaying().running() as desk:
        await desk.press("colon")
        await desk.type(sentence)
        await desk.press("enter")
        assert desk.engine.replay_asked == [expected]
        assert desk.sent == []
        assert desk.reviews == 0


async def test_a_sentence_on_a_venue_without_a_tape_is_refused() -> None:
    """The engine's own words, whatever is asked."""
    async with Desk().running() as desk:
        for sentence in ("play", "seek 13:05"):
            await desk.press("colon")
            await desk.type(sentence)
            await desk.press("enter")
            await desk.settle()
            assert "open one with `workstation replay TAPE`" in desk.text("ghost") or desk.focus == "bar"
            await desk.press("escape")
            assert "open one with `workstation replay TAPE`" in desk.text("ghost")
            await desk.press("escape")


async def test_a_refusal_is_shown_in_the_engines_words() -> None:
    """A seek before own trades: the sentence stands on the screen, the tape where it stood."""
    async with replaying().running() as desk:
        desk.engine.replay_failing = "o1 traded at 11:02:41; a tape goes back only to before what was traded on it."
        await desk.press("g", "r", "left")
        assert "o1 traded at 11:02:41" in standing(desk, "ghost")
        assert "PAUSED 1x 11:02:41 IST" in words(desk)
        desk.engine.replay_failing = ""
        await desk.press("escape", "right")
        assert "11:03:41 IST" in words(desk)


async def test_panes_keep_their_own_keys() -> None:
    """On the Desk arrows and brackets still move the chain; what is free moves the tape."""
    async with replaying().running() as desk:
        await desk.press("right_square_bracket")
        assert desk.key.expiry.day == 26
        await desk.press("right", "left")
        assert desk.engine.replay_asked == []
        await desk.press("greater_than_sign", "ctrl+right", "shift+left")
        assert [bool(action.speed) for action in desk.engine.replay_asked] == [True, False, False]
        assert "Space play/pause" in desk.text("keys")


async def test_keys_of_a_replay_mean_nothing_elsewhere() -> None:
    """On a live venue Space freezes and the other keys ask no engine; the palette does not offer them."""
    async with Desk().running() as desk:
        await desk.press("less_than_sign", "greater_than_sign", "full_stop", "shift+left", "ctrl+right", "space")
        assert desk.engine.replay_asked == []
        assert "FROZEN" in desk.text("status")
        assert "play/pause" not in desk.text("keys")
        offered = {hit.help async for hit in ActionProvider(desk.app.screen).discover()}
        assert "Play the tape, or pause it." not in offered
        assert "Open the tape that is played again." in offered
    async with replaying().running() as desk:
        offered = {hit.help async for hit in ActionProvider(desk.app.screen).discover()}
        assert "Play the tape, or pause it." in offered


async def test_dialogs_and_the_command_bar_keep_the_keys_of_a_replay_away() -> None:
    """Under a dialog and in the bar a blank is a blank and moves no tape."""
    async with replaying().running() as desk:
        await desk.press("b", "enter")
        assert desk.reviews == 1
        await desk.press("space", "greater_than_sign", "full_stop", "shift+right")
        assert desk.engine.replay_asked == []
        assert "REPLAY" in str(desk.app.screen.query_one("Vertical").border_title)
        await desk.press("escape", "colon", "space", "full_stop")
        assert desk.engine.replay_asked == []


async def test_the_tape_is_read_while_it_is_seen() -> None:
    """Twice a second on its screen; never from elsewhere."""
    async with replaying().running() as desk:
        reads = 0
        plain = desk.engine.replay

        async def counted(action: ReplayAction | None = None) -> Any:
            nonlocal reads
            reads += action is None
            return await plain(action)

        desk.engine.replay = counted  # type: ignore[method-assign]
        desk.clock.advance(5.0)
        await desk.settle()
        assert reads == 0
        await desk.press("g", "r")
        assert reads == 1
        desk.clock.advance(0.6)
        await desk.settle()
        assert reads == 2
        await desk.press("escape")
        desk.clock.advance(5.0)
        await desk.settle()
        assert reads == 2


async def test_too_small_a_terminal_does_not_break_it() -> None:
    """Down to nothing and back; the page is whole again."""
    async with replaying().running() as desk:
        await desk.press("g", "r")
        for size in ((40, 10), (10, 5), (300, 90), (120, 36)):
            await desk.resize(*size)
        assert "PAUSED 1x 11:02:41 IST" in words(desk)
        await desk.press("escape")
        await desk.resize(40, 10)
        assert "REPLAY CONFIRM PAUSED 1x" in " ".join(desk.text("small").split())
