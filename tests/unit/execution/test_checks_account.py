"""Checks of the account and of the market's depth: each with its number and its limit, and off where its limit is."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from engine.core.funds_margin import FundsSeen, MarginSeen
from engine.core.orders import OrderRequest
from engine.core.positions import Funds
from engine.core.quotes import DepthLevel, Quote
from engine.core.vocabulary import OrderType
from engine.execution.checks import check_order, notes_on
from engine.execution.facts import PriceRange
from engine.execution.impact import Advice, market_impact
from engine.execution.settings import CheckLimits
from tests.kit.fake_broker import option
from tests.unit.execution.desk import buy, live_quote, sell
from tests.unit.execution.rows import record
from tests.unit.execution.test_checks import MARKET, context, found, long_65, words

BAND = PriceRange(low=Decimal(63), high=Decimal(147), reference=Decimal(105))


def book(*asks: tuple[str, int], bid: str = "104.95") -> Quote:
    """A quote with these offers."""
    levels = tuple(DepthLevel(Decimal(price), units, 1) for price, units in asks)
    return msgspec.structs.replace(live_quote(1), asks=levels, bids=(DepthLevel(Decimal(bid), 650, 1),))


def funds(net: int, age_s: float = 1.0) -> FundsSeen:
    """Money."""
    return FundsSeen(funds=Funds(net=Decimal(net), cash=Decimal(net), used=Decimal(0)), age_s=age_s)


def margin(needed: int, age_s: float = 1.0) -> MarginSeen:
    """What the broker has said."""
    return MarginSeen(needed=Decimal(needed), raises=True, age_s=age_s)


def test_an_entry_outside_the_exchanges_band_is_refused() -> None:
    """With both ends and the price they are reckoned from; the ends themselves are inside."""
    limits = CheckLimits(price_distance_percent=Decimal(1000))
    assert words(buy(price="147.05"), price_range=BAND, limits=limits) == (
        "147.05 is outside the exchange's band, about 63 to 147 around 105; it would be rejected there."
    )
    assert found(buy(price="147"), price_range=BAND, limits=limits) == []
    assert found(buy(price="62.95"), price_range=BAND) == ["band"]
    assert found(buy(price="62.95"), price_range=None) == []


def test_an_exit_outside_the_band_is_told_and_not_refused() -> None:
    """The reference is known only nearly: an exit is not kept back for it."""
    subject = context(price_range=BAND, positions=long_65())
    assert check_order(sell(price="150"), subject) == ()
    assert any("outside the exchange's band" in note for note in notes_on(sell(price="150"), subject))


def test_a_banned_stock_is_only_reduced() -> None:
    """An entry is refused, an exit goes; without a list that is said."""
    assert words(buy(), is_banned=True) == "NIFTY is on today's ban list: positions in it may only be reduced."
    assert found(sell(), is_banned=True, positions=long_65()) == []
    (note,) = notes_on(buy(), context(is_banned=None))
    assert note == "No ban list of today is loaded: whether NIFTY is on it is not known."
    assert notes_on(sell(), context(is_banned=None, positions=long_65())) == ()


@pytest.mark.parametrize(
    ("request_", "fields", "sentence"),
    [
        (
            buy(195),
            {"limits": CheckLimits(order_lots_max=2)},
            "195 units is above your cap for one order, 2L = 130.",
        ),
        (
            buy(),
            {"limits": CheckLimits(open_orders_max=1), "working": (record(request=buy(price="90")),)},
            "1 order works already, your cap is 1. Cancel some first.",
        ),
        (
            buy(130),
            {"limits": CheckLimits(position_lots_max=3), "positions": long_65(), "working": (record(),)},
            "260 units of NIFTY26D0124000CE would be held with what works already, your cap is 3L = 195.",
        ),
        (
            buy(),
            {"margin": margin(9_00_000), "funds": funds(7_50_000)},
            "The broker asks 9,00,000.00 for this, 7,50,000.00 is free; 1,50,000.00 are missing.",
        ),
    ],
)
def test_caps_name_what_was_asked_and_what_is_allowed(
    request_: OrderRequest, fields: dict[str, Any], sentence: str
) -> None:
    """Each in one sentence."""
    assert words(request_, **fields) == sentence


def test_caps_let_exits_pass_and_none_switches_them_off() -> None:
    """What only reduces is under no cap; a cap without a figure is none."""
    tight = CheckLimits(
        order_lots_max=0, open_orders_max=0, position_lots_max=0, order_value_max=Decimal(1), quote_age_s_max=0.0
    )
    asked = MarginSeen(needed=Decimal(10**9), raises=False, age_s=1.0)
    assert found(sell(), positions=long_65(), limits=tight, margin=asked, funds=funds(0)) == []
    off = CheckLimits(
        order_lots_max=None,
        open_orders_max=None,
        position_lots_max=None,
        order_value_max=None,
        spread_percent_max=None,
        quote_age_s_max=None,
        checks_margin=False,
    )
    assert found(buy(1755), limits=off, margin=margin(10**9), funds=funds(0)) == []


def test_a_margin_that_is_not_known_is_a_note_and_no_pass() -> None:
    """No answer, an old answer, or funds that nobody has read lately: said, and refused by the broker if at all."""
    for fields, part in (
        ({"margin": None}, "margin is not known"),
        ({"margin": margin(1, age_s=21)}, "margin is not known"),
        ({"funds": None}, "free at the broker is not known"),
        ({"funds": funds(1, age_s=61)}, "free at the broker is not known"),
    ):
        subject = context(**fields)
        assert check_order(buy(), subject) == ()
        assert any(part in note for note in notes_on(buy(), subject)), fields
    assert notes_on(sell(), context(margin=None, positions=long_65())) == ()


def test_an_old_quote_keeps_entries_out_where_an_age_is_set() -> None:
    """A quote on a living path has any age by default."""
    assert words(buy(), limits=CheckLimits(quote_age_s_max=0.1)) == (
        f"The quote of {option().key} is 0.2 s old; an entry goes by one of at most 0.1 s."
    )
    assert found(buy(), limits=CheckLimits(quote_age_s_max=0.2)) == []


def test_an_entry_does_not_cross_a_spread_that_is_too_wide() -> None:
    """The width, its share of the mid and the cap are named; resting in it, or leaving, is allowed."""
    wide = book(("165", 650), bid="95")
    limits = CheckLimits(spread_percent_max=Decimal(40), price_distance_percent=Decimal(1000))
    assert words(buy(price="165"), quote=wide, limits=limits) == (
        "The spread is 70, 54 percent of the mid; an entry crosses at most 40 percent. A limit near 130 rests in it."
    )
    assert found(buy(price="130"), quote=wide, limits=limits) == []
    assert found(sell(price="95"), quote=wide, limits=limits, positions=long_65()) == []
    penny = book(("0.40", 650), bid="0.10")
    assert found(buy(price="0.40"), quote=penny, limits=limits) == [], "six ticks are never too wide"


# -- depth -------------------------------------------------------------------------------------------------------------

DEEP = book(("105", 130), ("105.50", 130), ("106", 130), ("108", 130), ("112", 130))


def impact_of(request: OrderRequest, quote: Quote = DEEP) -> Any:
    """What it does to the book."""
    return market_impact(request, quote, option(), note_percent=Decimal(2))


def test_what_the_touch_can_bear_is_sent() -> None:
    """130 units at the touch cost nothing more; within two percent is near."""
    seen = impact_of(buy(130, "105"))
    assert (seen.advice, seen.cost, seen.ticks, seen.beyond) == (Advice.SEND, 0, 0, 0)
    seen = impact_of(buy(390, None, **MARKET))
    assert (seen.advice, seen.average, seen.worst, seen.cost) == (
        Advice.SEND,
        Decimal("105.5"),
        Decimal(106),
        Decimal(195),
    )
    assert seen.ticks == 20


def test_what_costs_more_is_limited_sliced_or_reduced() -> None:
    """By how much of it the touch could bear."""
    thin = book(("105", 65), ("111", 650))
    assert impact_of(buy(130, None, **MARKET), thin).advice is Advice.LIMIT
    seen = impact_of(buy(195, None, **MARKET), thin)
    assert seen.advice is Advice.SLICE
    assert seen.words == (
        "195 units cost 780 more than at the touch, the last unit 120 ticks from the touch. "
        "Pieces of 65 would stay near the touch."
    )
    assert impact_of(buy(715, None, **MARKET), thin).advice is Advice.REDUCE


def test_beyond_the_shown_levels_nothing_is_guessed() -> None:
    """How many units are beyond, and that their price is not known."""
    seen = impact_of(buy(780, None, **MARKET))
    assert (seen.filled, seen.beyond, seen.levels) == (650, 130, 5)
    assert "130 of 780 are beyond all five levels, their price is not known" in seen.words
    assert seen.advice is Advice.LIMIT


def test_a_limit_concerns_the_levels_within_it_alone() -> None:
    """The rest of it rests at its price; an order that meets nobody has no impact."""
    seen = impact_of(buy(390, "105.50"))
    assert (seen.filled, seen.beyond, seen.worst) == (260, 0, Decimal("105.50"))
    assert impact_of(buy(390, "104")) is None
    assert impact_of(sell(65, "104.95")).filled == 65
    assert impact_of(buy(65, "112", order_type=OrderType.SL, trigger_price=Decimal(110))) is None
    assert market_impact(buy(), None, option(), note_percent=Decimal(2)) is None


def test_a_dear_entry_is_noted_and_refused_where_a_cap_is_set() -> None:
    """The note carries the advice; the refusal the share and the cap."""
    thin = book(("105", 65), ("111", 650))
    (note,) = notes_on(buy(195, None, **MARKET), context(quote=thin))
    assert note.startswith("Slice: 195 units cost 780 more")
    limits = CheckLimits(impact_percent_max=Decimal(3))
    (violation,) = check_order(buy(195, None, **MARKET), context(quote=thin, limits=limits))
    assert violation.check == "impact"
    assert violation.message.startswith("The last unit would trade 5.7 percent from the mid, at most 3 percent")
    assert found(buy(65, None, **MARKET), quote=thin, limits=limits) == []
