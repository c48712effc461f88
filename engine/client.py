"""The one door to an engine, the same in process and over a socket. Screens, scripts and commands see nothing else.

Synchronous methods are pictures of what is already here: cheap enough to be called on every frame. Asynchronous ones
may wait. Errors are those of ``engine.core.errors``, with the same words over every road.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Protocol

from engine.core.analysis import (
    AttributionView,
    PayoffView,
    ScenarioView,
    SeriesView,
    SmileView,
    VolatilityView,
)
from engine.core.bars import BarInterval, BarsView
from engine.core.commands import Command, Interpretation, Preview, Receipt
from engine.core.events import EngineEvent
from engine.core.execution import DeadLetter, ExecutionHealth, OrderWhy
from engine.core.funds_margin import MarginAnswer
from engine.core.handover import Handover
from engine.core.identifiers import AccountId, InstrumentKey, OrderNumber, StrategyNumber
from engine.core.instruments import ExpiryLabel, Instrument
from engine.core.operations import OperationsView
from engine.core.orders import OrderEvent, OrderRecord, OrderRequest, Trade
from engine.core.plans import PlanView
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import Quote
from engine.core.reconciling import Mismatch
from engine.core.replay import ReplayAction, ReplayView
from engine.core.rulebook import RulesView
from engine.core.standing_triggers import Gtt
from engine.core.strategies import M2mCandle, StrategyValue
from engine.core.views import (
    ChainKey,
    ChainView,
    DeskView,
    DoctorView,
    EventChanges,
    Integers,
    OrderChanges,
    UnderlyingView,
)


class EngineClient(Protocol):
    """What can be seen of an engine and asked of it."""

    def desk(self) -> DeskView:
        """Everything the Desk draws besides the chain; the same object while nothing has changed."""
        ...

    def chain(self, key: ChainKey, since: int = 0) -> ChainView | None:
        """A watched chain now, with the rows that changed after sequence ``since``; ``None`` when it is not watched."""
        ...

    def quote(self, token: int) -> Quote | None:
        """A watched instrument now; ``None`` when nothing is known of it."""
        ...

    def quote_marks(self, tokens: Sequence[int]) -> Integers:
        """A number for each instrument that is another one whenever its quote is, its age apart; shape (n,).

        Cheap for thousands of instruments: whoever follows many quotes asks for the marks, and reads what changed.
        """
        ...

    async def watch_chain(self, key: ChainKey) -> None:
        """Subscribe to a chain; counted, so each watch needs its ``unwatch_chain``.

        Raises:
            UnknownInstrument: no such underlying or expiry today.
        """
        ...

    async def unwatch_chain(self, key: ChainKey) -> None:
        """Give up one watch of a chain."""
        ...

    async def watch(self, tokens: Sequence[int]) -> None:
        """Subscribe to instruments in full mode; counted.

        Raises:
            UnknownInstrument: no instrument of today has this token; none was subscribed.
        """
        ...

    async def unwatch(self, tokens: Sequence[int]) -> None:
        """Give up one watch of each."""
        ...

    async def underlyings(self) -> tuple[UnderlyingView, ...]:
        """Underlyings that have options today, best known first."""
        ...

    async def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
        """Listed expiries with their labels, nearest first.

        Raises:
            UnknownInstrument: no such underlying; aliases are understood.
        """
        ...

    async def search(self, text: str, limit: int = 20) -> tuple[Instrument, ...]:
        """Instruments by free text (``nifty 24000 ce w0``), best first."""
        ...

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        """What a sentence of the command language means; nothing is done.

        Args:
            text: The sentence.
            account: Its strategies and orders are meant, and the command is for it; ``None``: all accounts' are known,
                and the command names none.

        Raises:
            InvalidInput: as ``positions``.
        """
        ...

    async def preview(self, command: Command, *, seat: str = "") -> Preview:
        """What a command of a seat would do, by the same checks as the real thing; nothing is sent."""
        ...

    async def submit(self, command: Command, *, seat: str = "") -> Receipt:
        """Do it. Returns when it is journalled and under way, or refused with every reason.

        A refusal is an answer, not an exception.
        """
        ...

    async def orders(self) -> tuple[OrderRecord, ...]:
        """Today's orders and every one still working, oldest first."""
        ...

    async def order_history(self, number: OrderNumber) -> tuple[OrderEvent, ...]:
        """What happened to one order."""
        ...

    async def why(self, number: OrderNumber) -> OrderWhy:
        """What decided an order and on which quotes, what happened to it, and how long each step took.

        Raises:
            UnknownOrder: there is no such order.
        """
        ...

    async def dead_letters(self) -> tuple[DeadLetter, ...]:
        """Orders that were given up and that nobody has closed or replayed, explained, newest first, bounded."""
        ...

    async def execution_health(self) -> tuple[ExecutionHealth, ...]:
        """Budgets, queue, breakers, latencies of each account's executor.

        An account that this engine only looks at is not among them.
        """
        ...

    async def mismatches(self) -> tuple[Mismatch, ...]:
        """Differences between our books and the broker's: open ones, explained ones, and those that went lately."""
        ...

    async def handover(self) -> tuple[Handover, ...]:
        """What to say to the broker's dealing desk by telephone, account by account; needs no order road."""
        ...

    async def plans(self) -> tuple[PlanView, ...]:
        """Plans of all accounts that are not over and those of the day, by number, with how far they are."""
        ...

    async def trades(self) -> tuple[Trade, ...]:
        """Today's fills, oldest first."""
        ...

    async def positions(self, account: AccountId | None = None) -> tuple[BrokerPosition, ...]:
        """The broker's net positions, asked now, of one account or of all; each says whose it is.

        Raises:
            InvalidInput: it is no account of this engine; those there are stand in ``desk().status.accounts``.
            BrokerError: those of an account cannot be read; of a single one that is named nothing else is asked.
        """
        ...

    async def strategies(self) -> tuple[StrategyValue, ...]:
        """Active strategies with their legs, valued now."""
        ...

    async def candles(self, strategy: StrategyNumber, start: datetime, end: datetime) -> tuple[M2mCandle, ...]:
        """Stored minute candles of a strategy's money in [start, end)."""
        ...

    async def funds(self, account: AccountId | None = None) -> Funds:
        """Money of an account at the broker, asked now; of the first one when none is named.

        Raises:
            InvalidInput: as ``positions``.
            BrokerError: it cannot be read.
        """
        ...

    async def gtts(self) -> tuple[Gtt, ...]:
        """Triggers that stand at the broker, asked now, of all accounts; with those of ours whose outcome is unknown.

        Raises:
            BrokerError: those of an account cannot be read.
        """
        ...

    async def basket_margin(self, legs: Sequence[OrderRequest], account: AccountId | None = None) -> MarginAnswer:
        """What orders would block together beside an account's positions, asked of the broker now; nothing is sent.

        Raises:
            InvalidInput: as ``positions``; or no leg, or too many.
            BrokerError: it does not answer.
        """
        ...

    async def events(self, after: int = 0) -> tuple[EngineEvent, ...]:
        """Events with a sequence greater than ``after``, oldest first, bounded to the newest."""
        ...

    async def payoff(
        self, strategy: StrategyNumber, *, days_ahead: float = 0.0, volatility_shift: float = 0.0, points: int = 161
    ) -> PayoffView:
        """What a strategy makes at each price, at its nearest expiry and ``days_ahead`` from now.

        Args:
            strategy: Which.
            days_ahead: Calendar days, 0 for now; at most to the nearest expiry.
            volatility_shift: Added to every volatility of the curve "now", 0.01 is one point.
            points: Prices on the axis.

        Raises:
            UnknownStrategy: there is no such strategy.
            InvalidInput: an argument is beyond its bounds.
        """
        ...

    async def scenario(
        self,
        strategy: StrategyNumber,
        *,
        days_ahead: float = 0.0,
        moves: Sequence[float] = (),
        shifts: Sequence[float] = (),
    ) -> ScenarioView:
        """Change of a strategy's money over moves of the forward (0.01 is +1 %) and shifts of volatility.

        Axes that are left out are chosen; raises as ``payoff``.
        """
        ...

    async def attribution(self, strategy: StrategyNumber) -> AttributionView:
        """Why a strategy's money moved since this engine began to watch it.

        Raises:
            UnknownStrategy: there is no such strategy.
        """
        ...

    async def smile(self, key: ChainKey) -> SmileView:
        """The fitted volatility curve of an expiry.

        Raises:
            UnknownInstrument: no such underlying or expiry today.
        """
        ...

    async def volatility(self, underlying: str) -> VolatilityView:
        """Where an underlying's volatility stands: across expiries, in its own history, against what was realised.

        Raises:
            UnknownInstrument: no such underlying; aliases are understood.
        """
        ...

    async def series(
        self,
        key: ChainKey,
        start: datetime,
        end: datetime,
        *,
        strike: float | None = None,
        indicators: Sequence[str] = (),
    ) -> SeriesView:
        """Stored minutes of an expiry, or of one strike of it, in [start, end), with indicators by name.

        Raises:
            UnknownInstrument: no such underlying.
            InvalidInput: an unknown indicator (the sentence lists them), or a time without a zone.
        """
        ...

    async def bars(
        self,
        instrument: InstrumentKey,
        interval: BarInterval,
        start: datetime,
        end: datetime,
        *,
        indicators: Sequence[str] = (),
    ) -> BarsView:
        """Candles of an instrument's price that begin in [start, end), the running one included, with indicators.

        What is not stored is asked of the broker's history where it has it, and kept.

        Raises:
            UnknownInstrument: no instrument of today, and nothing is stored under this name.
            InvalidInput: an unknown indicator, a span that is too long, or a time without a zone.
        """
        ...

    async def rules(self, on: date | None = None) -> RulesView:
        """The dated facts of the market in force on a day (today without one), and where they contradict the dump."""
        ...

    async def operations(self) -> OperationsView:
        """The engine room: connections, capacity, ages, rates, drops, recorder, gaps, accounts."""
        ...

    async def record(self, on: bool) -> OperationsView:
        """Begin or end a tape of what the feed brings; again is no error.

        Raises:
            Refused: this engine may not record (it only looks, or it plays a tape itself).
        """
        ...

    async def replay(self, action: ReplayAction | None = None) -> ReplayView:
        """Where the tape stands after ``action``; without one, where it stands now.

        Raises:
            Refused: this venue is no replay, or the action cannot be done; the sentence says why.
            InvalidInput: a speed or a time outside what is allowed.
        """
        ...

    async def renew_session(self, account: str = "") -> OperationsView:
        """Take the session a login has stored, for one account or the only one; sockets and calls go on with it.

        Raises:
            Refused: nothing newer is stored for it, or this venue needs no login.
        """
        ...

    async def next_orders(self, after: int | None = None) -> OrderChanges:
        """What happened to orders after ``after``, in order and whole; waits while nothing has.

        ``None``, or a place that is not kept any more: a snapshot at once.
        ``engine.following.follow_orders`` makes an endless sequence of it.
        """
        ...

    async def next_events(self, after: int | None = None) -> EventChanges:
        """As ``next_orders``, for events."""
        ...

    async def doctor(self) -> DoctorView:
        """Run the preflight."""
        ...

    async def close(self) -> None:
        """Leave. A remote engine goes on; an engine in this process is left to whoever started it."""
        ...
