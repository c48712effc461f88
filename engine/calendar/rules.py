"""The dated market facts: read from data files, checked, and handed out as frozen values.

Sessions and holidays live in ``sessions.toml``, what the instrument dump does not say (freeze quantity, index token,
other names) in ``underlyings.toml``. Invariant: a file is taken whole or refused whole, with the file, the key and what
is allowed there; nothing here has a fallback value for a fact that a file lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, time
from decimal import Decimal
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from engine.core.errors import SetupError
from engine.core.vocabulary import Exchange

SESSIONS_FILE: Final = "sessions.toml"
UNDERLYINGS_FILE: Final = "underlyings.toml"
_CHECKED_KEY: Final = "checked"
_OTHER_INDICES_KEY: Final = "other_indices"

DataFile = Path | Traversable
_Table = TypeVar("_Table")


class SessionRegime(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"since": "from"}):
    """Hours of index and stock derivatives from a day on, Indian wall-clock times."""

    since: date
    """First day in force; the last row whose day is not later than the session applies."""
    pre_open: time | None = None
    open: time
    close: time
    index_expiry_close: time
    """When index contracts stop on their expiry day."""
    cash_continuous_close: time
    """From here the index no longer moves continuously."""
    source: str


class HolidayYear(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The holiday list of one year."""

    year: int
    days: tuple[date, ...]
    source: str


class SpecialSession(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session on a day, or at an hour, that the rule does not give."""

    day: date
    pre_open: time | None = None
    open: time
    close: time
    why: str


class SessionTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of ``sessions.toml``; regimes in order of their day."""

    checked: date
    """When a person last compared the facts with their sources."""
    zone: str
    first_day: date
    last_day: date
    """Days outside [first_day, last_day] have no holiday list: whether the market opens is unknown."""
    derivatives: tuple[SessionRegime, ...]
    holidays: tuple[HolidayYear, ...]
    special_sessions: tuple[SpecialSession, ...] = ()


class UnderlyingRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is known of one underlying besides the dump. Lot size and ticks of the dump win where there is one."""

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

    Raises:
        ValueError: one alias names two underlyings.
    """

    def __init__(
        self, underlyings: Mapping[str, UnderlyingRule], *, checked: date, other_indices: Iterable[str] = ()
    ) -> None:
        self.checked = checked
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

    def freeze_quantity(self, underlying: str) -> int | None:
        """The most units one order may have; ``None`` when it is not known (it is then not checked, and said so)."""
        rule = self._rules.get(underlying)
        return rule.freeze_quantity if rule is not None else None

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


def read_sessions(file: DataFile | None = None) -> SessionTable:
    """Read the session table, from ``file`` or the one shipped.

    Raises:
        SetupError: the file cannot be read, is not TOML, or a key is missing, unknown, ill-typed or contradicts others.
    """
    source = file if file is not None else _shipped(SESSIONS_FILE)
    table = _converted(_parsed(source), SessionTable, source)
    _check_sessions(table, source)
    ordered = tuple(sorted(table.derivatives, key=lambda regime: regime.since))
    return msgspec.structs.replace(table, derivatives=ordered)


def read_rules(file: DataFile | None = None) -> MarketRules:
    """Read the facts by underlying, from ``file`` or the one shipped.

    Raises:
        SetupError: the file cannot be read, is not TOML, or a key is missing, unknown, ill-typed or contradicts others.
    """
    source = file if file is not None else _shipped(UNDERLYINGS_FILE)
    tables = _parsed(source)
    if _CHECKED_KEY not in tables:
        raise _refusal(source, _CHECKED_KEY, "is missing; it is the date the facts were last checked")
    checked = _converted(tables.pop(_CHECKED_KEY), date, source, _CHECKED_KEY)
    others = _converted(tables.pop(_OTHER_INDICES_KEY, ()), tuple[str, ...], source, _OTHER_INDICES_KEY)
    rules = {name: _converted(table, UnderlyingRule, source, name) for name, table in tables.items()}
    for name, rule in rules.items():
        _check_underlying(name, rule, source)
    try:
        return MarketRules(rules, checked=checked, other_indices=others)
    except ValueError as error:
        raise SetupError(f"{source}: {error}.") from error


def _shipped(name: str) -> Traversable:
    return files("engine.calendar") / "data" / name


def _parsed(source: DataFile) -> dict[str, Any]:
    try:
        tables = msgspec.toml.decode(source.read_bytes())
    except OSError as error:
        raise SetupError(f"{source} cannot be read: {error.strerror or error}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"{source} is not TOML: {error}.") from error
    return dict(tables)


def _converted(value: object, kind: type[_Table], source: DataFile, within: str = "") -> _Table:
    """Turn parsed TOML into ``kind``; the error keeps msgspec's own path to the key."""
    try:
        return msgspec.convert(value, kind, builtin_types=(date, time), str_keys=True)
    except msgspec.ValidationError as error:
        words = str(error).replace("`$", f"`{within}") if within else str(error).replace("`$.", "`")
        raise SetupError(f"{source}: {words}.") from error


def _refusal(source: DataFile, key: str, words: str) -> SetupError:
    return SetupError(f"{source}: `{key}` {words}.")


def _check_sessions(table: SessionTable, source: DataFile) -> None:
    """Refuse facts that contradict each other."""
    try:
        ZoneInfo(table.zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise _refusal(source, "zone", f"is {table.zone!r}, which is no time zone (Asia/Kolkata is one)") from error
    if table.first_day > table.last_day:
        raise _refusal(source, "last_day", f"{table.last_day} lies before first_day {table.first_day}")
    if not any(regime.since <= table.first_day for regime in table.derivatives):
        raise _refusal(source, "derivatives", f"has no row in force on first_day {table.first_day}")
    if len({regime.since for regime in table.derivatives}) != len(table.derivatives):
        raise _refusal(source, "derivatives", "has two rows with one `from`; each day begins one regime at most")
    for number, regime in enumerate(table.derivatives):
        where = f"derivatives[{number}]"
        _check_hours(source, where, regime.pre_open, regime.open, regime.close)
        for name in ("index_expiry_close", "cash_continuous_close"):
            moment = getattr(regime, name)
            if not regime.open < moment <= regime.close:
                raise _refusal(
                    source,
                    f"{where}.{name}",
                    f"is {moment}; it must lie after {regime.open} and not after {regime.close}",
                )
    listed = {holidays.year for holidays in table.holidays}
    missing = [year for year in range(table.first_day.year, table.last_day.year + 1) if year not in listed]
    if missing:
        raise _refusal(source, "holidays", f"has no list for {missing[0]}, which lies in [first_day, last_day]")
    for number, holidays in enumerate(table.holidays):
        strange = [day for day in holidays.days if day.year != holidays.year]
        if strange:
            raise _refusal(source, f"holidays[{number}].days", f"holds {strange[0]}, which is not in {holidays.year}")
    for number, special in enumerate(table.special_sessions):
        _check_hours(source, f"special_sessions[{number}]", special.pre_open, special.open, special.close)


def _check_hours(source: DataFile, where: str, pre_open: time | None, opens: time, closes: time) -> None:
    if not opens < closes:
        raise _refusal(source, f"{where}.close", f"is {closes}; it must lie after open, {opens}")
    if pre_open is not None and not pre_open < opens:
        raise _refusal(source, f"{where}.pre_open", f"is {pre_open}; it must lie before open, {opens}")


def _check_underlying(name: str, rule: UnderlyingRule, source: DataFile) -> None:
    for key in ("index_token", "lot_size", "strike_step", "freeze_quantity", "option_tick", "future_tick"):
        if not getattr(rule, key) > 0:
            raise _refusal(source, f"{name}.{key}", f"is {getattr(rule, key)}; it must be greater than 0")
    if not 0 <= rule.expiry_weekday <= 6:
        raise _refusal(source, f"{name}.expiry_weekday", f"is {rule.expiry_weekday}; Monday is 0, Sunday is 6")
