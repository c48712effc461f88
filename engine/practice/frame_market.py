"""A market that is driven by the frames of a real feed: recorded on a tape, or arriving now.

Nothing is made up here: a contract has a price once a packet has told one, and every quote is the newest packet's.
Instruments come from a dump in the broker's format. Only contracts of the underlyings whose facts are known
(freeze quantity, expiry) can be traded; the frames of all others pass through unread.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from engine.practice.calendar_facts import Session, TradingCalendar
from engine.practice.contracts import VIX_TOKEN, index_contracts, read_dump, read_text
from engine.practice.frame_estimates import FrameEstimates
from engine.practice.frame_packets import PacketBoard
from engine.practice.frame_quotes import FrameQuotes
from engine.practice.market import MarketDay
from engine.practice.noise import FloatArray, IntArray
from engine.practice.session_market import Quotes
from engine.practice.settings import MarketSettings
from engine.practice.universe import Universe

_PAISE = 100.0
_SEED = 0
_EXCHANGE_COLUMN = "exchange"


class PricedRows(dict[int, int]):
    """Row by token of the contracts that have a price; one that is asked for by ``[token]`` is found without, too.

    Args:
        every: Row by token of all contracts of the table.
    """

    def __init__(self, every: Mapping[int, int]) -> None:
        super().__init__()
        self._every = every

    def __missing__(self, token: int) -> int:
        return self._every[token]


class FrameUniverse(Universe):
    """The instruments of a dump; a contract has a row once it has a price.

    Args:
        path: The dump, plain or gzip.
        underlyings: Names of the underlyings that can be traded.
        calendar: Facts of underlyings.
    """

    def __init__(self, path: Path, underlyings: Sequence[str], calendar: TradingCalendar) -> None:
        listed = read_dump(path)
        facts = [calendar.underlyings[name] for name in underlyings]
        present = {row.key for row in listed}
        indices = [row for row in index_contracts(facts) if row.key not in present]
        exchanges = {fact.name: fact.exchange for fact in facts}
        priced = [row for row in listed if row.expiry is not None and exchanges.get(row.name) == row.exchange]
        super().__init__([*indices, *listed], priced, list(underlyings), calendar, _SEED)
        self._text = read_text(path)
        self.row_of: dict[int, int] = PricedRows(self.row_of)
        self._has_price = np.zeros(len(priced), dtype=np.bool_)

    def csv(self, exchange: str | None = None) -> bytes:
        """Return the dump of one exchange or of all, row for row as it was given."""
        if exchange is None:
            return self._text.encode()
        header, *rows = self._text.splitlines()
        names = next(csv.reader(io.StringIO(header)))
        column = names.index(_EXCHANGE_COLUMN)
        kept = [row for row in rows if next(csv.reader([row]))[column] == exchange] if rows else []
        return ("\n".join([header, *kept]) + "\n").encode()

    def now_priced(self, rows: IntArray) -> None:
        """Note that rows of the table have a price."""
        for row in rows[~self._has_price[rows]].tolist():
            self._has_price[row] = True
            self.row_of[self.priced[row].token] = row

    def forget_prices(self) -> None:
        """Note that no contract has a price."""
        self._has_price[:] = False
        self.row_of.clear()


class FrameDay:
    """The quotes of one session that frames bring.

    Args:
        session: The session.
        universe: Its instruments.
        board: The newest packets.
        index_tokens: Tokens of the index columns, those of ``names`` first.
        settings: Rates and usual volatilities.
        names: Underlyings.
        previous_close: When the session before this one closed (epoch seconds).
    """

    def __init__(
        self,
        session: Session,
        universe: FrameUniverse,
        board: PacketBoard,
        *,
        index_tokens: Sequence[int],
        settings: MarketSettings,
        names: Sequence[str],
        previous_close: float,
    ) -> None:
        self.session = session
        self.universe = universe
        self.table = universe.table
        self.previous_close = previous_close
        self.frame_quotes = FrameQuotes(board, universe, index_tokens)
        self.levels: dict[int, int] = {}
        """Levels (paise) at which underlyings settled, where somebody who knows has told them."""
        self._names = names
        self._estimates = FrameEstimates(self.table, settings, names)

    @property
    def close(self) -> IntArray:
        """Each contract's previous close (paise), 0 when no packet has told it."""
        return self.frame_quotes.now.close

    def refresh(self, moment: float) -> None:
        """Bring in what the frames have told since the last time; the quotes of before stay whole until the next."""
        self.universe.now_priced(self.frame_quotes.refresh(moment))

    def forget(self) -> None:
        """Begin again with nothing known."""
        self.frame_quotes.forget()
        self.universe.forget_prices()
        self._estimates.forget()

    def at(self, moment: float) -> Quotes:
        """Return the newest quotes; frames know no other instant, whatever ``moment`` is."""
        del moment
        return self.frame_quotes.now

    def settlement(self, underlying: int) -> int:
        """Return the level (paise) that was told for an index, else its newest."""
        return self.levels.get(underlying) or int(self.frame_quotes.now.index_last[underlying])

    def tell_close(self, token: int, close: int) -> None:
        """Note a contract's previous close (paise) before any packet tells it, for the settlement of a position."""
        row = self.frame_quotes.tell_close(token, close)
        if row is not None:
            self.universe.now_priced(np.array([row]))

    def spots(self, moment: float) -> FloatArray:
        """Return the newest index levels (points), one per underlying."""
        del moment
        return self.frame_quotes.now.index_last[: len(self._names)] / _PAISE

    def volatilities(self, moment: float) -> FloatArray:
        """Return the volatility that the newest quotes imply for each contract (annual)."""
        return self._estimates.read(self.frame_quotes.now, moment)[1]

    def forwards(self, moment: float) -> FloatArray:
        """Return the forward that the newest quotes imply for each contract (index points)."""
        return self._estimates.read(self.frame_quotes.now, moment)[0]

    def can_trade(self, row: int) -> bool:
        """Tell whether enough is known to trade a row: its price, and its index for the margin."""
        return self.frame_quotes.is_known(int(self.table.underlying[row]))


class FrameMarket:
    """A market fed by frames, one session at a time.

    Args:
        calendar: Trading days and facts of underlyings.
        settings: Rates and usual volatilities.
        source: What feeds it, in a word.
        session: The session it begins with.
        dump: Its instruments.
    """

    def __init__(
        self, calendar: TradingCalendar, settings: MarketSettings, *, source: str, session: Session, dump: Path
    ) -> None:
        self._calendar = calendar
        self._source = source
        self._first = session
        self.settings = settings
        self.names = list(calendar.underlyings)
        self.board = PacketBoard()
        self.is_fed = True
        """False while the newest packets may not be traded against: the feed is silent, or the tape is moved."""
        self._ahead: MarketDay | None = None
        self.frames = self._frames_of(session, dump)
        self._day = MarketDay(session, self.frames.universe, self.frames)

    @property
    def source(self) -> str:
        """What feeds the market."""
        return self._source

    @property
    def first_session(self) -> Session:
        """The session the market began with."""
        return self._first

    def index_tokens(self) -> Sequence[int]:
        """Tokens of the index columns, -1 where no packet has told of the index."""
        return self.frames.frame_quotes.index_tokens

    def told_at(self, row: int | None, column: int | None) -> int:
        """Return the exchange's own time in the newest packet of a row or index column, 0 when it told none."""
        return self.frames.frame_quotes.stamp_of(row, column)

    def session_at(self, moment: float) -> Session:
        """Return today's session: frames bring no other."""
        del moment
        return self.frames.session

    def session_after(self, session: Session) -> Session:
        """Return the session that was prepared, else the next one of the calendar."""
        if self._ahead is not None and session == self._day.session:
            return self._ahead.session
        return self._calendar.session_after(session.day)

    def day(self, session: Session) -> MarketDay:
        """Return today, or the day that was prepared.

        Raises:
            ValueError: Another session is asked for.
        """
        for day in (self._day, self._ahead):
            if day is not None and day.session == session:
                return day
        raise ValueError(f"the frames of {session.day} are not here; today is {self._day.session.day}")

    def prepare(self, session: Session, dump: Path) -> FrameDay:
        """Make the next session with the instruments of a dump; ``enter`` begins it."""
        frames = self._frames_of(session, dump)
        self._ahead = MarketDay(session, frames.universe, frames)
        return frames

    def enter(self, day: MarketDay) -> None:
        """Begin a session, with nothing known of its prices.

        Raises:
            ValueError: It was not prepared.
        """
        if day is not self._ahead or not isinstance(day.market, FrameDay):
            raise ValueError(f"the session of {day.session.day} was not prepared")
        self._day, self._ahead, self.frames = day, None, day.market
        self.board.forget()

    def forget(self) -> None:
        """Begin the day again with nothing known."""
        self.board.forget()
        self.frames.forget()

    def _frames_of(self, session: Session, dump: Path) -> FrameDay:
        universe = FrameUniverse(dump, self.names, self._calendar)
        columns = [self._calendar.underlyings[name].index_token for name in self.names]
        others = [row.token for row in universe.contracts if row.is_index and row.token not in {*columns, VIX_TOKEN}]
        return FrameDay(
            session,
            universe,
            self.board,
            index_tokens=[*columns, *others, VIX_TOKEN],
            settings=self.settings,
            names=self.names,
            previous_close=self._calendar.session_before(session.day).closes,
        )


def write_dump(path: Path, content: bytes) -> Path:
    """Keep a dump in a file, whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_bytes(content)
    fresh.replace(path)
    return path
