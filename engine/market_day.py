"""The market as one engine sees it today: instruments, board, states, sessions. Its parts change when the day does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from engine.calendar.rules import MarketRules
from engine.calendar.sessions import MarketState, SessionCalendar
from engine.core.errors import UnknownInstrument
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.ports import Clock
from engine.core.quotes import Quote
from engine.core.views import Integers, SessionView
from engine.core.vocabulary import InstrumentKind
from engine.instrument_service import LoadedInstruments
from engine.market.halts import SEGMENT_MASK
from engine.market.instrument_index import InstrumentIndex
from engine.market.quotes_board import QuotesBoard
from engine.market.staleness import Staleness
from engine.venue import VenueReading

NS_PER_S = 1_000_000_000
DERIVATIVE_SEGMENTS = (2, 5)
"""NFO and BFO: the low byte of their tokens."""
INDEX_SEGMENT = 9
CASH_SEGMENTS = (1, 4)


class MarketDay:
    """The day's market. ``roll`` replaces the instruments; ``read_venue`` moves the sessions on."""

    def __init__(
        self,
        loaded: LoadedInstruments,
        *,
        board: QuotesBoard,
        states: Staleness,
        calendar: SessionCalendar,
        rules: MarketRules,
        clock: Clock,
        reading: VenueReading,
    ) -> None:
        """``reading`` is the venue's first word."""
        self._loaded = loaded
        self.board = board
        self.states = states
        self.calendar = calendar
        self.rules = rules
        self.clock = clock
        self._reading = reading
        self._halts: dict[int, str] = {}
        self.refresh_sessions()

    @property
    def index(self) -> InstrumentIndex:
        """Today's instruments."""
        return self._loaded.index

    @property
    def loaded(self) -> LoadedInstruments:
        """How they came about."""
        return self._loaded

    @property
    def reading(self) -> VenueReading:
        """The venue's last word."""
        return self._reading

    def today(self) -> date:
        """The exchange's date."""
        return self.calendar.day_of(self.clock.market_now())

    def roll(self, loaded: LoadedInstruments) -> None:
        """Take the instruments of another day."""
        self._loaded = loaded

    def read_venue(self, reading: VenueReading) -> None:
        """Take the venue's newest word."""
        self._reading = reading
        self.refresh_sessions()

    def is_open(self) -> bool:
        """Whether derivatives trade now: the venue's word where it has one, else the calendar's."""
        if self._reading.is_open is not None:
            return self._reading.is_open
        return self.calendar.state_at(self.clock.market_now()) is MarketState.OPEN

    def is_open_at(self, moment: datetime) -> bool:
        """Whether derivatives trade at a moment of market time near now.

        A venue that says when it opens and closes is held to that, so that the answer depends on the moment alone and
        not on when the venue was last asked.
        """
        reading = self._reading
        if reading.is_open is None:
            return self.calendar.state_at(moment) is MarketState.OPEN
        if reading.opens_at is not None and reading.closes_at is not None and reading.opens_at < reading.closes_at:
            return reading.opens_at <= moment < reading.closes_at
        return reading.is_open

    def refresh_sessions(self) -> None:
        """Tell the judge of quotes which segments are in session and what is frozen."""
        segments = (*DERIVATIVE_SEGMENTS, *CASH_SEGMENTS, INDEX_SEGMENT) if self.is_open() else ()
        self.states.set_open_segments(segments)
        moves = self._reading.extended or self.calendar.spot_moves_at(self.clock.market_now())
        frozen = (
            () if moves or moves is None else tuple(filter(None, map(self.rules.index_token, self.rules.underlyings)))
        )
        # The cash market's own auction: its stocks do not trade continuously either.
        self.states.set_frozen(frozen, CASH_SEGMENTS if frozen else ())
        self.states.set_ended(self._ended())

    def _ended(self) -> tuple[int, ...]:
        """Contracts whose last moment is over, though others of their segment go on: expiring ones of today."""
        now, today = self.clock.market_now(), self.today()
        if self._reading.extended or not self.is_open():
            return ()
        ended: list[int] = []
        for name in self.index.names:
            for contracts in self.index.all_contracts(name)[:1]:
                if contracts.expiry != today:
                    continue
                if now >= self.calendar.expiry_instant(today, is_index=self.rules.is_index(name)):
                    future = (contracts.future,) if contracts.future is not None else ()
                    rows = (*contracts.calls.values(), *contracts.puts.values(), *future)
                    ended += [row.token for row in rows]
        return tuple(ended)

    def session_view(self) -> SessionView:
        """The exchange's day for the status line."""
        now = self.clock.market_now()
        state = self.calendar.state_at(now)
        if self._reading.is_open is not None:
            state = (
                MarketState.OPEN
                if self._reading.is_open
                else (state if state is not MarketState.OPEN else MarketState.CLOSED)
            )
        if self._reading.extended and self._reading.is_open:
            words, at = "extended session closes", self._reading.closes_at
        elif not self.is_open() and self._reading.opens_at is not None and self._reading.opens_at > now:
            words, at = "opens", self._reading.opens_at
        else:
            words, at = self.calendar.next_event(now, index_expiry_today=self.index_expires_today())
        return SessionView(
            state=state.value,
            extended=self._reading.extended,
            market_time=now,
            speed=self._reading.speed,
            next_event=words,
            next_event_at=at,
        )

    def index_expires_today(self) -> bool:
        """Whether contracts of an index end today."""
        today = self.today()
        return any(
            contracts.expiry == today
            for name in self.index.names
            if self.rules.is_index(name)
            for contracts in self.index.all_contracts(name)[:1]
        )

    def is_tradable_now(self, instrument: Instrument) -> tuple[bool, str]:
        """Whether orders of an instrument can trade now, and in words why not."""
        if instrument.kind is InstrumentKind.INDEX:
            return False, "an index cannot be traded"
        now = self.clock.market_now()
        if instrument.expiry is not None and not self._reading.extended:
            ends = self.calendar.expiry_instant(instrument.expiry, is_index=self.index.rules.is_index(instrument.name))
            if now >= ends:
                return False, f"this contract ended on {self._local(ends)}"
        if self.is_open():
            return True, "open"
        words, at = self.calendar.next_event(now)
        if self._reading.opens_at is not None and self._reading.opens_at > now:
            words, at = "opens", self._reading.opens_at
        return False, f"closed; {words}" + (f" {self._local(at)}" if at is not None else "")

    def set_halts(self, halts: Mapping[int, str]) -> None:
        """Say which segments (low byte of their tokens) stand still on a living path, each in words."""
        self._halts = dict(halts)

    def halts(self) -> tuple[str, ...]:
        """Why markets may be halted, one sentence each."""
        return tuple(self._halts[segment] for segment in sorted(self._halts))

    def halt_of(self, token: int) -> str:
        """Why the market of an instrument may be halted; empty when nothing speaks for it."""
        return self._halts.get(token & SEGMENT_MASK, "")

    def instrument(self, key: InstrumentKey) -> Instrument | None:
        """The row of today's dump."""
        try:
            return self.index.by_key(key)
        except UnknownInstrument:
            return None

    def quote(self, token: int) -> Quote | None:
        """One instrument's quote now, with its state."""
        return self.board.quote(token, states=self.states, now_ns=int(self.clock.monotonic() * NS_PER_S))

    def quote_marks(self, tokens: Sequence[int]) -> Integers:
        """A number for each instrument that is another one whenever its quote or state is; shape (n,)."""
        slots = self.board.slots_of(tokens)
        return self.states.marks(self.board, slots, int(self.clock.monotonic() * NS_PER_S))

    def _local(self, moment: datetime) -> str:
        return f"{moment.astimezone(self.calendar.zone):%a %d %b %H:%M} IST"
