"""Every check with its number, its limit and its words; all violations at once."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from engine.core.commands import OrderChange
from engine.core.funds_margin import FundsSeen, MarginSeen
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import Instrument
from engine.core.orders import OrderRequest
from engine.core.positions import Funds
from engine.core.quotes import DepthLevel
from engine.core.vocabulary import (
    Exchange,
    InstrumentKind,
    Mode,
    OrderType,
    Product,
    QuoteState,
    Side,
    Validity,
    Variety,
)
from engine.execution.checks import check_change, check_order, notes_on
from engine.execution.facts import CheckContext, HeldPosition, SessionState
from engine.execution.settings import CheckLimits
from engine.execution.words import grouped, grouped_decimal
from tests.kit.fake_broker import option
from tests.unit.execution.desk import OPENING, buy, live_quote, sell
from tests.unit.execution.rows import record

STOP: dict[str, Any] = {"order_type": OrderType.SL, "trigger_price": Decimal(110)}
MARKET: dict[str, Any] = {"order_type": OrderType.MARKET, "market_protection": Decimal(-1)}


PROTECTION = (
    "A MARKET order needs a market protection of more than 0 up to 100 percent, or -1 for the broker's own band; "
)


def context(**fields: Any) -> CheckContext:
    """A calm market, an empty account, HOT."""
    contract = option()
    base = CheckContext(
        instrument=contract,
        quote=live_quote(contract.token),
        freeze_quantity=1800,
        positions=(),
        working=(),
        recent=(),
        working_instruments={},
        session=SessionState(is_open=True, words="open"),
        mode=Mode.HOT,
        limits=CheckLimits(),
        now=OPENING,
        funds=FundsSeen(funds=Funds(net=Decimal(10**7), cash=Decimal(10**7), used=Decimal(0)), age_s=1.0),
        margin=MarginSeen(needed=Decimal(6825), raises=False, age_s=1.0),
    )
    return msgspec.structs.replace(base, **fields)


def found(request: OrderRequest, **fields: Any) -> list[str]:
    """Names of the checks that refuse."""
    return [violation.check for violation in check_order(request, context(**fields))]


def words(request: OrderRequest, **fields: Any) -> str:
    """The one sentence of the one violation."""
    (violation,) = check_order(request, context(**fields))
    return violation.message


INDEX = msgspec.structs.replace(option(), kind=InstrumentKind.INDEX, tradingsymbol="NIFTY 50")
COMMODITY = msgspec.structs.replace(option(kind=InstrumentKind.FUTURE), exchange=Exchange.MCX)
FUTURE = msgspec.structs.replace(option(), kind=InstrumentKind.FUTURE, strike=None, tick_size=Decimal("0.10"))


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (buy(2), "2 units is not a multiple of the lot, 65. Two lots are 2L = 130."),
        (buy(1), "1 unit is not a multiple of the lot, 65. One lot is 1L = 65."),
        (buy(100), "100 units is not a multiple of the lot, 65. Nearest: 1L = 65 or 2L = 130."),
        (buy(price="105.03"), "The tick is 0.05: 105.00 or 105.05."),
        (buy(1820), "1,820 units is above the freeze quantity, 1,800. At most 27L = 1,755 in one order."),
        (buy(price=None), "A LIMIT order needs a price."),
        (buy(price="0"), "A price is above 0, not 0."),
        (buy(price="-5"), "A price is above 0, not -5."),
        (buy(0), "A quantity is at least 1 unit, not 0."),
        (buy(-65), "A quantity is at least 1 unit, not -65."),
        (buy(**MARKET), "A MARKET order has no price of its own; leave it out."),
        (buy(trigger_price=Decimal(110)), "A LIMIT order has no trigger; SL has."),
        (buy(price="112", order_type=OrderType.SL), "An SL order needs a trigger price above 0."),
        (buy(price="109", **STOP), "A buy stop's trigger, 110, is at most its price, 109."),
        (
            sell(price="99", order_type=OrderType.SL, trigger_price=Decimal(98)),
            "A sell stop's trigger, 98, is at least its price, 99.",
        ),
        (
            buy(price="105", order_type=OrderType.SL, trigger_price=Decimal(104)),
            "A buy stop's trigger, 104, must be above the last price, 105.00.",
        ),
        (
            sell(price="104", order_type=OrderType.SL, trigger_price=Decimal(106)),
            "A sell stop's trigger, 106, must be below the last price, 105.00.",
        ),
        (
            buy(price="111", order_type=OrderType.SL, trigger_price=Decimal("110.02")),
            "The trigger tick is 0.05: 110.00 or 110.05.",
        ),
        (
            buy(price=None, order_type=OrderType.MARKET),
            PROTECTION + "this one has none.",
        ),
        (
            buy(price=None, order_type=OrderType.MARKET, market_protection=Decimal(0)),
            PROTECTION + "this one has 0.",
        ),
        (
            buy(price=None, order_type=OrderType.SL_M, trigger_price=Decimal(110), market_protection=Decimal(-1)),
            "SL-M is not taken for options or on BSE; use SL with a limit price.",
        ),
        (buy(product=Product.CNC), "CNC is not for futures and options; NRML or MIS is."),
        (buy(variety=Variety.ICEBERG), "An iceberg needs its number of legs and the units of each."),
        (
            buy(130, variety=Variety.ICEBERG, iceberg_legs=1, iceberg_quantity=130),
            "An iceberg has 2 to 50 legs, not 1.",
        ),
        (
            buy(195, variety=Variety.ICEBERG, iceberg_legs=2, iceberg_quantity=65),
            "2 legs of 65 do not make 195 units.",
        ),
        (
            buy(130, variety=Variety.ICEBERG, iceberg_legs=2, iceberg_quantity=70),
            "A leg of 70 units is not a multiple of the lot, 65.",
        ),
        (
            buy(iceberg_legs=2, iceberg_quantity=65),
            'Legs belong to variety "iceberg", this order is "regular"; leave them out.',
        ),
        (
            buy(auction_number="22"),
            'An auction number belongs to variety "auction", this order is "regular"; leave it out.',
        ),
        (buy(variety=Variety.AUCTION), "An auction order needs the number of its auction."),
        (buy(variety=Variety.CO), "A cover order needs the trigger of its stop, above 0."),
        (
            buy(variety=Variety.AMO),
            "The market is open; an after-market order (amo) is taken while it is closed.",
        ),
        (buy(validity=Validity.TTL), "Validity TTL needs its minutes, at least 1; this order has none."),
        (
            buy(validity=Validity.TTL, validity_ttl=0),
            "Validity TTL needs its minutes, at least 1; this order has 0.",
        ),
        (buy(validity_ttl=5), "Minutes belong to validity TTL, this order is DAY; leave them out."),
        (
            buy(disclosed_quantity=65),
            "A disclosed quantity is for shares only; for futures and options leave it out.",
        ),
        (
            buy(price="151.20"),
            "151.20 is 46.15 above the market, 105.05; at most 25 percent or 2 is allowed.",
        ),
        (sell(price="1.05"), "1.05 is 103.90 below the market, 104.95; at most 25 percent or 2 is allowed."),
    ],
)
def test_one_broken_rule_gives_one_sentence(request_: OrderRequest, sentence: str) -> None:
    """What was asked, what is allowed, what to do."""
    assert words(request_) == sentence


@pytest.mark.parametrize(
    "request_",
    [
        buy(),
        sell(),
        buy(130, "104.95"),
        buy(price=None, **MARKET),
        buy(price=None, order_type=OrderType.MARKET, market_protection=Decimal("2.5")),
        buy(price="112", **STOP),
        sell(price="98", order_type=OrderType.SL, trigger_price=Decimal(99)),
        buy(1755),
        buy(validity=Validity.IOC),
        buy(product=Product.MIS),
    ],
)
def test_a_sound_order_passes(request_: OrderRequest) -> None:
    """No check refuses it."""
    assert check_order(request_, context()) == ()


def test_limits_themselves_are_allowed() -> None:
    """Exactly the freeze quantity, exactly the cap, a trigger equal to its price."""
    assert found(buy(1755), freeze_quantity=1755) == []
    assert found(buy(1820), freeze_quantity=1819) == ["freeze"]
    assert found(buy(), limits=CheckLimits(order_value_max=Decimal(6825))) == []
    assert found(buy(), limits=CheckLimits(order_value_max=Decimal(6824))) == ["value"]
    assert found(buy(price="110", **STOP)) == []
    assert found(sell(price="99", order_type=OrderType.SL, trigger_price=Decimal(99))) == []


def test_all_violations_come_at_once() -> None:
    """A thoroughly wrong order names everything that is wrong."""
    request = buy(3900 + 3, "251.23", validity=Validity.TTL, product=Product.CNC)
    names = found(
        request,
        mode=Mode.READ,
        session=SessionState(is_open=False, words="closed since 15:40"),
        limits=CheckLimits(order_value_max=Decimal(100_000)),
    )
    assert names == ["session", "validity", "product", "lot", "freeze", "tick", "distance", "mode", "value"]


def test_unknown_and_untradable_instruments_are_refused() -> None:
    """A symbol the dump lacks, and an index."""
    strange = buy(instrument=InstrumentKey(Exchange.NFO, "NIFTYXYZ"))
    assert words(strange, instrument=None, quote=None).startswith("NFO:NIFTYXYZ is not in today's instrument dump")
    assert words(buy(), instrument=INDEX) == "NIFTY 50 is an index and cannot be traded; trade its future or an option."


def test_a_closed_session_names_its_hours() -> None:
    """The words of the calendar stand in the refusal."""
    session = SessionState(is_open=False, words="closed since 15:40, opens Tue 09:15")
    assert words(buy(), session=session) == (
        "The market is closed since 15:40, opens Tue 09:15; orders are taken while it is open."
    )
    assert found(buy(variety=Variety.AMO), session=session) == []


@pytest.mark.parametrize("state", [QuoteState.STALE, QuoteState.UNKNOWN, QuoteState.CROSSED])
def test_an_entry_waits_for_a_quote_that_can_be_trusted(state: QuoteState) -> None:
    """A suspect quote refuses an entry and names itself."""
    assert words(buy(), quote=live_quote(1, state)) == (
        f"The quote of {option().key} is {state.name}, 0.2 s old; an entry waits for a LIVE one."
    )


@pytest.mark.parametrize("state", [QuoteState.LIVE, QuoteState.ONE_SIDED])
def test_a_living_quote_lets_entries_pass(state: QuoteState) -> None:
    """A one-sided book is a market too."""
    assert found(buy(), quote=live_quote(1, state)) == []


def test_an_entry_without_any_quote_is_refused() -> None:
    """Nothing received is not a quote."""
    assert found(buy(), quote=None) == ["quote"]


def long_65(instrument: Instrument | None = None) -> tuple[HeldPosition, ...]:
    """A long of one lot."""
    return (HeldPosition(instrument=instrument or option(), product=Product.NRML, signed_quantity=65),)


def test_an_exit_passes_in_read_on_a_stale_quote_and_above_the_cap() -> None:
    """What only reduces needs no arming, no fresh quote and no allowance."""
    assert (
        found(
            sell(),
            positions=long_65(),
            mode=Mode.READ,
            quote=live_quote(1, QuoteState.STALE),
            limits=CheckLimits(order_value_max=Decimal(1)),
        )
        == []
    )


def test_read_refuses_what_adds_risk() -> None:
    """READ says what to do."""
    assert words(buy(), mode=Mode.READ) == (
        "Mode is READ and this adds risk. Arm CONFIRM first; exits and cancels need no arming."
    )


def test_the_value_cap_names_both_figures() -> None:
    """Quantity, price, product and cap."""
    assert words(buy(1300), limits=CheckLimits(order_value_max=Decimal(100_000))) == (
        "1,300 units at 105 is 1,36,500, your cap for one order is 1,00,000."
    )


def test_a_market_order_is_valued_at_the_touch() -> None:
    """Without a price of its own the ask values it."""
    limits = CheckLimits(order_value_max=Decimal(6828))
    assert found(buy(price=None, **MARKET), limits=limits) == ["value"]
    assert found(sell(price=None, **MARKET), limits=limits) == []


def test_the_same_order_twice_is_a_note_or_a_refusal() -> None:
    """By setting; another price or an older order is no duplicate."""
    recent = (record(created_at=OPENING - timedelta(seconds=1)),)
    assert notes_on(buy(), context(recent=recent)) == ("o1 is the same order, made less than 2 s ago.",)
    assert found(buy(), recent=recent) == []
    strict = CheckLimits(duplicate_refuses=True)
    assert found(buy(), recent=recent, limits=strict) == ["duplicate"]
    assert found(buy(price="104.95"), recent=recent, limits=strict) == []
    assert found(buy(), recent=(record(created_at=OPENING - timedelta(seconds=3)),), limits=strict) == []


def test_a_price_far_behind_the_market_is_noted() -> None:
    """A passive order far away rests; that is worth knowing and not forbidden."""
    assert check_order(buy(price="50"), context()) == ()
    assert notes_on(buy(price="50"), context()) == ("50 is 55.05 away from the market; it will rest.",)


def test_cheap_options_may_move_by_a_floor() -> None:
    """25 percent of 0.40 would forbid everything; two rupees are always allowed."""
    cheap = msgspec.structs.replace(live_quote(1), asks=(DepthLevel(Decimal("0.40"), 650, 1),), last=Decimal("0.40"))
    assert found(buy(price="2.40"), quote=cheap) == []
    assert found(buy(price="2.45"), quote=cheap) == ["distance"]


def test_bse_takes_no_stop_market_order_and_nse_futures_do() -> None:
    """SL-M is for futures of NSE."""
    stop = buy(price=None, order_type=OrderType.SL_M, trigger_price=Decimal(110), market_protection=Decimal(-1))
    assert found(stop, instrument=FUTURE) == []
    assert found(stop, instrument=msgspec.structs.replace(FUTURE, exchange=Exchange.BFO)) == ["type"]


def test_commodities_may_have_negative_prices() -> None:
    """Crude oil has."""
    assert found(buy(price="-5"), instrument=COMMODITY) == []


@pytest.mark.parametrize(
    ("change", "filled", "modifications", "names"),
    [
        (OrderChange(), 0, 0, ["change"]),
        (OrderChange(price=Decimal(106)), 0, 0, []),
        (OrderChange(price=Decimal(106)), 0, 25, ["modifications"]),
        (OrderChange(quantity=65), 65, 0, ["quantity"]),
        (OrderChange(quantity=100), 0, 0, ["lot"]),
        (OrderChange(quantity=1820), 0, 0, ["freeze"]),
        (OrderChange(price=Decimal("106.01")), 0, 0, ["tick"]),
        (OrderChange(trigger_price=Decimal(100)), 0, 0, ["trigger"]),
    ],
)
def test_changes_are_checked_like_orders(
    change: OrderChange, filled: int, modifications: int, names: list[str]
) -> None:
    """The order as it would stand must be sound, and the broker's count of modifications is kept."""
    subject = record(request=buy(130), filled_quantity=filled, modifications=modifications)
    assert [violation.check for violation in check_change(subject, change, context())] == names


def test_an_order_may_get_smaller_in_read_mode() -> None:
    """Less quantity needs no arming; another price of an entry does."""
    subject = record(request=buy(130))
    read = context(mode=Mode.READ)
    assert check_change(subject, OrderChange(quantity=65), read) == ()
    assert [found_.check for found_ in check_change(subject, OrderChange(price=Decimal(106)), read)] == ["mode"]


def test_an_exit_may_be_repriced_in_read_mode() -> None:
    """Chasing the market with an exit adds no risk."""
    subject = record(request=sell())
    read = context(mode=Mode.READ, positions=long_65())
    assert check_change(subject, OrderChange(price=Decimal("104.5")), read) == ()


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999, "999"), (1000, "1,000"), (123456, "1,23,456"), (-12345678, "-1,23,45,678")]
)
def test_numbers_are_grouped_in_lakhs(number: int, text: str) -> None:
    """Three digits, then pairs."""
    assert grouped(number) == text
    assert grouped_decimal(Decimal(number)) == text


def test_both_sides_are_judged_by_their_own_touch() -> None:
    """A buy is measured from the ask, a sell from the bid."""
    wide = msgspec.structs.replace(
        live_quote(1), bids=(DepthLevel(Decimal(100), 65, 1),), asks=(DepthLevel(Decimal(140), 65, 1),)
    )
    assert found(buy(price="170"), quote=wide) == []
    assert found(buy(price="175.05"), quote=wide) == ["distance"]
    assert found(sell(price="75"), quote=wide) == []
    assert found(sell(price="74.95"), quote=wide) == ["distance"]
    assert Side.BUY.opposite is Side.SELL
