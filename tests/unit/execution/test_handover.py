"""The sentences for the dealing desk, word for word."""

from __future__ import annotations

from datetime import date

from engine.core.accounts import Profile
from engine.core.handover import Handover, HandoverKind
from engine.core.orders import OrderRecord, OrderState
from engine.core.vocabulary import OrderType, Side
from engine.execution.handover import KnownPositions, handover
from tests.kit.fake_broker import LOT, option
from tests.unit.execution.protections import ACCOUNT, CALL, NOW, order

ROW = option(expiry=date(2026, 12, 1))


def spoken(
    ledger: int | None = None, broker: int | None = None, *, working: tuple[OrderRecord, ...] = (), age_s: float = 12.0
) -> Handover:
    """The sentences for one contract."""
    return handover(
        Profile(account_id=ACCOUNT, name="Test"),
        KnownPositions(
            ledger=None if ledger is None else {CALL: ledger},
            broker=None if broker is None else {CALL: broker},
            broker_age_s=None if broker is None else age_s,
            legs={CALL: ("3.1 -65",)},
        ),
        working,
        lambda key: ROW if key == ROW.key else None,
        NOW,
    )


def test_an_open_short_is_bought_back_at_market() -> None:
    """Client, side, units and lots, contract in words, product, price: in one breath."""
    (line,) = spoken(-2 * LOT, -2 * LOT).lines
    assert line.kind is HandoverKind.POSITION
    assert line.sentence == (
        "Client A B 1 2 3 4. Please buy 130 units, 2 lots of 65, of NIFTY 24,000 call option of 1 December 2026 "
        "(NIFTY26D0124000CE), NSE futures and options; product NRML, that is carried overnight; at market, to close a "
        "short position."
    )
    assert line.note == "legs 3.1 -65"
    assert line.age_s == 12.0


def test_the_brokers_net_is_what_is_closed_and_a_difference_is_said() -> None:
    """The desk at the other end sees the broker's net; without it our own ledger speaks, and says so."""
    (line,) = spoken(-2 * LOT, -LOT).lines
    assert "Please buy 65 units, 1 lot of 65," in line.sentence
    assert "the broker has -65, our ledger -130" in line.note
    alone = spoken(LOT)
    (own,) = alone.lines
    assert "Please sell 65 units" in own.sentence
    assert own.age_s is None
    assert "from our own ledger" in alone.notes[0]
    (ours,) = spoken(-LOT, 0).lines
    assert "the broker has +0, our ledger -65" in ours.note
    assert spoken(0, 0).lines == ()


def test_working_orders_are_cancelled_by_their_number() -> None:
    """A stop with its trigger and limit; the cancellations are to be asked for first."""
    resting = order(7)
    text = spoken(-LOT, -LOT, working=(resting,))
    line = text.lines[1]
    assert line.kind is HandoverKind.ORDER
    assert line.sentence == (
        f"Client A B 1 2 3 4. Please cancel the order with the number {resting.broker_order_id}: buy 65 units, 1 lot "
        "of 65, of NIFTY 24,000 call option of 1 December 2026 (NIFTY26D0124000CE), NSE futures and options, stop with "
        "trigger 120 and limit 130; product NRML, that is carried overnight."
    )
    assert "0 of 65 filled" in line.note
    assert any("cancellations first" in note for note in text.notes)


def test_an_order_without_an_answer_is_asked_about() -> None:
    """Nobody knows whether it rests: the desk is asked to look, with the time and the tag."""
    lost = order(9, Side.SELL, kind=OrderType.LIMIT, state=OrderState.UNKNOWN)
    record = OrderRecord(**{name: getattr(lost, name) for name in lost.__struct_fields__ if name != "broker_order_id"})
    (line,) = spoken(0, 0, working=(record,)).lines
    assert "An order may have reached you about 10:25:00: sell 65 units" in line.sentence
    assert "cancel it if you do" in line.sentence
    assert "UNKNOWN" in line.note
