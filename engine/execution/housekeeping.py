"""What to do with protective orders when the position they protect has become smaller or is gone: pure functions.

An order is protective if, when it was made, it could only take away what its strategy and the account both held.
Others are never touched: an entry, an order from outside, an order of a plan. Stops and targets of one position stand
for each other, so each role is measured on its own. An order that the broker lets nobody modify any more is replaced:
the smaller one is placed first, both count while both rest, and only then is the larger one cancelled. A stop from
outside that has nothing left to take away is asked about.

Invariant: what is done never leaves what is held less protected than it was. What is held is taken as the most that
the ledger, the broker, the strategies one by one, and the working orders that may add to it say.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec

from engine.core.identifiers import InstrumentKey, OrderNumber, StrategyNumber
from engine.core.orders import OrderRecord, OrderRequest, OrderState
from engine.core.vocabulary import OrderType, Product, Side
from engine.execution.words import grouped

HOUSEKEEPING = "housekeeping"
"""By whom its actions are decided."""
HOUSEKEEPING_VERSION = "2"
"""Kept with every action: change it whenever the rules judge otherwise."""
RESTING = frozenset({OrderState.OPEN, OrderState.TRIGGER_PENDING})
STAND_IN_PREFIX = "hk/instead/"
"""Keys of orders that are placed in the place of another: this, that order, and which attempt it is."""
STAND_INS_MAX = 3
"""Orders made in the place of one, at most."""
STOPS = frozenset({OrderType.SL, OrderType.SL_M})


class PositionKey(NamedTuple):
    """What the broker keeps one net position of."""

    instrument: InstrumentKey
    product: Product

    @classmethod
    def of(cls, request: OrderRequest) -> PositionKey:
        """The position that an order changes."""
        return cls(request.instrument, request.product)

    def __str__(self) -> str:
        """``NIFTY26D0124000CE NRML``."""
        return f"{self.instrument.tradingsymbol} {self.product}"


class Role(StrEnum):
    """What a protective order does for its position."""

    STOP = "stop"
    TARGET = "target"

    @classmethod
    def of(cls, order_type: OrderType) -> Role:
        """As it was made: a triggered stop may stand in the book as a limit."""
        return cls.STOP if order_type in STOPS else cls.TARGET


class Protection(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a protective order besides its record."""

    role: Role
    strategy: StrategyNumber
    """Whose position it is for; the default strategy's when it names none."""


class Holdings(msgspec.Struct, frozen=True, kw_only=True):
    """What is held, signed units, zeros left out."""

    ledger: Mapping[PositionKey, int]
    """Ours, with the fills that are not booked yet."""
    broker: Mapping[PositionKey, int]
    """As the broker says; the ledger's own where it has not been asked."""
    strategies: Mapping[tuple[StrategyNumber, PositionKey], int]

    def needed(self, key: PositionKey, side: Side) -> int:
        """Units that an order of ``side`` could take away, by whoever says most."""
        shares = [-side.sign * units for (_, other), units in self.strategies.items() if other == key]
        return max(
            0,
            -side.sign * self.ledger.get(key, 0),
            -side.sign * self.broker.get(key, 0),
            sum(share for share in shares if share > 0),
        )

    def of_strategy(self, strategy: StrategyNumber, key: PositionKey, side: Side) -> int:
        """Units of one strategy that an order of ``side`` could take away."""
        return max(0, -side.sign * self.strategies.get((strategy, key), 0))


class TidyPicture(msgspec.Struct, frozen=True, kw_only=True):
    """Everything the decision looks at; taken at one moment."""

    working: tuple[OrderRecord, ...]
    """Orders of the account that may still trade, unknown ones included."""
    protections: Mapping[OrderNumber, Protection]
    """The protective ones among them."""
    holdings: Holdings | None
    """``None`` while positions are not known."""
    doubtful: frozenset[PositionKey] = frozenset()
    """Where our books and the broker's differ and nobody has explained it."""
    untouchable: frozenset[OrderNumber] = frozenset()
    """Orders of plans, and of strategies whose orders are left alone."""
    lot_size: Callable[[InstrumentKey], int | None]
    modifications_max: int
    stand_ins: Mapping[OrderNumber, tuple[OrderRecord, ...]] = {}
    """Orders that were made in the place of an order, by its number, oldest first; ended ones too."""


class Shrink(msgspec.Struct, frozen=True, kw_only=True):
    """Modify an order down to what is left to protect."""

    number: OrderNumber
    quantity: int
    """The new total, filled part included."""
    words: str


class Drop(msgspec.Struct, frozen=True, kw_only=True):
    """Cancel an order that protects nothing any more."""

    number: OrderNumber
    words: str


class Replace(msgspec.Struct, frozen=True, kw_only=True):
    """Place a smaller order in the place of one that nobody may modify any more, which rests until this one does."""

    number: OrderNumber
    """The one that is too large."""
    quantity: int
    """Units of the new one."""
    idempotency_key: str
    words: str


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """Say what a person should decide; the same once."""

    key: str
    words: str
    number: OrderNumber | None = None
    needs_broker: bool = False
    """Said only after the broker's positions were read too: an order from outside may be known before its fill."""


Action = Shrink | Drop | Replace | Ask


def tidy(picture: TidyPicture) -> tuple[Action, ...]:
    """What follows from a picture; nothing of a contract while one of its orders is in flight."""
    keys = sorted({PositionKey.of(record.request) for record in _protective(picture)})
    if picture.holdings is None:
        if not keys:
            return ()
        return (Ask(key="positions", words="Positions are not known: protective orders are left as they are."),)
    actions: list[Action] = []
    for key in keys:
        wanted = [
            action for side in Side for role in Role for action in _of_role(picture, picture.holdings, key, side, role)
        ]
        actions += _held_back(picture, key, wanted) if wanted else ()
    return (*actions, *_orphans(picture, picture.holdings))


def _protective(picture: TidyPicture) -> list[OrderRecord]:
    return [
        record
        for record in picture.working
        if record.number in picture.protections and record.number not in picture.untouchable
    ]


def _held_back(picture: TidyPicture, key: PositionKey, wanted: list[Action]) -> list[Action]:
    """The actions, unless something about the contract is not known well enough."""
    here = [record for record in picture.working if PositionKey.of(record.request) == key]
    unknown = [record for record in here if record.state is OrderState.UNKNOWN]
    if unknown:
        names = ", ".join(f"o{record.number}" for record in unknown)
        words = f"The outcome of {names} is not known: protective orders of {key} are left as they are."
        return [Ask(key=f"unknown {key} {names}", words=words)]
    if any(record.state not in RESTING for record in here):
        return []  # it settles within seconds, and then all is looked at again
    if key in picture.doubtful:
        words = f"Our books and the broker's differ on {key}: its protective orders are left as they are."
        return [Ask(key=f"doubt {key}", words=words)]
    return wanted


def _of_role(picture: TidyPicture, holdings: Holdings, key: PositionKey, side: Side, role: Role) -> list[Action]:
    group = [
        record
        for record in _protective(picture)
        if PositionKey.of(record.request) == key
        and record.request.side is side
        and picture.protections[record.number].role is role
    ]
    if not group:
        return []
    coming = sum(
        record.remaining_quantity
        for record in picture.working
        if PositionKey.of(record.request) == key
        and record.request.side is side.opposite
        and record.number not in picture.protections
    )
    held = holdings.needed(key, side)
    excess = sum(record.remaining_quantity for record in group) - held - coming
    actions: list[Action] = []
    for record, other in _handed_over(picture, group):
        if record.remaining_quantity <= excess:
            excess -= record.remaining_quantity
            group.remove(record)
            words = f"o{record.number} could not be modified any more, and o{other.number} rests in its place"
            actions.append(Drop(number=record.number, words=words))
    own = _own_excess(picture, holdings, key, side, group)
    if excess <= 0:
        return [*actions, *(_strangers(key, group, own) if not coming else ())]
    left = f"{grouped(held)} of {key} left to protect" + (f", {grouped(coming)} may come" if coming else "")
    for record, cut in _cuts(picture, group, own, excess):
        actions.append(_cut_one(picture, record, cut, left))
    return actions


def _own_excess(
    picture: TidyPicture, holdings: Holdings, key: PositionKey, side: Side, group: Iterable[OrderRecord]
) -> dict[StrategyNumber, int]:
    """By strategy: units of its orders beyond what it holds itself."""
    totals: dict[StrategyNumber, int] = defaultdict(int)
    for record in group:
        totals[picture.protections[record.number].strategy] += record.remaining_quantity
    return {strategy: max(0, total - holdings.of_strategy(strategy, key, side)) for strategy, total in totals.items()}


def _cuts(
    picture: TidyPicture, group: list[OrderRecord], own: Mapping[StrategyNumber, int], excess: int
) -> list[tuple[OrderRecord, int]]:
    """Which orders give up how many units: first where their own strategy has too many, the newest first."""
    newest = sorted(group, key=lambda record: -record.number)
    given: dict[OrderNumber, int] = defaultdict(int)
    for share in (dict(own), None):
        for record in newest:
            strategy = picture.protections[record.number].strategy
            units = min(excess, record.remaining_quantity - given[record.number])
            if share is not None:
                units = min(units, share[strategy])
                share[strategy] -= units
            given[record.number] += units
            excess -= units
    return [(record, given[record.number]) for record in newest if given[record.number]]


def _cut_one(picture: TidyPicture, record: OrderRecord, cut: int, left: str) -> Action:
    number, keep = record.number, record.remaining_quantity - cut
    what = f"o{number} {record.request.side} {grouped(record.remaining_quantity)}"
    if not keep:
        return Drop(number=number, words=f"{what}: {left}")
    lot = picture.lot_size(record.request.instrument)
    if lot is None or (record.filled_quantity + keep) % lot:
        size = "not known" if lot is None else grouped(lot)
        words = f"{what} is too large ({left}), and {grouped(keep)} are no whole lots of {size}: change it by hand."
        return Ask(key=f"lots o{number} {keep}", words=words, number=number)
    if record.modifications >= picture.modifications_max:
        return _replace(picture, record, keep, f"{what} is too large ({left}) and was modified {record.modifications}")
    return Shrink(number=number, quantity=record.filled_quantity + keep, words=f"{what}: {left}")


def _handed_over(picture: TidyPicture, group: Iterable[OrderRecord]) -> list[tuple[OrderRecord, OrderRecord]]:
    """Orders of a group in whose place another one rests, each with that one."""
    resting = {record.number: record for record in picture.working if record.state in RESTING}
    return [
        (record, resting[other.number])
        for record in group
        for other in picture.stand_ins.get(record.number, ())[-1:]
        if other.number in resting
    ]


def _replace(picture: TidyPicture, record: OrderRecord, keep: int, what: str) -> Action:
    """A smaller one in its place, where such a one can come to rest; otherwise it is asked about."""
    number, made = record.number, picture.stand_ins.get(record.number, ())
    words = f"{what} times, the most the broker allows"
    # One whose trigger was reached would be a stop on the wrong side of the market now.
    can_rest = record.state is OrderState.TRIGGER_PENDING or Role.of(record.request.order_type) is Role.TARGET
    if can_rest and len(made) < STAND_INS_MAX and not any(other.state.is_working for other in made):
        key = f"{STAND_IN_PREFIX}o{number}/{len(made) + 1}"
        return Replace(number=number, quantity=keep, idempotency_key=key, words=words)
    tried = f" ({len(made)} were placed and do not rest)" if made else ""
    return Ask(
        key=f"modifications o{number} {keep} {len(made)}",
        words=f"{words}: place a smaller one{tried}, then cancel it.",
        number=number,
    )


def _orphans(picture: TidyPicture, holdings: Holdings) -> list[Action]:
    """Stops from outside that have nothing to take away, and nothing that could come."""
    found: list[Action] = []
    for record in picture.working:
        key, side = PositionKey.of(record.request), record.request.side
        here = [other for other in picture.working if PositionKey.of(other.request) == key]
        is_stop = record.request.order_type in STOPS and record.state is OrderState.TRIGGER_PENDING
        if record.intent_id is not None or not is_stop or record.number in picture.untouchable:
            continue
        is_known = key not in picture.doubtful and all(other.state in RESTING for other in here)
        if is_known and not holdings.needed(key, side) and all(other.request.side is side for other in here):
            words = (
                f"o{record.number}, placed outside, is a stop of nothing: no {key} is held that it could take away. "
                f"Cancel it? Say: cancel o{record.number}"
            )
            found.append(Ask(key=f"orphan o{record.number}", words=words, number=record.number, needs_broker=True))
    return found


def _strangers(key: PositionKey, group: Iterable[OrderRecord], own: Mapping[StrategyNumber, int]) -> list[Action]:
    """Orders that their own strategy has no use for, and that still protect what another one holds."""
    names = {strategy: units for strategy, units in own.items() if units}
    if not names:
        return []
    numbers = ", ".join(f"o{record.number}" for record in group)
    strategies = ", ".join(f"#{strategy}" for strategy in names)
    words = (
        f"{numbers}: {strategies} holds less of {key} than its orders protect, another strategy holds it; left alone."
    )
    return [Ask(key=f"strangers {key} {numbers} {strategies}", words=words)]
