"""The day's instruments, found by token, by key, by what they are, or by free text.

Built once from the dump and never changed: a new dump is a new index. Expiries, strikes, lot sizes and ticks are the
dump's own, row by row; labels (``w0``, ``m0``) are derived from the listed expiries alone.

Invariant: a look-up gives the instrument that was asked for or raises with the nearest choices; it never gives a
neighbour. Strikes may have a call without a put and the other way round. A token is used again after expiry: a contract
that has expired is not found any more, so that the quotes of the token's next owner can never be shown under its name.
"""

from __future__ import annotations

import difflib
import logging
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Final

from engine.calendar.rules import MarketRules, squash
from engine.core.errors import UnknownInstrument
from engine.core.identifiers import InstrumentKey
from engine.core.instruments import ExpiryLabel, Instrument, expiry_of_label, label_expiries
from engine.core.views import UnderlyingView
from engine.core.vocabulary import Exchange, InstrumentKind
from engine.market import instrument_search
from engine.market.instrument_words import LABEL, dates_meant, day_word, grouped

logger = logging.getLogger(__name__)

NEAREST_NAMES: Final = 3
"""How many near spellings an error offers."""

_KIND_WORDS: Final = {InstrumentKind.CALL: "call", InstrumentKind.PUT: "put"}


class ExpiryContracts:
    """The contracts of one underlying and expiry. Filled while the index is built, then read only."""

    __slots__ = ("_strikes", "calls", "expiry", "future", "puts")

    def __init__(self, expiry: date) -> None:
        self.expiry = expiry
        self.calls: dict[Decimal, Instrument] = {}
        self.puts: dict[Decimal, Instrument] = {}
        self.future: Instrument | None = None
        self._strikes: tuple[Decimal, ...] | None = None

    @property
    def strikes(self) -> tuple[Decimal, ...]:
        """Strikes with a call or a put or both, ascending."""
        if self._strikes is None:
            self._strikes = tuple(sorted(self.calls.keys() | self.puts.keys()))
        return self._strikes

    @property
    def lot_size(self) -> int:
        """Units in one lot of this expiry's options (of its future when it has none)."""
        for contract in (*self.calls.values(), *self.puts.values()):
            return contract.lot_size
        return self.future.lot_size if self.future is not None else 1

    def side(self, kind: InstrumentKind) -> dict[Decimal, Instrument]:
        """Calls or puts by strike."""
        return self.calls if kind is InstrumentKind.CALL else self.puts


class InstrumentIndex:
    """All instruments of a day.

    Where one underlying name has contracts on two exchanges, those of its rule's exchange (else of the exchange with
    more contracts) make its chain; the others are still found by token, key and symbol.

    Args:
        instruments: rows of the dump, of any exchanges.
        rules: names and indices of underlyings.
        day: trading date; contracts of an old dump that expired earlier are left out. ``None`` keeps all.
    """

    def __init__(self, instruments: Iterable[Instrument], rules: MarketRules, *, day: date | None = None) -> None:
        self._rules = rules
        self._by_token: dict[int, Instrument] = {}
        self._by_symbol: dict[Exchange, dict[str, Instrument]] = {}
        self._rejected = 0
        self._expired: dict[InstrumentKey, date] = {}
        families: dict[tuple[str, Exchange], dict[date, ExpiryContracts]] = {}
        for row in instruments:
            if day is not None and row.expiry is not None and row.expiry < day:
                self._expired[row.key] = row.expiry
                continue
            symbols = self._by_symbol.setdefault(row.exchange, {})
            if row.token in self._by_token or row.tradingsymbol in symbols:
                self._rejected += 1
                continue
            self._by_token[row.token] = symbols[row.tradingsymbol] = row
            if not self._filed(row, families):
                self._rejected += 1
        if self._rejected:
            logger.warning("%d rows of the dump are twice there or lack expiry or strike", self._rejected)
        self._families = self._chosen(families)
        self._names = tuple(sorted(self._families, key=self._fame))
        self._squashed = {squash(name): name for name in self._names}
        self._labels = {name: label_expiries(self._option_expiries(name)) for name in self._names}
        self._symbols_sorted = sorted(self._by_token.values(), key=lambda row: row.tradingsymbol)
        self._symbols = [row.tradingsymbol for row in self._symbols_sorted]

    def __len__(self) -> int:
        return len(self._by_token)

    @property
    def instruments(self) -> tuple[Instrument, ...]:
        """Every row that can be used, by symbol."""
        return tuple(self._symbols_sorted)

    @property
    def rejected(self) -> int:
        """Rows that were twice there, or options without expiry or strike."""
        return self._rejected

    @property
    def expired(self) -> int:
        """Rows of an old dump that were left out because their contracts have expired."""
        return len(self._expired)

    @property
    def rules(self) -> MarketRules:
        """The facts this index was built with."""
        return self._rules

    @property
    def names(self) -> tuple[str, ...]:
        """Underlyings with futures or options, best known first."""
        return self._names

    # -- by name ------------------------------------------------------------------------------------------------

    def by_token(self, token: int) -> Instrument:
        """The instrument with a token.

        Raises:
            UnknownInstrument: there is none today.
        """
        found = self._by_token.get(token)
        if found is None:
            raise UnknownInstrument(f"No instrument has token {token} today.", field="token")
        return found

    def get(self, token: int) -> Instrument | None:
        """The instrument with a token, or ``None``."""
        return self._by_token.get(token)

    def by_key(self, key: InstrumentKey) -> Instrument:
        """The instrument with an exchange and symbol.

        Raises:
            UnknownInstrument: there is none today; the nearest symbols are named.
        """
        found = self._by_symbol.get(key.exchange, {}).get(key.tradingsymbol)
        if found is None:
            ended = self._expired.get(key)
            if ended is not None:
                raise UnknownInstrument(f"{key} expired on {day_word(ended)}{ended:%y}.", field="instrument")
            near = self._neighbours(key)
            hint = f" Nearest: {', '.join(near)}." if near else f" No instruments of {key.exchange} are loaded."
            raise UnknownInstrument(f"{key} is not listed today.{hint}", field="instrument")
        return found

    def with_prefix(self, prefix: str, limit: int) -> list[Instrument]:
        """At most ``limit`` instruments whose symbol begins with ``prefix`` (capitals), in order of the symbol."""
        place = bisect_left(self._symbols, prefix)
        found: list[Instrument] = []
        while place < len(self._symbols) and len(found) < limit and self._symbols[place].startswith(prefix):
            found.append(self._symbols_sorted[place])
            place += 1
        return found

    def search(self, text: str, limit: int = 20) -> tuple[Instrument, ...]:
        """Instruments by free text, best first: ``nifty 24000 ce w0``, ``banknifty fut``, a symbol or its beginning."""
        return instrument_search.search(self, text, limit)

    # -- underlyings --------------------------------------------------------------------------------------------

    def resolve_underlying(self, text: str) -> str:
        """The underlying a person means: its name or an alias, in any case, blanks ignored.

        Raises:
            UnknownInstrument: none is meant; the nearest names are given.
        """
        name = self.underlying_named(text)
        if name is None:
            near = difflib.get_close_matches(squash(text), self._squashed, n=NEAREST_NAMES)
            hint = f" Nearest: {', '.join(self._squashed[choice] for choice in near)}." if near else ""
            raise UnknownInstrument(f'"{text}" has no futures or options today.{hint}', field="underlying")
        return name

    def underlying_named(self, text: str) -> str | None:
        """The listed underlying with this very name or alias, or ``None``."""
        listed = self._squashed.get(squash(text))
        if listed is not None:
            return listed
        alias = self._rules.underlying_of(text)
        return alias if alias in self._families else None

    def underlyings(self) -> tuple[UnderlyingView, ...]:
        """Underlyings that have options, best known first."""
        views = []
        for name in self._names:
            expiries = self._option_expiries(name)
            if not expiries:
                continue
            nearest = self._families[name][expiries[0]]
            index = self.index_instrument(name)
            views.append(
                UnderlyingView(
                    name=name,
                    exchange=self._exchange(nearest),
                    index_token=index.token if index is not None else None,
                    lot_size=nearest.lot_size,
                    expiries=len(expiries),
                )
            )
        return tuple(views)

    def index_instrument(self, underlying: str) -> Instrument | None:
        """The dump's own row of the underlying's index; ``None`` when the dump or the rules lack it."""
        rule = self._rules.rule(underlying)
        if rule is None:
            return None
        row = self._by_symbol.get(rule.index_exchange, {}).get(rule.index_symbol)
        return row if row is not None and row.kind is InstrumentKind.INDEX else None

    # -- expiries and contracts ---------------------------------------------------------------------------------

    def expiries(self, underlying: str) -> tuple[ExpiryLabel, ...]:
        """Expiries that have options, with their labels, nearest first.

        Raises:
            UnknownInstrument: no such underlying.
        """
        return self._labels[self.resolve_underlying(underlying)]

    def all_contracts(self, underlying: str) -> Sequence[ExpiryContracts]:
        """Every expiry of a listed underlying, futures-only ones too, nearest first.

        Raises:
            UnknownInstrument: no such underlying.
        """
        return tuple(self._families[self.resolve_underlying(underlying)].values())

    def contracts(self, underlying: str, expiry: date) -> ExpiryContracts:
        """The contracts of one expiry.

        Raises:
            UnknownInstrument: no such underlying, or nothing of it expires on that day.
        """
        name = self.resolve_underlying(underlying)
        found = self._families[name].get(expiry)
        if found is None:
            raise UnknownInstrument(
                f"{name} has no expiry {day_word(expiry)}. Listed: {self._listed(name)}.", field="expiry"
            )
        return found

    def resolve_expiry(self, underlying: str, text: str | None = None) -> date:
        """The option expiry a person means: a label, ``01dec``, ``1dec26``, ``2026-12-01``; the nearest for ``None``.

        Raises:
            UnknownInstrument: no such underlying, or it has no options.
            InvalidInput: the underlying has no such expiry; the listed ones are named.
        """
        name = self.resolve_underlying(underlying)
        days = self._option_expiries(name)
        if not days:
            raise UnknownInstrument(f"{name} has no options today, only futures.", field="expiry")
        if not text:
            return days[0]
        word = text.strip().upper()
        if LABEL.fullmatch(word):
            return expiry_of_label(word.lower(), days, underlying=name)
        for day in dates_meant(word, days):
            return day
        raise UnknownInstrument(f'{name} has no expiry "{text}". Listed: {self._listed(name)}.', field="expiry")

    def strikes(self, underlying: str, expiry: date) -> tuple[Decimal, ...]:
        """Strikes with a call or a put, ascending.

        Raises:
            UnknownInstrument: no such underlying or expiry.
        """
        return self.contracts(underlying, expiry).strikes

    def option(self, underlying: str, expiry: date, strike: Decimal, kind: InstrumentKind) -> Instrument:
        """One call or put.

        Raises:
            UnknownInstrument: no such underlying, expiry or strike, or the strike lacks this side; the nearest strikes
                that have it are named.
        """
        contracts = self.contracts(underlying, expiry)
        side = contracts.side(kind)
        found = side.get(strike)
        if found is None:
            raise UnknownInstrument(self._no_strike(underlying, contracts, strike, kind), field="strike")
        return found

    def future(self, underlying: str, expiry: date) -> Instrument:
        """The future of one expiry.

        Raises:
            UnknownInstrument: no such underlying, or no future expires that day; the listed ones are named.
        """
        name = self.resolve_underlying(underlying)
        group = self._families[name].get(expiry)
        if group is None or group.future is None:
            listed = ", ".join(day_word(day) for day, other in self._families[name].items() if other.future is not None)
            raise UnknownInstrument(
                f"{name} has no future of {day_word(expiry)}. Futures: {listed or 'none'}.", field="expiry"
            )
        return group.future

    def matching_future(self, underlying: str, expiry: date) -> Instrument | None:
        """The future of the very same expiry, or ``None`` when none is listed."""
        return self.contracts(underlying, expiry).future

    # -- building -----------------------------------------------------------------------------------------------

    def _filed(self, row: Instrument, families: dict[tuple[str, Exchange], dict[date, ExpiryContracts]]) -> bool:
        """Put a future or option under its underlying and expiry; false when the row cannot be one."""
        kind = row.kind
        is_option = kind in _KIND_WORDS
        if not is_option and kind is not InstrumentKind.FUTURE:
            return True
        expiry = row.expiry
        if expiry is None:
            return False
        group = families.setdefault((row.name, row.exchange), {})
        contracts = group.get(expiry)
        if contracts is None:
            contracts = group[expiry] = ExpiryContracts(expiry)
        if not is_option:
            contracts.future = row
            return True
        strike = row.strike
        if strike is None or not strike.is_finite() or strike <= 0:
            return False
        contracts.side(kind)[strike] = row
        return True

    def _chosen(
        self, families: dict[tuple[str, Exchange], dict[date, ExpiryContracts]]
    ) -> dict[str, dict[date, ExpiryContracts]]:
        """One family per name, its expiries ascending."""
        sizes = Counter[tuple[str, Exchange]]()
        for address, group in families.items():
            sizes[address] = sum(len(each.calls) + len(each.puts) + 1 for each in group.values())
        best: dict[str, tuple[bool, int, Exchange]] = {}
        for (name, exchange), size in sizes.items():
            rule = self._rules.rule(name)
            claim = (rule is not None and rule.exchange is exchange, size, exchange)
            best[name] = max(best.get(name, claim), claim)
        return {name: dict(sorted(families[name, exchange].items())) for name, (_, _, exchange) in best.items()}

    def _fame(self, name: str) -> tuple[int, str]:
        known = self._rules.underlyings
        return (known.index(name) if name in known else len(known), name)

    def _option_expiries(self, name: str) -> tuple[date, ...]:
        return tuple(day for day, group in self._families[name].items() if group.calls or group.puts)

    @staticmethod
    def _exchange(contracts: ExpiryContracts) -> Exchange:
        return next(iter((*contracts.calls.values(), *contracts.puts.values()))).exchange

    # -- sentences ----------------------------------------------------------------------------------------------

    def _listed(self, name: str) -> str:
        return ", ".join(f"{'/'.join(item.labels)} {day_word(item.expiry)}" for item in self._labels[name]) or "none"

    def _no_strike(self, underlying: str, contracts: ExpiryContracts, strike: Decimal, kind: InstrumentKind) -> str:
        name = self.resolve_underlying(underlying)
        labels = [item.labels[0] for item in self._labels[name] if item.expiry == contracts.expiry]
        where = f"{labels[0]} ({day_word(contracts.expiry)})" if labels else f"{name} {day_word(contracts.expiry)}"
        listed = sorted(contracts.side(kind))
        place = bisect_left(listed, strike)
        near = " and ".join(grouped(each) for each in listed[max(0, place - 1) : place + 1])
        word = _KIND_WORDS[kind]
        if strike in contracts.strikes:
            other = "put" if kind is InstrumentKind.CALL else "call"
            return f"{where} has no {word} at {grouped(strike)}, only a {other}. Next {word}s: {near or 'none'}."
        return f"{where} has no strike {grouped(strike)}. Next: {near or 'none'}."

    def _neighbours(self, key: InstrumentKey) -> list[str]:
        """Symbols of the exchange that stand nearest in order, longest common beginning first."""
        place = bisect_left(self._symbols, key.tradingsymbol)
        window = self._symbols_sorted[max(0, place - NEAREST_NAMES) : place + NEAREST_NAMES]
        near = [row.tradingsymbol for row in window if row.exchange is key.exchange]
        near.sort(key=lambda symbol: -_common_beginning(symbol, key.tradingsymbol))
        return near[:NEAREST_NAMES]


def _common_beginning(one: str, other: str) -> int:
    length = 0
    for left, right in zip(one, other, strict=False):
        if left != right:
            break
        length += 1
    return length
