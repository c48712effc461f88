"""Whatever is typed: search and look-ups answer or refuse in words, and never break."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from engine.calendar.rules import read_rules
from engine.core.errors import InvalidInput
from engine.core.vocabulary import InstrumentKind
from engine.market.instrument_index import InstrumentIndex
from tests.unit.market.market_kit import desk_dump

INDEX = InstrumentIndex(desk_dump().rows, read_rules())
WORDS = (
    "nifty",
    "bank",
    "bank nifty",
    "24000",
    "24,050",
    "ce",
    "pe",
    "fut",
    "w0",
    "m",
    "dec",
    "01dec",
    "2026-12-01",
    "0",
    ".",
)
TYPED = st.one_of(st.text(max_size=40), st.lists(st.sampled_from(WORDS), max_size=9).map(" ".join))


@given(text=TYPED, limit=st.integers(-5, 500))
def test_any_text_can_be_searched(text: str, limit: int) -> None:
    """Search gives a bounded list of distinct instruments of the dump for any text."""
    found = INDEX.search(text, limit)
    assert len(found) <= max(0, min(limit, 200))
    assert len({each.token for each in found}) == len(found)
    assert all(INDEX.by_token(each.token) is each for each in found)


def answered(look_up: Callable[[str], object], text: str) -> bool:
    """Whether ``look_up`` answered; otherwise it refused the person's words, and any other failure is the test's."""
    try:
        look_up(text)
    except InvalidInput:
        return False
    return True


@given(text=TYPED)
def test_any_text_resolves_or_is_refused(text: str) -> None:
    """A name is understood exactly when a listed name or alias is meant; an expiry is found or refused in words."""
    assert answered(INDEX.resolve_underlying, text) == (INDEX.underlying_named(text) is not None)
    answered(lambda word: INDEX.resolve_expiry("NIFTY", word), text)


def test_every_symbol_finds_itself_first() -> None:
    """Typing a whole symbol puts that very instrument first."""
    for row in desk_dump().rows:
        if row.kind is not InstrumentKind.INDEX:
            assert INDEX.search(row.tradingsymbol)[0] == row
