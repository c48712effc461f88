"""The sentences for the dealing desk, word for word."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import msgspec

from engine.core.accounts import Profile
from engine.core.handover import Handover, HandoverKind
from engine.core.identifiers import InstrumentKey
from engine.core.orders import OrderRecord, OrderState
from engine.core.vocabulary import Exchange, OrderType, Product, Side
from engine.execution.handover import KnownPositions, handover
from engine.execution.housekeeping import PositionKey
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


def test_without_a_ledger_the_brokers_word_stands_alone() -> None:
    """It is said that our own side is missing."""
    text = spoken(None, 2 * LOT)
    (line,) = text.lines
    assert "Please sell 130 units, 2 lots of 65," in line.sentence
    assert any("Our own ledger is not there" in note for note in text.notes)


def test_a_change_that_is_out_is_said_with_the_order() -> None:
    """What the desk sees may differ from what is read here."""
    (_, line) = spoken(-LOT, -LOT, working=(order(7, state=OrderState.MODIFYING),)).lines
    assert "whose effect is not known" in line.note


def test_prices_are_said_as_they_are_meant() -> None:
    """A limit, a stop at market, a market order; halves of a rupee keep their paise."""
    said = {}
    for number, kind in enumerate((OrderType.LIMIT, OrderType.SL_M, OrderType.MARKET), start=1):
        record = order(number, kind=kind)
        request = msgspec.structs.replace(
            record.request, price=Decimal("130.50"), trigger_price=Decimal(120) if kind is OrderType.SL_M else None
        )
        (line,) = spoken(0, 0, working=(msgspec.structs.replace(record, request=request),)).lines
        said[kind] = line.sentence
    assert ", limit 130.50; product" in said[OrderType.LIMIT]
    assert ", stop with trigger 120 at market; product" in said[OrderType.SL_M]
    assert ", at market; product" in said[OrderType.MARKET]


def test_a_contract_that_is_not_in_the_dump_is_named_by_its_symbol() -> None:
    """Units without lots, the symbol and the segment: enough to be understood."""
    unknown = PositionKey(InstrumentKey(Exchange.BFO, "SENSEX26D0380000PE"), Product.MIS)
    text = handover(
        Profile(account_id=ACCOUNT, name="Test"),
        KnownPositions(ledger={unknown: -40}, broker=None, broker_age_s=None, legs={}),
        (),
        lambda _: None,
        NOW,
    )
    (line,) = text.lines
    assert "Please buy 40 units of SENSEX26D0380000PE, BSE futures and options; product MIS" in line.sentence
    assert line.note == ""
