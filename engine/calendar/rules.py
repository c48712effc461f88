"""Facts by underlying that no dump holds: other names, index tokens, and the dated rules that apply to their contracts.

Names and tokens live in ``underlyings.toml``, dated facts in ``rules.toml`` (:mod:`engine.calendar.rule_pack`) and
sessions in ``sessions.toml`` (:mod:`engine.calendar.session_table`). Invariant: a file is taken whole or refused whole,
with the file, the key and what is allowed there; nothing here has a fallback value for a fact that a file lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from typing import Final

import msgspec

from engine.calendar.data_files import DataFile, converted, parsed, refusal, shipped, text_of
from engine.calendar.rule_pack import SHIPPED, DatedRules, PriceBand, RuleLayer, read_rule_file
from engine.calendar.rule_rows import Contracts
from engine.calendar.session_table import SessionRegime, SessionTable, SpecialSession, read_sessions
from engine.core.errors import SetupError
from engine.core.instruments import Instrument
from engine.core.vocabulary import Exchange, InstrumentKind

__all__ = [
    "MarketRules",
    "SessionRegime",
    "SessionTable",
    "SpecialSession",
    "UnderlyingRule",
    "read_rules",
    "read_sessions",
    "squash",
]

UNDERLYINGS_FILE: Final = "underlyings.toml"
_CHECKED_KEY: Final = "checked"
_OTHER_INDICES_KEY: Final = "other_indices"


class UnderlyingRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of one underlying besides the dump.

    Lot, step, freeze quantity, ticks and weekday are what a made-up market is made of; for real contracts the dump and
    the dated rules say them.
    """

    exchange: Exchange
    index_exchange: Exchange
    index_symbol: str
    index_token: int
    lot_size: int
    """Units."""
    strike_step: int
    freeze_quantity: int
    """The most units one order may have."""
    option_tick: Decimal
    future_tick: Decimal
    weekly: bool
    expiry_weekday: int
    """Monday is 0. Used to make up contracts only; expiries of real ones come from the dump."""
    aliases: tuple[str, ...] = ()


class MarketRules:
    """Facts by underlying, and the other names underlyings go by.

    Args:
        underlyings: rules by the underlying's name as the dump spells it, best known first.
        checked: when a person last compared them with their sources.
        other_indices: further underlyings that are indices, of which nothing else is known.
        dated: what is in force on a day; nothing when left out.

    Raises:
        ValueError: one alias names two underlyings.
    """

    def __init__(
        self,
        underlyings: Mapping[str, UnderlyingRule],
        *,
        checked: date,
        other_indices: Iterable[str] = (),
        dated: DatedRules | None = None,
    ) -> None:
        self.checked = checked
        self._dated = dated if dated is not None else DatedRules(())
        self._rules = dict(underlyings)
        self._indices = frozenset(underlyings) | frozenset(other_indices)
        self._aliases: dict[str, str] = {}
        for name, rule in self._rules.items():
            for spelling in (name, rule.index_symbol, *rule.aliases):
                squashed = squash(spelling)
                owner = self._aliases.setdefault(squashed, name)
                if owner != name:
                    raise ValueError(
                        f"{name}.aliases: {spelling!r} names {owner} already; an alias names one underlying"
                    )

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Names with rules, best known first."""
        return tuple(self._rules)

    @property
    def aliases(self) -> Mapping[str, str]:
        """Name of the underlying by squashed spelling (:func:`squash`); the name itself is one of them."""
        return self._aliases

    def rule(self, underlying: str) -> UnderlyingRule | None:
        """Facts of one underlying; ``None`` when the files have none."""
        return self._rules.get(underlying)

    def is_index(self, underlying: str) -> bool:
        """Whether its contracts are index contracts (cash-settled, with their own last hour); else a stock's."""
        return underlying in self._indices

    @property
    def dated(self) -> DatedRules:
        """What is in force on a day."""
        return self._dated

    def take(self, dated: DatedRules) -> None:
        """Go by other dated facts from now on: a person has loaded a rule file."""
        self._dated = dated

    def freeze_quantity(self, underlying: str, on: date | None = None) -> int | None:
        """The most units one order may have on a day of the exchange, without one the newest that is known.

        ``None`` when it is not known (it is then not checked, and said so).
        """
        return self._dated.freeze_quantity(underlying, on)

    def price_band(self, instrument: Instrument, reference: Decimal, on: date) -> PriceBand | None:
        """Between which limits the exchange takes an order in an option or future, around its reference price.

        ``None`` when no band is known for such contracts, and for what is neither.
        """
        contracts = self.contracts_of(instrument)
        if contracts is None:
            return None
        return self._dated.price_band(instrument.exchange, contracts, instrument.name, reference, on)

    def ban_list(self, on: date) -> frozenset[str] | None:
        """Stocks in which no new positions may be opened on a day; ``None`` when no list of that day is loaded."""
        return self._dated.ban_list(on)

    def contracts_of(self, instrument: Instrument) -> Contracts | None:
        """Which kind of contracts an instrument belongs to; ``None`` when it is no option and no future."""
        if instrument.kind.is_option:
            return "index option" if self.is_index(instrument.name) else "stock option"
        if instrument.kind is InstrumentKind.FUTURE:
            return "index future" if self.is_index(instrument.name) else "stock future"
        return None

    def index_token(self, underlying: str) -> int | None:
        """The token of the underlying's index; ``None`` when it is not known or there is none."""
        rule = self._rules.get(underlying)
        return rule.index_token if rule is not None else None

    def underlying_of(self, text: str) -> str | None:
        """The underlying a spelling names: case, blanks and hyphens do not matter."""
        return self._aliases.get(squash(text))


def squash(text: str) -> str:
    """Capital letters and digits only, as aliases are compared: ``Bank Nifty`` and ``BANKNIFTY`` are one name."""
    return "".join(character for character in text.upper() if character.isalnum())


def read_rules(file: DataFile | None = None, *, dated: DatedRules | None = None) -> MarketRules:
    """Read the facts by underlying, from ``file`` or the one shipped.

    Without ``dated`` the shipped dated rules go with them.

    Raises:
        SetupError: the file cannot be read, is not TOML, or a key is missing, unknown, ill-typed or contradicts others.
    """
    name = str(file if file is not None else shipped(UNDERLYINGS_FILE))
    tables = parsed(text_of(file if file is not None else shipped(UNDERLYINGS_FILE)), name)
    if _CHECKED_KEY not in tables:
        raise refusal(name, _CHECKED_KEY, "is missing; it is the date the facts were last checked")
    checked = converted(tables.pop(_CHECKED_KEY), date, name, _CHECKED_KEY)
    others = converted(tables.pop(_OTHER_INDICES_KEY, ()), tuple[str, ...], name, _OTHER_INDICES_KEY)
    rules = {underlying: converted(table, UnderlyingRule, name, underlying) for underlying, table in tables.items()}
    for underlying, rule in rules.items():
        _check_underlying(underlying, rule, name)
    if dated is None:
        dated = DatedRules((RuleLayer(SHIPPED, read_rule_file()),))
    try:
        return MarketRules(rules, checked=checked, other_indices=others, dated=dated)
    except ValueError as error:
        raise SetupError(f"{name}: {error}.") from error


def _check_underlying(underlying: str, rule: UnderlyingRule, name: str) -> None:
    for key in ("index_token", "lot_size", "strike_step", "freeze_quantity", "option_tick", "future_tick"):
        if not getattr(rule, key) > 0:
            raise refusal(name, f"{underlying}.{key}", f"is {getattr(rule, key)}; it must be greater than 0")
    if not 0 <= rule.expiry_weekday <= 6:
        raise refusal(name, f"{underlying}.expiry_weekday", f"is {rule.expiry_weekday}; Monday is 0, Sunday is 6")
