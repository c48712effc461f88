"""Free-text search over the day's instruments, as somebody types.

The first words name the underlying (in full, by alias, or by its beginning); the others narrow it: a strike or its
first digits, ``ce``, ``pe``, ``fut``, a label (``w0``; ``m`` for any monthly), a date (``01dec``, ``dec``). A single
word may also be a trading symbol or the beginning of one. A word that means nothing gives no results: search never
ignores what was typed.

Words that narrow and name nothing (``24000 ce``, ``fut aug``) are of the best known underlyings.

Order: an exact symbol; then by underlying (exact name before beginnings, best known first), nearest expiry first, the
exact strike before its first digits, and otherwise from the middle of the ladder outwards (exchanges list strikes
around the money, and the index knows no prices).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final, NamedTuple

from engine.calendar.rules import squash
from engine.core.instruments import Instrument
from engine.core.vocabulary import InstrumentKind
from engine.market.instrument_words import LABEL, dates_meant, is_date_word, plain

if TYPE_CHECKING:
    from engine.market.instrument_index import ExpiryContracts, InstrumentIndex

MOST_RESULTS: Final = 200
MOST_WORDS: Final = 8
"""Longer texts name nothing."""
MOST_UNDERLYINGS: Final = 20
"""How many underlyings one beginning may stand for."""
MOST_SYMBOLS: Final = 1_000
"""How many symbols with one beginning are put in order."""

_KINDS: Final = {
    "CE": InstrumentKind.CALL,
    "C": InstrumentKind.CALL,
    "CALL": InstrumentKind.CALL,
    "PE": InstrumentKind.PUT,
    "P": InstrumentKind.PUT,
    "PUT": InstrumentKind.PUT,
    "FUT": InstrumentKind.FUTURE,
    "FUTURE": InstrumentKind.FUTURE,
    "INDEX": InstrumentKind.INDEX,
}
_OPTION_KINDS: Final = (InstrumentKind.CALL, InstrumentKind.PUT)
_SYMBOL_ORDER: Final = {
    kind: place
    for place, kind in enumerate(
        (
            InstrumentKind.INDEX,
            InstrumentKind.EQUITY,
            InstrumentKind.FUTURE,
            InstrumentKind.CALL,
            InstrumentKind.PUT,
        )
    )
}
_NUMBER: Final = re.compile(r"\d+(\.\d+)?")
_STRIKE_AND_KIND: Final = re.compile(r"(\d+(?:\.\d+)?)(CE|PE|C|P)")
_LABEL_KINDS: Final = frozenset("WMQ")


class _Facets(NamedTuple):
    """What narrows an underlying."""

    kind: InstrumentKind | None = None
    strike: str | None = None
    """Digits as typed, without commas."""
    expiry: str | None = None

    @property
    def empty(self) -> bool:
        return self == _Facets()


def search(index: InstrumentIndex, text: str, limit: int) -> tuple[Instrument, ...]:
    """Return at most ``limit`` instruments (and at most ``MOST_RESULTS``), best first; empty when nothing fits."""
    words = text.upper().replace(",", "").split()
    most = min(limit, MOST_RESULTS)
    if not words or len(words) > MOST_WORDS or most < 1:
        return ()
    found: dict[int, Instrument] = {}
    for instrument in _candidates(index, words, most):
        found.setdefault(instrument.token, instrument)
        if len(found) >= most:
            break
    return tuple(found.values())


def _candidates(index: InstrumentIndex, words: Sequence[str], most: int) -> Iterator[Instrument]:
    symbols = _symbols(index, words[0]) if len(words) == 1 else []
    yield from (instrument for instrument in symbols if instrument.tradingsymbol == words[0])
    names, rest = _underlyings(index, words)
    facets = _facets(rest)
    if facets is not None and names:
        if len(names) == 1:
            yield from _of_underlying(index, names[0], facets)
        else:
            share = max(2, most // len(names))
            for name in names:
                for _, instrument in zip(range(share), _of_underlying(index, name, facets), strict=False):
                    yield instrument
    yield from symbols


def _underlyings(index: InstrumentIndex, words: Sequence[str]) -> tuple[tuple[str, ...], Sequence[str]]:
    """The underlyings meant, and the words that do not name them."""
    for count in range(len(words), 0, -1):
        name = index.underlying_named(" ".join(words[:count]))
        if name is not None:
            return (name,), words[count:]
    naming = [word for word in words if not _narrows(word)]
    rest = [word for word in words if _narrows(word)]
    if not naming:
        # "M" or "MAR" may begin a name as well.
        begun = _begun(index, words[0])
        if begun:
            return begun, words[1:]
        return tuple(name for name in index.names if index.rules.is_index(name))[:MOST_UNDERLYINGS], words
    name = index.underlying_named(" ".join(naming))
    if name is not None:
        return (name,), rest
    return _begun(index, " ".join(naming)), rest


def _begun(index: InstrumentIndex, text: str) -> tuple[str, ...]:
    """Underlyings whose name or alias begins so, best known first."""
    beginning = squash(text)
    if not beginning:
        return ()
    names = [name for name in index.names if squash(name).startswith(beginning)]
    aliased = [
        name for alias, name in index.rules.aliases.items() if alias.startswith(beginning) and name in index.names
    ]
    return tuple(dict.fromkeys((*names, *aliased)))[:MOST_UNDERLYINGS]


def _narrows(word: str) -> bool:
    return _facets([word]) is not None


def _facets(words: Sequence[str]) -> _Facets | None:
    """Read narrowing words; ``None`` when one means nothing or two say the same thing."""
    facets = _Facets()
    for word in words:
        joined = _STRIKE_AND_KIND.fullmatch(word)
        change: dict[str, object]
        if word in _KINDS:
            change = {"kind": _KINDS[word]}
        elif joined is not None:
            change = {"strike": joined[1], "kind": _KINDS[joined[2]]}
        elif _NUMBER.fullmatch(word):
            change = {"strike": word}
        elif LABEL.fullmatch(word) or word in _LABEL_KINDS or is_date_word(word):
            change = {"expiry": word}
        else:
            return None
        if any(getattr(facets, name) is not None for name in change):
            return None
        facets = facets._replace(**change)  # type: ignore[arg-type]  # the keys are fields, checked by the tests
    return facets


def _of_underlying(index: InstrumentIndex, name: str, facets: _Facets) -> Iterator[Instrument]:
    """Contracts of one underlying that fit, best first, made one by one so that a bounded search stops early."""
    every = index.all_contracts(name)
    days = _days(index, name, facets.expiry, [group.expiry for group in every])
    groups = [group for group in every if group.expiry in days]
    if facets.expiry is None and facets.strike is None and facets.kind in {None, InstrumentKind.INDEX}:
        row = index.index_instrument(name)
        if row is not None:
            yield row
    if facets.strike is None and facets.kind in {None, InstrumentKind.FUTURE}:
        yield from (group.future for group in groups if group.future is not None)
    kinds = _OPTION_KINDS if facets.kind is None else tuple(kind for kind in _OPTION_KINDS if kind is facets.kind)
    if not kinds:
        return
    if facets.strike is None:
        for group in groups:
            yield from _at(group, _from_the_middle(group.strikes), kinds)
        return
    exact = Decimal(facets.strike)
    for group in groups:
        yield from _at(group, [exact], kinds)
    for group in groups:
        begun = [
            strike
            for strike in _from_the_middle(group.strikes)
            if strike != exact and plain(strike).startswith(facets.strike)
        ]
        yield from _at(group, begun, kinds)


def _at(group: ExpiryContracts, strikes: Sequence[Decimal], kinds: Sequence[InstrumentKind]) -> Iterator[Instrument]:
    for strike in strikes:
        for kind in kinds:
            contract = group.side(kind).get(strike)
            if contract is not None:
                yield contract


def _from_the_middle(strikes: Sequence[Decimal]) -> list[Decimal]:
    middle = len(strikes) // 2
    order = sorted(range(len(strikes)), key=lambda place: (abs(place - middle), place))
    return [strikes[place] for place in order]


def _days(index: InstrumentIndex, name: str, word: str | None, days: Sequence[date]) -> frozenset[date]:
    """Expiry dates a word allows: a label, the kind of a label, or a date."""
    if word is None:
        return frozenset(days)
    if word in _LABEL_KINDS or LABEL.fullmatch(word):
        label = word.lower()
        return frozenset(
            item.expiry
            for item in index.expiries(name)
            if any(each == label or (len(label) == 1 and each.startswith(label)) for each in item.labels)
        )
    return frozenset(dates_meant(word, days))


def _symbols(index: InstrumentIndex, beginning: str) -> list[Instrument]:
    """Instruments whose symbol begins so: nearest expiry first, future before options."""
    found = index.with_prefix(beginning, MOST_SYMBOLS)
    found.sort(
        key=lambda row: (
            row.expiry or date.min,
            _SYMBOL_ORDER[row.kind],
            row.strike or Decimal(0),
            row.tradingsymbol,
        )
    )
    return found
