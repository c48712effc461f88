"""A halted market and an absent journal as words on the screens, never by colour alone."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from engine.core.execution import JournalView
from engine.core.identifiers import AccountId
from engine.core.views import ChainView, DeskView
from engine.core.vocabulary import Mark
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_engine_room import room
from workstation.formatting import UNICODE
from workstation.presenters.chain_header import chain_title, figure_lines
from workstation.presenters.execution_page import FIGURES, ExecutionPicture, journal_lines, part_counts
from workstation.presenters.lines import Line, text_of, width_of
from workstation.presenters.operations_sections import engine_lines
from workstation.presenters.settings import TerminalSettings
from workstation.presenters.status import Moment, small_lines, status_lines

HALT = "NSE F&O may be HALTED: none of 50 quotes has changed since 13:43:00, and the connection is alive"
NOW = datetime(2027, 1, 14, 5, 32, 41, tzinfo=UTC)
ACCOUNT = AccountId("AB1234")
AWAY = JournalView(account=ACCOUNT, away_since=NOW, why="the database is gone", is_behind=True, spooled=3)
BACK = JournalView(account=ACCOUNT, is_behind=True, spooled=3)
THERE = JournalView(account=ACCOUNT)


def halted(desk: DeskView) -> DeskView:
    """The desk in a halt."""
    return msgspec.structs.replace(desk, status=msgspec.structs.replace(desk.status, halts=(HALT,)))


def tones(line: Line, text: str) -> set[str]:
    """The tones of the pieces with this text."""
    return {tone for piece, tone in line if text in piece}


@pytest.mark.parametrize("width", range(80, 201, 8))
def test_a_halt_never_leaves_the_status_line(desk: DeskView, width: int) -> None:
    """At every width, in the tone of attention, and only while there is one."""
    moment = Moment(market_now=desk.status.session.market_time, picture_age_s=0.0, screen_lag_ms=0.0)
    first, _ = status_lines(halted(desk), moment, Mark.LAST, width=width, glyphs=UNICODE, settings=TerminalSettings())
    assert tones(first, "HALTED") == {"attention bold"}
    assert width_of(first) == width
    plain, _ = status_lines(desk, moment, Mark.LAST, width=width, glyphs=UNICODE, settings=TerminalSettings())
    assert "HALTED" not in text_of(plain)


def test_the_small_screen_says_it_too(desk: DeskView) -> None:
    """Below the least size."""
    assert any("HALTED" in text_of(line) for line in small_lines(halted(desk), Mark.LAST, 40, 10, UNICODE))


@pytest.mark.parametrize("short", [True, False])
def test_the_chain_says_it_in_its_title_and_why_in_its_figures(view: ChainView, short: bool) -> None:
    """The word directly after the name; the evidence in the text behind the key."""
    header = msgspec.structs.replace(view.header, halt=HALT)
    name, mark, *_ = chain_title(header, UNICODE, short=short)
    assert "NIFTY" in text_of(name)
    assert mark == (("HALTED", "attention bold"),)
    assert not any("HALTED" in text_of(part) for part in chain_title(view.header, UNICODE, short=short))
    figures = figure_lines(msgspec.structs.replace(view, header=header), 76, UNICODE)
    assert "none of 50 quotes has changed since 13:43:00" in " ".join(" ".join(map(text_of, figures)).split())


@pytest.mark.parametrize(
    ("journal", "words", "calls"),
    [
        (AWAY, "journal AWAY since 11:02:41, spool 3: the database is gone", True),
        (BACK, "journal is back, not compared yet, spool 3", True),
        (THERE, "journal written spool 0", False),
    ],
)
def test_the_limits_say_how_the_journal_stands(journal: JournalView, words: str, calls: bool) -> None:
    """Since when it is away and what the spool holds; what is amiss asks for a look from the part's tab too."""
    lines = journal_lines(journal, 40)
    assert words in " ".join(" ".join(map(text_of, lines)).split())
    assert {tone for line in lines for _, tone in line} == {"attention" if calls else "muted"}


async def test_a_journal_that_is_away_calls_from_the_tab_of_the_limits(engine: FakeEngineClient) -> None:
    """As a breaker does that is open."""
    (health,) = await engine.execution_health()
    for journal, calls in ((AWAY, True), (THERE, False), (None, False)):
        picture = ExecutionPicture(
            health=(msgspec.structs.replace(health, journal=journal),),
            plans=(),
            letters=(),
            triggers=(),
            differences=(),
        )
        assert part_counts(picture, 0)[FIGURES] == (0, calls)


def test_the_engine_room_names_every_journal() -> None:
    """One line for each account."""
    view = msgspec.structs.replace(room(NOW), journals=(AWAY, msgspec.structs.replace(THERE, account=AccountId("ZZ9"))))
    rows = [" ".join(text_of(line).split()) for line in engine_lines(view, 60, UNICODE)]
    assert "journal AB1234 AWAY since 11:02:41, spool 3" in rows
    assert "journal ZZ9 written, spool 0" in rows
