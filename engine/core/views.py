"""What screens and scripts look at: immutable pictures of the engine's state. NaN in a column means unknown."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from engine.core.events import EngineEvent
from engine.core.identifiers import AccountId
from engine.core.locks import LockView
from engine.core.orders import OrderRecord
from engine.core.positions import BrokerPosition, Funds
from engine.core.replay import ReplayView
from engine.core.strategies import StrategyValue
from engine.core.vocabulary import Exchange, Mark, Mode, QuoteState, Venue

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Codes: TypeAlias = npt.NDArray[np.uint8]


class ChainKey(msgspec.Struct, frozen=True, order=True):
    """One expiry of one underlying."""

    underlying: str
    expiry: date


class ChainColumns(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Calls or puts of a chain, one element per strike; read-only arrays of shape (n,)."""

    token: Integers
    """0 where the strike has no such contract."""
    bid: Floats
    ask: Floats
    last: Floats
    volume: Floats
    open_interest: Floats
    """Units."""
    open_interest_change: Floats
    """Percent against the first open interest seen today; NaN until there are two readings."""
    implied_volatility: Floats
    """Annual, 0.14 is 14 %."""
    iv_reason: Codes
    """``engine.analytics.implied_volatility.IvReason``: why the volatility is NaN."""
    iv_input: Codes
    """The price the volatility was taken from: 0 none, 1 the mid, 2 the last trade."""
    delta: Floats
    gamma: Floats
    theta: Floats
    """Per calendar day."""
    vega: Floats
    """Per 1 percentage point."""
    state: Codes
    """``QuoteState``."""
    age_s: Floats
    position: Integers
    """Own signed units."""
    working: Integers
    """Own working orders on the contract (a count)."""
    theoretical: Floats
    """Value by the smile fitted to all *other* strikes, index points."""
    mispricing: Floats
    """Price that the volatility was taken from less ``theoretical``, index points: positive is dear."""
    spread_percent: Floats
    """Ask less bid, percent of the mid; NaN unless both are there and not crossed."""
    liquidity: Floats
    """0 (cannot be traded) to 100."""
    build_up: Codes
    """Price against the previous close, open interest against the day's first: 0 unknown, 1 neutral, 2 long build-up,
    3 short build-up, 4 long unwinding, 5 short covering."""
    intrinsic: Floats
    """Against the forward, discounted, index points."""
    extrinsic: Floats
    """Price that the volatility was taken from less ``intrinsic``, index points."""


class ChainHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The figures above a chain. ``None`` means unknown; ``reason`` says why."""

    underlying: str
    expiry: date
    labels: tuple[str, ...]
    lot_size: int
    exchange: Exchange
    seconds_to_expiry: float
    spot: float | None
    """By ``spot_source``: the index as last heard, or the synthetic one while the exchange does not move the index."""
    spot_state: QuoteState
    """Of the index."""
    spot_source: str
    """``index``, ``synthetic`` (the forward less the carry measured while the index still moved) or ``none``."""
    forward: float | None
    forward_source: str
    """``parity``, ``future`` or ``none``."""
    forward_grade: str
    """A, B or C for a parity forward; empty for a future."""
    atm_strike: float | None
    atm_volatility: float | None
    straddle: float | None
    pcr_open_interest: float | None
    pcr_volume: float | None
    max_pain: float | None
    carry: float | None
    """Annualised, forward against the moving index, 0.065 is 6.5 %; while the index stands still, as last measured."""
    expected_move: float | None
    """Index points, one side: the ATM straddle's price."""
    one_sigma_move: float | None
    """Index points, one side: forward times ATM volatility times the root of time."""
    smile_grade: str
    """A, B, C or ``none``."""
    smile_reason: str
    """Why the grade is not A."""
    risk_reversal: float | None
    """25-delta call less 25-delta put, volatility."""
    butterfly: float | None
    """Mean of the 25-delta wings less at the money, volatility."""
    call_walls: tuple[float, ...]
    """Strikes at or above the forward with the most open interest of calls, largest first."""
    put_walls: tuple[float, ...]
    """Strikes at or below the forward with the most open interest of puts, largest first."""
    gamma_exposure: float | None
    """Rupees of hedging per one percent move, calls positive and puts negative (dealers long calls, short puts)."""
    gamma_unknown: int
    """Options with open interest whose gamma is unknown; they are not in ``gamma_exposure``."""
    reason: str = ""
    halt: str = ""
    """Why the market of these contracts may be halted, with the evidence; empty when nothing speaks for it."""


class ChainView(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A chain at one moment."""

    key: ChainKey
    sequence: int
    """Grows with each change; give it back as ``since`` to learn which rows changed."""
    strikes: Floats
    header: ChainHeader
    calls: ChainColumns
    puts: ChainColumns
    changed: npt.NDArray[np.intp]
    """Rows that changed after the caller's ``since``; all rows when it cannot be told."""


class StripItem(msgspec.Struct, frozen=True, kw_only=True):
    """One figure of the index strip."""

    label: str
    last: Decimal | None
    change_percent: float | None
    state: QuoteState


class BudgetGauge(msgspec.Struct, frozen=True, kw_only=True):
    """Orders used against the limits."""

    second_used: int
    second_limit: int
    minute_used: int
    minute_limit: int
    day_used: int
    """By every program of the account, as far as the broker's book tells."""
    day_limit: int
    second_entries: int = 0
    """Where entries stop in the second, the minute and the day; the rest is for exits and cancels."""
    minute_entries: int = 0
    day_entries: int = 0
    paused_s: float = 0.0
    """Silence that is still to be kept after a refusal for speed, seconds."""
    lowered_by: int = 0
    """Requests a second that are left out after refusals for speed; they come back with time."""


class SessionView(msgspec.Struct, frozen=True, kw_only=True):
    """The exchange's day as the clock stands."""

    state: str
    """``pre-open``, ``open``, ``closed`` or ``holiday``."""
    extended: bool
    """A practice session held open after the close of its day."""
    market_time: datetime
    """Aware UTC."""
    speed: float
    """Market seconds per second; 1 when live."""
    next_event: str
    """For example ``spot freezes`` or ``closes``."""
    next_event_at: datetime | None


class FeedView(msgspec.Struct, frozen=True, kw_only=True):
    """The market data path."""

    state: QuoteState
    age_s: float | None
    """Seconds since the last byte of any connection."""
    connections: int
    subscribed: int
    packets: int
    bad_frames: int
    reconnects: int
    message: str = ""


class AccountView(msgspec.Struct, frozen=True, kw_only=True):
    """One account's figures in the status."""

    account: AccountId
    name: str
    writer: bool
    """This engine may send its orders; false when another one holds the account."""
    budget: BudgetGauge
    day_profit: dict[Mark, Decimal]
    """Gross."""
    day_profit_partial: dict[Mark, tuple[str, ...]]
    day_net: dict[Mark, Decimal | None]
    funds: Funds | None
    """As last read; ``None`` before that."""
    unknown_orders: int
    working_orders: int
    degraded: tuple[str, ...]
    """What of it does not run as it should, one sentence each."""
    unread_events: int = 0
    """Of its own events; those that are of no account are not among them."""

    @property
    def margin_utilisation(self) -> Decimal | None:
        """Part of the money that is in use; ``None`` while it is not known."""
        return self.funds.utilisation if self.funds is not None else None


class SeatView(msgspec.Struct, frozen=True, kw_only=True):
    """How one terminal or script is armed."""

    seat: str
    mode: Mode
    hot_left_s: int | None = None
    """Whole seconds until HOT ends without a further key; ``None`` in another mode."""
    hot_lots: int | None = None
    """Most lots of one stroke; ``None`` in another mode."""


class StatusView(msgspec.Struct, frozen=True, kw_only=True):
    """The status lines' figures."""

    venue: Venue
    venue_note: str
    """How the venue's market came about: seed, snapshot, start."""
    mode: Mode
    """Of the seat that looks. On the wire that of a seat that is not among ``seats``."""
    hot_left_s: int | None = None
    """Of the seat that looks, as in ``SeatView``."""
    hot_lots: int | None = None
    start_mode: Mode | None = None
    """Of every seat that is not among ``seats``; ``None`` where one mode is that of all."""
    seats: tuple[SeatView, ...] = ()
    """Seats that stand differently from the start."""
    account: AccountId
    """The account in view: ``writer``, ``budget``, the money and the margin are this one's alone."""
    account_name: str
    accounts: tuple[AccountView, ...] = ()
    """All accounts of the engine in their order, the one in view first."""
    writer: bool
    """This engine may send; false when another one holds the account."""
    session: SessionView
    feed: FeedView
    budget: BudgetGauge
    day_profit: dict[Mark, Decimal]
    """Gross."""
    day_profit_partial: dict[Mark, tuple[str, ...]]
    day_net: dict[Mark, Decimal | None] = {}
    """``day_profit`` less what the day's fills have paid; ``None`` while a charge is not known."""
    margin_utilisation: Decimal | None
    unknown_orders: int
    """Of all accounts."""
    unread_events: int
    replay: ReplayView | None = None
    """Where the tape stands; ``None`` when this is no replay."""
    halts: tuple[str, ...] = ()
    """Markets that may be halted, one sentence each with its evidence; their feed is alive."""
    degraded: tuple[str, ...]
    """Services that do not run as they should, one sentence each."""

    def seen_from(self, seat: str) -> StatusView:
        """The same with the mode of a seat."""
        if self.start_mode is None:
            return self
        start = SeatView(seat=seat, mode=self.start_mode)
        own = next((view for view in self.seats if view.seat == seat), start)
        if (self.mode, self.hot_left_s, self.hot_lots) == (own.mode, own.hot_left_s, own.hot_lots):
            return self
        return msgspec.structs.replace(self, mode=own.mode, hot_left_s=own.hot_left_s, hot_lots=own.hot_lots)


class DeskView(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the Desk draws besides the chain. ``revision`` grows with each change."""

    revision: int
    status: StatusView
    strip: tuple[StripItem, ...]
    strategies: tuple[StrategyValue, ...]
    """Of all accounts, account by account; each says whose it is. So do orders, positions and events."""
    orders: tuple[OrderRecord, ...]
    """Unknown first, then working, then the rest of the day, newest first."""
    positions: tuple[BrokerPosition, ...] | None = None
    """The broker's net positions as last read, seconds ago; ``None`` before the first reading."""
    events: tuple[EngineEvent, ...]
    """Newest last, bounded."""
    locks: tuple[LockView, ...] = ()
    """What keeps new risk out, of every account."""


class OrderChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What happened to orders after a place in the list of changes; none is left out."""

    sequence: int
    """The place after these; give it back to learn what comes next."""
    base: int
    """The place before these; 0 for a snapshot: every order as it stands, because the asked place is not kept."""
    orders: tuple[OrderRecord, ...]
    """Each change in its order; one order may be there several times."""


class EventChanges(msgspec.Struct, frozen=True, kw_only=True):
    """What happened after a place in the list of events; none is left out."""

    sequence: int
    base: int
    """0 for a snapshot: the events that are kept, because the asked place is not."""
    events: tuple[EngineEvent, ...]


class UnderlyingView(msgspec.Struct, frozen=True, kw_only=True):
    """An underlying that has options today."""

    name: str
    exchange: Exchange
    index_token: int | None
    lot_size: int
    expiries: int


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the preflight."""

    name: str
    outcome: str
    """``ok``, ``note`` or ``block``."""
    message: str
    account: AccountId | None = None
    """Whose it is; ``None``: it concerns everybody."""


class DoctorView(msgspec.Struct, frozen=True, kw_only=True):
    """The preflight: each check with its number and, when it blocks, what to do."""

    at: datetime
    checks: tuple[Check, ...]
