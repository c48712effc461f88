"""Whatever is held and whatever rests: housekeeping never bares a position, asks twice, or reverses too much."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderRecord, OrderState, Trade
from engine.core.vocabulary import OrderType, Side
from engine.execution.housekeeping import Action, Ask, Drop, Holdings, Role, Shrink, tidy
from engine.execution.overshoot import FilledBy, OvershootLimits, Reverse, overshoots, reversals
from tests.kit.fake_broker import LOT
from tests.unit.execution.protections import CALL, MAIN, NOW, OTHER, fill, held, order, picture

RESTING = {OrderType.SL: OrderState.TRIGGER_PENDING, OrderType.LIMIT: OrderState.OPEN}


@st.composite
def protective_orders(draw: st.DrawFn) -> tuple[OrderRecord, ...]:
    """Up to six, of any side, kind, strategy, filled in part or not."""
    found = []
    for number in range(1, draw(st.integers(0, 6)) + 1):
        kind = draw(st.sampled_from([OrderType.SL, OrderType.LIMIT]))
        lots = draw(st.integers(1, 4))
        found.append(
            order(
                number,
                draw(st.sampled_from(list(Side))),
                lots * LOT,
                kind=kind,
                state=RESTING[kind],
                filled=draw(st.integers(0, lots - 1)) * LOT,
                strategy=draw(st.sampled_from([MAIN, OTHER])),
                modifications=draw(st.sampled_from([0, 25])),
            )
        )
    return tuple(found)


@st.composite
def holdings_of_lots(draw: st.DrawFn) -> Holdings:
    """Everybody has an opinion of his own."""
    lots = st.integers(-5, 5).map(lambda number: number * LOT)
    return held(draw(lots), broker=draw(lots), main=draw(lots), other=draw(lots))


def after(orders: tuple[OrderRecord, ...], actions: tuple[Action, ...]) -> dict[int, int]:
    """What remains of each order once everything was done."""
    left = {record.number: record.remaining_quantity for record in orders}
    for action in actions:
        match action:
            case Drop(number=number):
                left[number] = 0
            case Shrink(number=number, quantity=quantity):
                filled = next(record.filled_quantity for record in orders if record.number == number)
                left[number] = quantity - filled
    return {int(number): units for number, units in left.items()}


@given(orders=protective_orders(), holdings=holdings_of_lots(), entries=protective_orders())
def test_nothing_that_is_held_is_less_protected_than_it_was(
    orders: tuple[OrderRecord, ...], holdings: Holdings, entries: tuple[OrderRecord, ...]
) -> None:
    """For each side and role, by anybody's figure of what is held; and no order ever grows or is asked twice."""
    others = tuple(
        order(
            20 + record.number,
            record.request.side,
            record.request.quantity,
            kind=record.request.order_type,
            state=record.state,
        )
        for record in entries
    )
    actions = tidy(picture(holdings, *orders, entries=others))
    doing = [action.number for action in actions if not isinstance(action, Ask)]
    assert len(doing) == len(set(doing))
    assert set(doing) <= {record.number for record in orders}
    left = after(orders, actions)
    for record in orders:
        assert 0 <= left[record.number] <= record.remaining_quantity
        assert left[record.number] % LOT == 0
    views = [
        holdings.ledger[CALL],
        holdings.broker[CALL],
        *holdings.strategies.values(),
        sum(units for units in holdings.strategies.values() if units < 0),
        sum(units for units in holdings.strategies.values() if units > 0),
    ]
    for side in Side:
        for role in Role:
            mine = [
                record
                for record in orders
                if record.request.side is side and Role.of(record.request.order_type) is role
            ]
            before = sum(record.remaining_quantity for record in mine)
            now = sum(left[record.number] for record in mine)
            for units in views:
                at_risk = max(0, -side.sign * units)
                assert min(at_risk, now) == min(at_risk, before)


@given(orders=protective_orders(), holdings=holdings_of_lots())
def test_once_done_there_is_nothing_more_to_do(orders: tuple[OrderRecord, ...], holdings: Holdings) -> None:
    """The same look at the orders as they stand afterwards finds nothing to change."""
    actions = tidy(picture(holdings, *orders))
    left = after(orders, actions)
    standing = tuple(
        order(
            record.number,
            record.request.side,
            record.filled_quantity + left[record.number],
            kind=record.request.order_type,
            state=record.state,
            filled=record.filled_quantity,
            strategy=record.request.strategy or MAIN,
        )
        for record in orders
        if left[record.number]
    )
    assert all(
        isinstance(action, Ask) or action.number in _used_up(orders) for action in tidy(picture(holdings, *standing))
    )


def _used_up(orders: tuple[OrderRecord, ...]) -> set[OrderNumber]:
    """Those that could not be modified any more the first time."""
    return {record.number for record in orders if record.modifications}


@given(
    steps=st.lists(st.tuples(st.integers(1, 5), st.sampled_from(list(Side)), st.integers(1, 3)), max_size=12),
    carried=st.integers(-3, 3),
)
def test_reversals_end_and_never_go_beyond_nothing(steps: list[tuple[int, Side, int]], carried: int) -> None:
    """Filling each reversal that is due takes the net towards nothing, never through it, and soon none is left."""
    fills = [
        fill(number, side, lots * LOT, NOW + timedelta(seconds=at)) for at, (number, side, lots) in enumerate(steps)
    ]

    def whose(trade: Trade) -> FilledBy | None:
        number = int(trade.broker_order_id[2:])
        if number == 5:
            return None
        return FilledBy(
            number=OrderNumber(number), strategy=MAIN, takes_away=number in {2, 3, 4}, is_reversal=number >= 100
        )

    net = carried * LOT + sum(item.signed_quantity for item in fills)
    earlier: dict[str, OrderRecord] = {}
    limits = OvershootLimits(window=timedelta(hours=1), attempts_max=3)
    for turn in range(2 * len(steps) + 2):
        found = overshoots(carried * LOT, net, fills, whose)
        assert sum(item.quantity for item in found) <= abs(net)
        now = NOW + timedelta(seconds=len(steps) + turn)
        due = reversals(CALL, found, held(net), (), earlier, now=now, limits=limits, quantity_max=None)
        sent = [step for step in due if isinstance(step, Reverse)]
        assert len(sent) <= 1
        if not sent:
            break
        (step,) = sent
        assert step.idempotency_key not in earlier
        after_it = net + step.side.sign * step.quantity
        assert net * after_it >= 0
        assert abs(after_it) < abs(net)
        number = 100 + turn
        earlier[step.idempotency_key] = order(number, step.side, step.quantity, state=OrderState.COMPLETE)
        fills.append(fill(number, step.side, step.quantity, now))
        net = after_it
    else:
        raise AssertionError("reversals do not end")
    assert not overshoots(carried * LOT, net, fills, whose)
