"""From day to day on paper: what expired meanwhile is settled at the index's close, the rest is carried."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

import aiohttp
import pytest

from engine.practice.book import Book
from engine.practice.calendar_facts import Session, TradingCalendar
from engine.practice.contracts import Contract
from engine.practice.frame_exchange import FrameExchange, FrameFloor
from engine.practice.frame_market import FrameMarket
from engine.practice.frame_packets import read_runs
from engine.practice.relay_day import Rollover, dump_path, fetch_dump, session_of
from engine.practice.relay_reads import UpstreamError, UpstreamReads
from engine.practice.session_clock import FeedClock
from engine.practice.settings import ExchangeSettings, ServiceSettings
from engine.practice.tape_venue import ledger_of
from tests.kit.practice_tapes import RecordedMarket

EXPIRY_LEVEL = 24_260.0
CLOSES = 123.45


def at(text: str) -> float:
    """Epoch seconds of an Indian time."""
    return datetime.fromisoformat(f"{text}+05:30").timestamp()


class Told(UpstreamReads):
    """An upstream that tells what a test lets it, and remembers what it was asked."""

    def __init__(self, csv: bytes) -> None:
        self.csv = csv
        self.asked: list[object] = []
        self.levels: dict[tuple[int, str], float] = {}
        self.is_down = False

    async def instruments(self) -> bytes:
        self._answer("instruments")
        return self.csv

    async def previous_closes(self, names: Sequence[str]) -> dict[str, float]:
        self._answer(tuple(names))
        return dict.fromkeys(names, CLOSES)

    async def day_close(self, token: int, day: str) -> float | None:
        self._answer((token, day))
        return self.levels.get((token, day))

    def _answer(self, what: object) -> None:
        self.asked.append(what)
        if self.is_down:
            raise UpstreamError("the upstream does not answer")


class Paper:
    """A paper account on a feed that a test plays."""

    def __init__(self, state: Path, recorded: RecordedMarket, reads: Told, dump: Path, session: Session) -> None:
        calendar = TradingCalendar.load()
        settings = ExchangeSettings(state=state)
        self.recorded = recorded
        self.clock = FeedClock(recorded.start.timestamp())
        self.market = FrameMarket(calendar, settings.market, source="relay", session=session, dump=dump)
        self.book = Book(state / "book.journal")
        self.exchange = FrameExchange(
            fixed_clock="it is the feed's",
            settings=ServiceSettings(),
            calendar=calendar,
            market=self.market,
            floor=FrameFloor(self.market, self.clock),
            book=self.book,
            ledger=ledger_of(self.book, settings, "relay", self.clock.now()),
            notify=lambda _: None,
            wall=time.monotonic,
        )
        self.rollover = Rollover(state, calendar, reads)

    def hear(self) -> None:
        """Let a frame of the recorded market arrive."""
        self.market.board.apply(read_runs(self.recorded.frame(0))[0])
        self.exchange.step()

    def buy(self, contract: Contract) -> float:
        """Buy a lot at the market and return the price paid."""
        form = {
            "exchange": contract.exchange,
            "tradingsymbol": contract.symbol,
            "transaction_type": "BUY",
            "order_type": "MARKET",
            "market_protection": "-1",
            "product": "NRML",
            "quantity": str(contract.lot),
        }
        order_id = self.exchange.desk.place("regular", form)
        self.exchange.desk.process(order_id)
        order = self.exchange.ledger.orders[order_id]
        assert order.status == "COMPLETE", order.status_message
        return order.average


@pytest.fixture(scope="module")
def recorded() -> RecordedMarket:
    """The market that is relayed."""
    return RecordedMarket(strikes=60)


@pytest.fixture
def reads(recorded: RecordedMarket) -> Told:
    """The upstream."""
    return Told(recorded.day.universe.csv())


@pytest.fixture
async def paper(tmp_path: Path, recorded: RecordedMarket, reads: Told) -> Paper:
    """A paper account that has heard the market of Thursday, 11:00."""
    session = session_of(TradingCalendar.load(), recorded.start.timestamp())
    made = Paper(tmp_path, recorded, reads, await fetch_dump(tmp_path, session, reads), session)
    made.hear()
    return made


def held(paper: Paper) -> tuple[Contract, Contract]:
    """An at-the-money call of the nearest expiry, and the first future that expires later."""
    rows = [paper.market.frames.universe.by_token[token] for token in paper.market.frames.universe.row_of]
    calls = [row for row in rows if row.kind == "CE"]
    call = min(calls, key=lambda row: (row.expiry, abs(row.strike - 24_200_00)))
    later = [row for row in rows if row.kind == "FUT" and row.expiry != call.expiry]
    return call, min(later, key=lambda row: str(row.expiry))


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        ("2026-11-19T08:00:00", "2026-11-18"),
        ("2026-11-19T08:50:00", "2026-11-19"),
        ("2026-11-19T20:00:00", "2026-11-19"),
        ("2026-11-22T12:00:00", "2026-11-20"),
        ("2026-11-24T10:00:00", "2026-11-23"),
    ],
)
def test_a_day_lasts_until_the_next_one_is_about_to_open(moment: str, day: str) -> None:
    """Over the night, a weekend and a holiday."""
    assert session_of(TradingCalendar.load(), at(moment)).day.isoformat() == day


async def test_positions_go_through_days_that_nobody_was_there(
    paper: Paper, reads: Told, recorded: RecordedMarket, tmp_path: Path
) -> None:
    """Down from Thursday to Wednesday: what expired on Monday is cash at Monday's close, the future is carried."""
    call, future = held(paper)
    assert call.expiry is not None
    assert call.expiry.isoformat() == "2026-11-23"
    paid, entered = paper.buy(call), paper.buy(future)
    cash = paper.exchange.ledger.opening_cash
    reads.levels[256_265, "2026-11-23"] = EXPIRY_LEVEL
    header, *rows = recorded.day.universe.csv().decode().splitlines()
    reads.csv = "\n".join([header, *(row for row in rows if ",2026-11-23," not in row)]).encode() + b"\n"
    paper.clock.put(at("2026-11-25T09:00:00"))
    assert await paper.rollover.advance(paper.exchange)
    assert paper.exchange.floor.day.session.day.isoformat() == "2026-11-25"
    assert (256_265, "2026-11-23") in reads.asked
    worth = max(EXPIRY_LEVEL - call.strike / 100, 0.0)
    expected = cash + (worth - paid) * call.lot + (CLOSES - entered) * future.lot
    assert paper.exchange.ledger.opening_cash == pytest.approx(expected)
    positions = list(paper.exchange.ledger.positions.values())
    assert [(row.symbol, row.quantity, row.close_paise) for row in positions] == [(future.symbol, future.lot, 12_345)]
    assert call.token not in paper.market.frames.universe.by_token
    assert not paper.market.frames.universe.row_of
    assert kept_dumps(tmp_path) == [dump_path(tmp_path, date(2026, 11, 25))]


def kept_dumps(state: Path) -> list[Path]:
    """The lists of instruments that are kept."""
    return list(state.glob("instruments-*"))


async def test_a_day_does_not_begin_without_the_prices_that_positions_settle_at(paper: Paper, reads: Told) -> None:
    """It is tried again; nothing is guessed, nothing is lost."""
    call, _ = held(paper)
    paper.buy(call)
    paper.clock.put(at("2026-11-25T09:00:00"))
    with pytest.raises(UpstreamError, match="no close of NIFTY 50 on 2026-11-23"):
        await paper.rollover.advance(paper.exchange)
    assert paper.exchange.ledger.positions[call.exchange, call.symbol, "NRML"].quantity == call.lot
    reads.levels[256_265, "2026-11-23"] = EXPIRY_LEVEL
    assert await paper.rollover.advance(paper.exchange)
    assert paper.exchange.floor.day.session.day.isoformat() == "2026-11-25"


async def test_a_silent_upstream_leaves_the_day_as_it_is(paper: Paper, reads: Told) -> None:
    """Without a list of instruments no day begins."""
    paper.clock.put(at("2026-11-20T09:00:00"))
    reads.is_down = True
    with pytest.raises(UpstreamError, match="does not answer"):
        await paper.rollover.advance(paper.exchange)
    assert paper.exchange.floor.day.session.day.isoformat() == "2026-11-19"
    reads.is_down = False
    assert await paper.rollover.advance(paper.exchange)
    assert not await paper.rollover.advance(paper.exchange)
    assert reads.asked.count("instruments") == 3


async def test_reads_send_nothing_but_get(unused_tcp_port: int) -> None:
    """An upstream that is not there is said to be so."""
    async with aiohttp.ClientSession() as http:
        reads = UpstreamReads(http, f"http://127.0.0.1:{unused_tcp_port}", "key", "token")
        with pytest.raises(UpstreamError, match="does not answer"):
            await reads.instruments()
        assert await reads.practice_time() is None
