"""Plans: errands of more than one order, or that wait for a time or a condition. Data only.

A plan is durable: its specification never changes after it is journalled, and what it has done is read off the orders
that carry its keys. So a plan goes on after a kill exactly where it was, and never does a step twice.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import NewType

import msgspec

from engine.core.identifiers import AccountId, InstrumentKey, OrderNumber, StrategyNumber
from engine.core.orders import OrderRequest
from engine.core.quotes import Quote
from engine.core.vocabulary import Product

PlanNumber = NewType("PlanNumber", int)
"""What a person types: ``p1``. An identity for good."""


class PlanState(StrEnum):
    """Where a plan stands."""

    WAITING = "WAITING"
    """For its time or its condition; nothing has been sent."""
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    """Sends nothing new; what rests, rests. Also: it asks a person something."""
    CANCELLING = "CANCELLING"
    """Sends nothing new; its resting orders are being cancelled."""
    DONE = "DONE"
    CANCELLED = "CANCELLED"
    FAILED = "FAILED"
    """It cannot reach its goal; the words say why and what is left."""
    DROPPED = "DROPPED"
    """Its window passed, or a floor was not met: it never sent anything."""

    @property
    def is_over(self) -> bool:
        """Nothing more will happen."""
        return self in OVER


OVER = frozenset({PlanState.DONE, PlanState.CANCELLED, PlanState.FAILED, PlanState.DROPPED})


# ---- how one large order is worked


class Slice(msgspec.Struct, frozen=True, kw_only=True, tag="slice"):
    """All at once, in pieces that the exchange takes."""

    size: int | None = None
    """Units of a piece; ``None``: the most whole lots within the freeze quantity."""


class Iceberg(msgspec.Struct, frozen=True, kw_only=True, tag="iceberg"):
    """One piece after the other: the next is sent when the one before is filled."""

    pieces: int


class Twap(msgspec.Struct, frozen=True, kw_only=True, tag="twap"):
    """Equal pieces at equal distances of market time."""

    duration_s: float
    pieces: int | None = None
    """``None``: as many as there are lots, at most one in five seconds."""


class Chase(msgspec.Struct, frozen=True, kw_only=True, tag="chase"):
    """Rest at the touch and follow it, never further from the first price than so many ticks."""

    ticks: int
    every_s: float = 1.0
    """Least time between two changes of the price."""


Manner = Slice | Iceberg | Twap | Chase


class OrderPlan(msgspec.Struct, frozen=True, kw_only=True, tag="order"):
    """One order that is worked by an algorithm."""

    request: OrderRequest
    """With the whole quantity."""
    manner: Manner


# ---- baskets


class LegFailure(StrEnum):
    """What to do when a leg of a basket cannot be filled."""

    UNWIND = "unwind"
    """Take the filled legs off again, shorts first."""
    HOLD = "hold"
    """Keep what is filled, send nothing more, and ask."""
    CHASE = "chase"
    """Follow the touch for so many ticks, then hold."""


class LegPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How the legs of a basket are brought on, chosen before the first is sent."""

    hedge_first: bool = True
    """Bought legs before sold ones; each sold leg waits until what covers it is filled."""
    fill_timeout_s: float = 2.0
    """How long one leg may rest before it counts as failed."""
    naked_quantity_max: int = 0
    """Most units sold without cover at any moment."""
    naked_s_max: float = 5.0
    """Longest time with anything uncovered; then ``on_failure``."""
    on_failure: LegFailure = LegFailure.UNWIND
    chase_ticks: int = 3
    slippage_max: Decimal | None = None
    """Rupees a unit against the first prices, over the whole basket; beyond it the plan pauses and asks."""


class BasketPlan(msgspec.Struct, frozen=True, kw_only=True, tag="basket"):
    """Several orders that belong together."""

    legs: tuple[OrderRequest, ...]
    """In the order in which they are sent, within what ``leg_plan`` allows."""
    leg_plan: LegPlan = LegPlan()


class LegRole(StrEnum):
    """What a leg is for."""

    HEDGE = "hedge"
    """Bought, and what covers a sold leg."""
    LONG = "long"
    """Bought for itself."""
    SHORT = "short"


class LegPreview(msgspec.Struct, frozen=True, kw_only=True):
    """One leg of a basket in a preview."""

    index: int
    """Its place in the command, 0 is the first; violations name it from 1."""
    role: LegRole
    request: OrderRequest
    token: int | None = None
    """``None``: it is not in today's instruments."""
    lot_size: int | None = None
    tick_size: Decimal | None = None
    quote: Quote | None = None
    """The quote it was judged on."""
    charges: Decimal | None = None
    """When it fills wholly at its limit, or at the touch without one, rupees; ``None`` when not known."""


# ---- exits


class ExitScope(StrEnum):
    """Of what an exit's goal is counted."""

    LEG = "leg"
    STRATEGY = "strategy"
    ACCOUNT = "account"
    """The broker's net of the account."""


class ExitTarget(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be left."""

    scope: ExitScope
    strategy: StrategyNumber | None = None
    leg: int | None = None
    legs: tuple[int, ...] = ()
    """Several legs of one strategy (a side, the wings); ``leg`` is then ``None`` and the scope ``LEG``."""


class ExitManner(StrEnum):
    """How fast an exit crosses the spread."""

    PATIENT = "patient"
    NORMAL = "normal"
    NOW = "now"
    """Crosses at once, with protection."""


class ExitGoal(msgspec.Struct, frozen=True, kw_only=True):
    """One contract and product, and the signed units that are to go."""

    instrument: InstrumentKey
    product: Product
    signed_quantity: int
    """As held when the exit began: + long (to be sold), − short (to be bought back)."""
    strategy: StrategyNumber | None = None
    held: int | None = None
    """Signed units held then; what is to stay is ``held - signed_quantity``. ``None``: nothing is to stay."""
    is_default: bool = False
    """The strategy is the account's default one: orders that name no strategy are its too."""


class ExitPlan(msgspec.Struct, frozen=True, kw_only=True, tag="exit"):
    """Bring positions to nothing: a goal, not orders."""

    target: ExitTarget
    percent: int = 100
    """25, 50 or 100 in practice; 1 to 100. Whole lots, rounded up."""
    manner: ExitManner = ExitManner.NORMAL
    flat_by: datetime | None = None
    """Aware UTC, market clock."""
    goals: tuple[ExitGoal, ...] = ()
    """Frozen when it was taken; fills from elsewhere make them smaller, never larger."""
    allow_net_increase: bool = False
    """A person has read that the broker's net of a contract would open or grow, and wants it so."""
    slippage_max: Decimal | None = None
    """Rupees against the decided prices, over all goals; there prices go no further until a person says so."""


# ---- plans that wait


class Comparison(StrEnum):
    """How a figure is held against a level."""

    BELOW = "<"
    AT_MOST = "<="
    ABOVE = ">"
    AT_LEAST = ">="


class PriceTest(msgspec.Struct, frozen=True, kw_only=True):
    """The last price of an instrument against a level."""

    instrument: InstrumentKey
    comparison: Comparison
    level: Decimal
    for_s: float = 0.0
    """It has to hold for so long without a break; a quote that is not LIVE breaks it."""


class AtTime(msgspec.Struct, frozen=True, kw_only=True, tag="at"):
    """At a moment of market time."""

    at: datetime
    """Aware UTC."""


class Joint(StrEnum):
    """How a test is joined to those before it."""

    AND = "and"
    OR = "or"


class JoinedTest(msgspec.Struct, frozen=True, kw_only=True):
    """One more test of a condition."""

    joint: Joint
    test: PriceTest


class WhenPrice(msgspec.Struct, frozen=True, kw_only=True, tag="when"):
    """When a price is reached, until the end of the day."""

    test: PriceTest
    more: tuple[JoinedTest, ...] = ()
    """Further tests in the order written; ``and`` binds before ``or``."""

    @property
    def tests(self) -> tuple[PriceTest, ...]:
        """All of them."""
        return (self.test, *(joined.test for joined in self.more))

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Tests by their place in ``tests``: the condition holds when all of one group hold."""
        found: list[list[int]] = [[0]]
        for place, joined in enumerate(self.more, 1):
            if joined.joint is Joint.OR:
                found.append([])
            found[-1].append(place)
        return tuple(map(tuple, found))


Trigger = AtTime | WhenPrice


class Floors(msgspec.Struct, frozen=True, kw_only=True):
    """What must hold at the moment of firing; otherwise the plan is dropped and says which did not."""

    credit_min: Decimal | None = None
    """Rupees of premium received less paid, over all its orders at the touch."""
    spread_percent_max: Decimal | None = None
    """Widest allowed spread of any leg, percent of the mid."""


class TimedPlan(msgspec.Struct, frozen=True, kw_only=True, tag="timed"):
    """Orders that are sent at a time or on a condition; the sentence is read again then, so strikes are chosen then."""

    trigger: Trigger
    sentence: str
    """The action, in the command language."""
    window_s: float = 30.0
    """After the trigger it may still be sent for so long; then it is dropped, after a restart too."""
    floors: Floors = Floors()


PlanSpec = OrderPlan | BasketPlan | ExitPlan | TimedPlan


class PlanProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan remembers besides its orders; small, replaced as a whole."""

    step: int = 0
    """Of its own counting: the same step is never done twice."""
    note: str = ""
    """What it does or waits for now, one sentence."""
    facts: dict[str, str] = {}
    """Whatever the algorithm has to keep over a restart (first prices, the moment something became naked …)."""


class PlanRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it stands. Replaced, never mutated."""

    number: PlanNumber
    """0 before the journal has given one."""
    account: AccountId
    spec: PlanSpec
    state: PlanState
    idempotency_key: str
    sentence: str
    """What it does, in words, for lists and confirmations."""
    progress: PlanProgress = PlanProgress()
    seat: str = ""
    """Who confirmed it."""
    by: str = "person"
    """What made it: a person, a rule, the kill switch."""
    created_at: datetime
    """Aware UTC, market clock."""
    updated_at: datetime
    finished_at: datetime | None = None

    @property
    def name(self) -> str:
        """``p12``."""
        return f"p{self.number}"


class PlanStep(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a plan on a screen."""

    words: str
    """``hedge BUY 650 NIFTY26DEC24950CE``."""
    state: str
    """``WAITS``, ``WORKS``, ``DONE``, ``FAILED`` …"""
    filled: int
    quantity: int
    orders: tuple[OrderNumber, ...] = ()
    average_price: Decimal | None = None
    decided_price: Decimal | None = None
    """The price it was decided at, for the slippage."""


class PlanView(msgspec.Struct, frozen=True, kw_only=True):
    """A plan for screens and scripts."""

    record: PlanRecord
    steps: tuple[PlanStep, ...] = ()
    orders: tuple[OrderNumber, ...] = ()
    eta_s: float | None = None
    """Until the last order that is due could leave; ``None`` when nothing is due."""
    slippage: Decimal | None = None
    """Rupees against the decided prices, + is better than decided; ``None`` before the first fill."""
    naked_quantity: int = 0
    naked_s: float | None = None
    elapsed_s: float | None = None
    """Of market time since it began to act."""
    started_at: datetime | None = None


class PlanTurn(StrEnum):
    """What a person can do to a plan that runs."""

    PAUSE = "pause"
    RESUME = "resume"
    HURRY = "hurry"
    """The next step of its price schedule now."""
    PATIENT = "patient"
    """Stay a step longer."""
