"""The status lines: what comes first, what never leaves, and what is said when things are not well."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from engine.core.views import DeskView
from engine.core.vocabulary import Mark, Mode, QuoteState, Venue
from tests.kit.fake_engine import FakeEngineClient
from workstation.formatting import UNICODE
from workstation.presenters.lines import Line, text_of, width_of
from workstation.presenters.settings import TerminalSettings
from workstation.presenters.status import Moment, mode_word, small_lines, status_lines, strip_line


def lines(
    engine: FakeEngineClient,
    width: int = 120,
    *,
    age_s: float = 0.0,
    lag_ms: float = 0.0,
    frozen_s: float | None = None,
) -> tuple[Line, Line]:
    """Both lines now."""
    moment = Moment(market_now=engine.clock.market_now(), picture_age_s=age_s, screen_lag_ms=lag_ms, frozen_s=frozen_s)
    return status_lines(engine.desk(), moment, Mark.LAST, width=width, glyphs=UNICODE, settings=TerminalSettings())


def tone_of(line: Line, text: str) -> str:
    """The tone of the piece with this text."""
    return next(tone for piece, tone in line if text in piece)


@pytest.mark.parametrize("width", [80, 100, 120, 160, 200])
def test_venue_first_mode_second(engine: FakeEngineClient, width: int) -> None:
    """Whatever the width: the venue's word, the mode's word, the account, ages, and money."""
    first, second = lines(engine, width)
    words = text_of(first).split()
    assert words[:2] == ["LIVE", "CONFIRM"]
    assert "AB1234" in text_of(first)
    assert "feed 0.2s" in text_of(first)
    assert "screen 0ms" in text_of(first)
    assert "Day last +27,232" in text_of(second)
    assert width_of(first) == width_of(second) == width


@pytest.mark.parametrize("width", range(80, 200, 7))
def test_lines_always_fit(engine: FakeEngineClient, width: int) -> None:
    """Exactly as wide as the screen, with everything wrong at once."""
    engine.degraded = ("a", "b", "c")
    engine.lose(2)
    engine.set_feed(state=QuoteState.STALE, age_s=9999.0, connections=0)
    first, second = lines(engine, width, lag_ms=2500, frozen_s=12)
    assert width_of(first) == width_of(second) == width
    assert text_of(first).split()[:2] == ["LIVE", "CONFIRM"]
    assert " 11:02:4" in text_of(first), "the clock stands apart"


def test_simulated_venues_are_toned_and_named(engine: FakeEngineClient) -> None:
    """PRACTICE is the first word, in the tone of what is not real; LIVE is plain."""
    engine.venue = Venue.PRACTICE
    engine.venue_note = "seed 7"
    engine.touch()
    first, second = lines(engine)
    assert text_of(first).startswith(" PRACTICE ")
    assert tone_of(first, "PRACTICE") == "simulated"
    assert "seed 7" in text_of(second)


def test_a_reader_says_view(engine: FakeEngineClient) -> None:
    """Another engine is the writer: VIEW instead of a mode, whatever the mode is."""
    engine.writer = False
    engine.mode = Mode.HOT
    engine.touch()
    assert mode_word(engine.desk().status) == ("VIEW", "read")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"state": QuoteState.STALE, "age_s": 7.2}, "feed STALE 7.2s"),
        ({"connections": 0, "age_s": 31.0}, "feed DISCONNECTED 31s"),
        ({"connections": 0, "age_s": None}, "feed DISCONNECTED —"),
        ({"state": QuoteState.CLOSED, "age_s": 64.0}, "feed CLOSED 64s"),
    ],
)
def test_feed_states_in_words(engine: FakeEngineClient, changes: dict[str, object], expected: str) -> None:
    """Never by colour alone."""
    engine.set_feed(**changes)
    assert expected in text_of(lines(engine, 160)[0])


def test_ages_turn_amber_at_half_their_limit(engine: FakeEngineClient) -> None:
    """Limit 5 s: at 2.4 s plain, at 2.6 s amber; the picture's own age counts."""
    assert tone_of(lines(engine, age_s=2.2)[0], "2.4s") == ""
    assert tone_of(lines(engine, age_s=2.4)[0], "2.6s") == "attention"


def test_a_late_screen_is_said(engine: FakeEngineClient) -> None:
    """Amber at half, words beyond the limit."""
    assert tone_of(lines(engine, lag_ms=600)[0], "600ms") == "attention"
    assert "SCREEN LATE 1.2s" in text_of(lines(engine, lag_ms=1200)[0])


def test_countdown_to_the_next_event(engine: FakeEngineClient) -> None:
    """The clock event, its time and what is left; none is no error."""
    assert "15:15 spot freezes in 4:12:19" in text_of(lines(engine, 160)[0])
    engine.session = msgspec.structs.replace(engine.session, next_event_at=None, speed=2.0, extended=True)
    engine.touch()
    assert "OPEN extended 2x" in text_of(lines(engine, 160)[0])


def test_partial_money_is_marked(engine: FakeEngineClient, desk: DeskView) -> None:
    """P after a figure of which a leg is left out; an unknown margin is the unknown sign."""
    status = msgspec.structs.replace(desk.status, day_profit_partial={Mark.EXIT: ("1.1",)}, margin_utilisation=None)
    changed = msgspec.structs.replace(desk, status=status)
    moment = Moment(market_now=engine.clock.market_now(), picture_age_s=0, screen_lag_ms=0)
    _, second = status_lines(changed, moment, Mark.EXIT, width=120, glyphs=UNICODE, settings=TerminalSettings())
    assert "Day exit +26,722p" in text_of(second)
    assert "margin —" in text_of(second)


def test_gain_and_loss_have_tones_and_signs(engine: FakeEngineClient) -> None:
    """The sign is in the text; the tone only repeats it."""
    engine.legs[3].clear()
    engine.legs[1].clear()
    engine.touch()
    _, second = lines(engine)
    assert tone_of(second, "-150") == "loss"


def test_alarms_at_the_right(engine: FakeEngineClient) -> None:
    """Unknown orders, unread events, what does not run, and a frozen picture."""
    engine.degraded = ("recorder: disk is full",)
    engine.lose(2)
    text = text_of(lines(engine, 160, frozen_s=3.0)[1])
    assert "FROZEN 3.0s  1 degraded  1 unknown  2 events" in text
    short = text_of(lines(engine, 62, frozen_s=3.0)[1])
    assert "?1 !2" in short


def test_the_strip_shows_whole_figures_only(engine: FakeEngineClient) -> None:
    """What does not fit is left out whole; states are marked; unknown is no number."""
    strip = engine.desk().strip
    wide, narrow = text_of(strip_line(strip, 120, UNICODE)), text_of(strip_line(strip, 60, UNICODE))
    assert "VIX 12.84 -1.90%" in wide
    assert "BANKNIFTY" not in narrow.replace("BANKNIFTY 57,214.60 -0.08%", "")
    frozen = msgspec.structs.replace(strip[0], state=QuoteState.FROZEN)
    assert "24,381.05=" in text_of(strip_line([frozen], 60, UNICODE))
    missing = msgspec.structs.replace(strip[0], state=QuoteState.UNKNOWN, last=Decimal(1), change_percent=None)
    assert text_of(strip_line([missing], 60, UNICODE)).strip() == "NIFTY —"


@pytest.mark.parametrize(("width", "height"), [(40, 10), (20, 3), (10, 1), (79, 24), (5, 5)])
def test_the_small_screen_fits(engine: FakeEngineClient, width: int, height: int) -> None:
    """Day money, open strategies and the reason, cut to any size."""
    small = small_lines(engine.desk(), Mark.LAST, width, height, UNICODE)
    assert len(small) <= height
    assert all(width_of(line) <= width for line in small)
    if (width, height) == (40, 10):
        text = "\n".join(map(text_of, small))
        assert "Day last +27,232" in text
        assert "#3 fly-0920" in text
        assert "needs 80x24" in text


def test_the_small_screen_before_the_first_picture() -> None:
    """Starting is said."""
    assert text_of(small_lines(None, Mark.LAST, 40, 10, UNICODE)[0]).strip() == "starting"


@pytest.mark.parametrize("width", range(80, 200, 11))
def test_a_replay_names_state_and_speed_at_every_width(engine: FakeEngineClient, width: int) -> None:
    """Beside venue and mode, and instead of the session's own speed; the lines still fit."""
    engine.venue = Venue.REPLAY
    engine.session = msgspec.structs.replace(engine.session, speed=10.0)
    engine.set_tape(state="playing", speed=10.0)
    first, second = lines(engine, width)
    assert text_of(first).split()[:2] == ["REPLAY", "CONFIRM"]
    assert text_of(first).count("10x") == 1
    assert "PLAYING 10x" in text_of(first)
    assert tone_of(first, "PLAYING") == "simulated"
    assert width_of(first) == width_of(second) == width


def test_a_tape_on_another_venue_is_not_told(engine: FakeEngineClient) -> None:
    """Only a replay shows one."""
    engine.set_tape(state="playing")
    assert "PLAYING" not in text_of(lines(engine)[0])
