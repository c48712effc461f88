"""Tags, instrument keys, expiry labels and the sides of the market."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

import pytest

from engine.core.errors import InvalidInput
from engine.core.identifiers import TAG_LENGTH_MAX, TAG_PREFIX, TAG_RANDOM_BYTES, InstrumentKey, order_tag
from engine.core.instruments import expiry_of_label, label_expiries
from engine.core.vocabulary import Exchange, InstrumentKind, Side

WEEKLIES = [date(2026, 12, day) for day in (1, 8, 15, 22, 29)] + [date(2027, 1, 28), date(2027, 3, 25)]


def test_a_tag_fits_the_broker() -> None:
    """Letters and digits, our prefix, at most 20 characters."""
    tag = order_tag(bytes(range(TAG_RANDOM_BYTES)))
    assert tag.isalnum()
    assert tag.startswith(TAG_PREFIX)
    assert len(tag) <= TAG_LENGTH_MAX


def test_one_changed_bit_makes_another_tag() -> None:
    """No random bit is lost on the way into the tag."""
    plain = bytes(TAG_RANDOM_BYTES)
    tags = {order_tag(plain)}
    for position in range(TAG_RANDOM_BYTES * 8):
        changed = bytearray(plain)
        changed[position // 8] ^= 1 << position % 8
        tags.add(order_tag(bytes(changed)))
    assert len(tags) == TAG_RANDOM_BYTES * 8 + 1


@pytest.mark.parametrize("length", [0, TAG_RANDOM_BYTES - 1, TAG_RANDOM_BYTES + 1])
def test_a_tag_wants_all_its_random_bytes(length: int) -> None:
    """Too few would make tags meet; the number is named."""
    with pytest.raises(ValueError, match=f"these are {length}"):
        order_tag(bytes(length))


def test_an_instrument_key_is_read_back() -> None:
    """EXCHANGE:SYMBOL there and back, with odd symbols too."""
    for text in ("NFO:NIFTY26DEC24000CE", "NSE:M&M", "NSE:BAJAJ-AUTO", "NSE:NIFTY 50"):
        assert str(InstrumentKey.parse(text)) == text


@pytest.mark.parametrize("text", ["NIFTY", "XXX:NIFTY", "NFO:", ":NIFTY", ""])
def test_what_is_not_a_key_is_refused_with_the_exchanges(text: str) -> None:
    """The sentence lists the exchanges there are."""
    with pytest.raises(InvalidInput, match="NFO"):
        InstrumentKey.parse(text)


def test_labels_come_from_the_dump_alone() -> None:
    """Nearest is w0; the last listed of a month is monthly; March, June, September, December are quarters."""
    labels = {item.expiry: item.labels for item in label_expiries(WEEKLIES)}
    assert labels[date(2026, 12, 1)] == ("w0",)
    assert labels[date(2026, 12, 29)] == ("w4", "m0", "q0")
    assert labels[date(2027, 1, 28)] == ("w5", "m1")
    assert labels[date(2027, 3, 25)] == ("w6", "m2", "q1")


def test_no_weekday_is_assumed() -> None:
    """A monthly that a holiday moved to a Monday is still the monthly."""
    moved = [date(2026, 12, 1), date(2026, 12, 8), date(2026, 12, 28)]
    assert [item.is_monthly for item in label_expiries(moved)] == [False, False, True]


def test_labels_do_not_depend_on_order_or_repeats() -> None:
    """A shuffled dump with repeated rows gives the same labels, nearest first."""
    shuffled = [*reversed(WEEKLIES), *WEEKLIES]
    assert label_expiries(shuffled) == label_expiries(WEEKLIES)
    assert all(first.expiry < second.expiry for first, second in pairwise(label_expiries(shuffled)))


def test_every_label_leads_back_to_its_expiry() -> None:
    """Labels are unique and can be looked up."""
    for item in label_expiries(WEEKLIES):
        for label in item.labels:
            assert expiry_of_label(label, WEEKLIES, underlying="NIFTY") == item.expiry


def test_a_label_that_is_lacking_is_refused_with_what_there_is() -> None:
    """BANKNIFTY without weeklies has no w5; the sentence lists its labels."""
    with pytest.raises(InvalidInput, match=r"BANKNIFTY has no w5\. Listed: w0/m0/q0 29DEC, w1/m1 28JAN"):
        expiry_of_label("w5", [date(2026, 12, 29), date(2027, 1, 28)], underlying="BANKNIFTY")
    with pytest.raises(InvalidInput, match="Listed: none"):
        expiry_of_label("w0", [], underlying="NIFTY")


def test_sides_and_kinds() -> None:
    """A buy adds, a sell takes; calls and puts are options, futures are not."""
    assert (Side.BUY.sign, Side.SELL.sign) == (1, -1)
    assert Side.BUY.opposite is Side.SELL
    assert Side.SELL.opposite is Side.BUY
    assert [kind for kind in InstrumentKind if kind.is_option] == [InstrumentKind.CALL, InstrumentKind.PUT]
    assert [exchange.value for exchange in Exchange if exchange.name != exchange.value] == []
