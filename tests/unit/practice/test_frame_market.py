"""A market out of frames: it says what the frames said, and nothing it was not told."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from engine.practice.calendar_facts import TradingCalendar
from engine.practice.frame_market import FrameMarket, write_dump
from engine.practice.frame_packets import read_runs
from engine.practice.session_market import Quotes
from engine.practice.settings import MarketSettings
from tests.kit.practice_tapes import RecordedMarket

NOT_ON_THE_WIRE = {"moment", "fair", "lower_circuit", "upper_circuit"}


@pytest.fixture(scope="module")
def recorded() -> RecordedMarket:
    """The market that the frames come from."""
    return RecordedMarket()


class Fed:
    """A frame-driven market, and the made-up one that feeds it."""

    def __init__(self, folder: Path, source: RecordedMarket) -> None:
        calendar = TradingCalendar.load()
        dump = write_dump(folder / "instruments.csv", source.day.universe.csv())
        self.source = source
        self.market = FrameMarket(calendar, MarketSettings(), source="tape", session=source.day.session, dump=dump)

    def feed(self, seconds: float, mode: str = "full") -> Quotes:
        """Feed one frame and return the quotes after it."""
        self.market.board.apply(read_runs(self.source.frame(seconds, mode))[0])
        self.market.frames.refresh(self.source.start.timestamp() + seconds)
        return self.market.frames.at(0.0)

    def row(self, number: int = 0) -> tuple[int, int]:
        """A recorded contract's row here, and in the source."""
        theirs = int(self.source.rows[number])
        return self.market.frames.universe.row_of[int(self.source.day.universe.table.token[theirs])], theirs


@pytest.fixture
def fed(tmp_path: Path, recorded: RecordedMarket) -> Fed:
    """A market that nothing was fed to yet."""
    return Fed(tmp_path, recorded)


def test_quotes_are_those_that_were_recorded(fed: Fed) -> None:
    """Column by column, over several frames, for every contract and index on the wire."""
    for seconds in (0.0, 0.5, 1.0, 60.0, 61.0):
        quotes = fed.feed(seconds)
        truth = fed.source.day.market.at(fed.source.start.timestamp() + seconds)
        rows = [fed.row(number) for number in range(len(fed.source.rows))]
        mine, theirs = [row[0] for row in rows], [row[1] for row in rows]
        for field in fields(Quotes):
            if field.name in NOT_ON_THE_WIRE or field.name.startswith("index_"):
                continue
            assert np.array_equal(getattr(quotes, field.name)[mine], getattr(truth, field.name)[theirs]), field.name
        assert quotes.index_last[0] == truth.index_last[0]
        assert quotes.index_last[-1] == truth.index_last[-1]


def test_what_no_frame_told_has_no_price(fed: Fed) -> None:
    """Neither a row, nor an index column, nor a band of prices."""
    universe = fed.market.frames.universe
    assert not universe.row_of
    assert set(fed.market.index_tokens()) == {-1}
    fed.feed(0.0)
    assert set(universe.row_of) == {token for token in fed.source.tokens if token not in fed.source.index_tokens}
    assert set(fed.market.index_tokens()) == {-1, *fed.source.index_tokens}
    assert not fed.market.frames.at(0.0).upper_circuit.any()


def test_the_quotes_of_before_stay_whole_for_one_step(fed: Fed) -> None:
    """Matching compares this instant with the last one."""
    first = fed.feed(0.0)
    mine, theirs = fed.row()
    told = int(first.volume[mine])
    second = fed.feed(120.0)
    assert first.volume[mine] == told
    assert second.volume[mine] == fed.source.day.market.at(fed.source.start.timestamp() + 120.0).volume[theirs]


def test_the_days_volume_so_far_is_no_trade_of_the_first_step(fed: Fed) -> None:
    """It happened before anybody listened."""
    before = fed.market.frames.at(0.0)
    after = fed.feed(0.0)
    mine, _ = fed.row()
    assert after.volume[mine] > 0
    assert after.volume[mine] == before.volume[mine]


def test_a_contract_first_heard_of_without_volume_does_not_trade_it_later(fed: Fed) -> None:
    """A wider mode tells the day's volume at once: nobody traded it between the two packets."""
    before = fed.feed(0.0, "ltp")
    after = fed.feed(0.5, "full")
    mine, _ = fed.row()
    assert after.volume[mine] == before.volume[mine] > 0


def test_what_matching_takes_is_displayed_again(fed: Fed) -> None:
    """Only the packets say what the feed displays; taken sizes are matching's own memory."""
    quotes = fed.feed(0.0)
    mine, _ = fed.row()
    size = int(quotes.ask_quantity[mine, 0])
    fed.market.frames.frame_quotes.touched.add(mine)
    for step in range(4):
        quotes.ask_quantity[mine, 0] -= 10
        fed.market.frames.refresh(float(step))
        quotes = fed.market.frames.at(0.0)
        assert quotes.ask_quantity[mine, 0] == size


def test_margins_are_worked_out_from_what_the_quotes_imply(fed: Fed) -> None:
    """Forward and volatility come near those the recorded market was made with."""
    fed.feed(0.0)
    moment = fed.source.start.timestamp()
    forwards, volatilities = fed.market.frames.forwards(moment), fed.market.frames.volatilities(moment)
    truth_forward = fed.source.day.market.forwards(moment)
    truth_volatility = fed.source.day.market.volatilities(moment)
    for number in range(len(fed.source.rows)):
        mine, theirs = fed.row(number)
        assert forwards[mine] == pytest.approx(truth_forward[theirs], rel=0.001)
        if not fed.source.day.universe.table.is_future[theirs]:
            assert volatilities[mine] == pytest.approx(truth_volatility[theirs], rel=0.15)


def test_the_dump_is_served_as_it_was_given(fed: Fed) -> None:
    """Whole, and of one exchange."""
    given = fed.source.day.universe.csv()
    assert fed.market.frames.universe.csv() == given
    header, *rows = given.decode().splitlines()
    expected = [header, *(row for row in rows if row.endswith(",NFO"))]
    assert fed.market.frames.universe.csv("NFO").decode().splitlines() == expected


def test_a_forgotten_day_begins_with_nothing(fed: Fed) -> None:
    """A tape that is played again does not know its end."""
    fed.feed(0.0)
    fed.market.forget()
    assert not fed.market.frames.universe.row_of
    assert not fed.market.frames.at(0.0).last.any()
    quotes = fed.feed(1.0)
    mine, _ = fed.row()
    assert quotes.last[mine] > 0


def test_a_quote_bears_the_time_that_its_packet_told(fed: Fed) -> None:
    """Old data are not given a new time by being shown later."""
    fed.feed(3.0)
    fed.market.frames.refresh(fed.source.start.timestamp() + 60.0)
    mine, _ = fed.row()
    assert fed.market.told_at(mine, None) == fed.source.start.timestamp() + 3.0
    assert fed.market.told_at(None, 0) == fed.source.start.timestamp() + 3.0
    assert fed.market.told_at(mine + 1_000, None) == 0
