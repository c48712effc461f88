"""Sessions, holidays and expiry dates as the practice exchange reads them from the dated data files.

Only the *data* is shared with the desk; the reading is this package's own. Market time is a float of epoch seconds
(UTC) throughout the package; Indian wall-clock time appears only in text for people and for the wire.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from engine.practice.dated_rules import DatedRules

IST = ZoneInfo("Asia/Kolkata")
_DATA_PACKAGE = "engine.calendar"
_DAYS_SEARCHED = 30
_PAISE = 100


def epoch(day: date, clock: time) -> float:
    """Return the epoch seconds of an Indian wall-clock time on a day."""
    return datetime.combine(day, clock, tzinfo=IST).timestamp()


def indian(moment: float) -> datetime:
    """Return the aware Indian wall-clock time of an instant."""
    return datetime.fromtimestamp(moment, tz=IST)


def stamp(moment: float) -> str:
    """Return ``YYYY-MM-DD HH:MM:SS`` of Indian wall-clock time, as the broker writes times."""
    return indian(moment).strftime("%Y-%m-%d %H:%M:%S")


@dataclass(frozen=True, slots=True)
class Session:
    """One trading session of index derivatives; instants are epoch seconds.

    Attributes:
        day: Trading date.
        opens: First instant.
        closes: Last instant.
        cash_stops: When the index stops moving continuously.
        expiring_closes: When contracts that expire on this day stop.
        extended: True for a session opened at a snapshot taken at or after the real close.
        from_snapshot: True when it begins at a snapshot's moment instead of at the open.
    """

    day: date
    opens: float
    closes: float
    cash_stops: float
    expiring_closes: float
    extended: bool = False
    from_snapshot: bool = False

    @property
    def seconds(self) -> int:
        """Length in whole seconds."""
        return round(self.closes - self.opens)

    @property
    def key(self) -> str:
        """What the session's random numbers are keyed by."""
        return f"{self.day.isoformat()}{f'@{int(self.opens)}' if self.from_snapshot else ''}"


@dataclass(frozen=True, slots=True)
class UnderlyingFacts:
    """Dated facts of one underlying; ticks in paise, quantities in units."""

    name: str
    exchange: str
    index_exchange: str
    index_symbol: str
    index_token: int
    lot_size: int
    strike_step: int
    freeze_quantity: int
    option_tick: int
    future_tick: int
    weekly: bool
    expiry_weekday: int


class TradingCalendar:
    """Trading days, session times, expiry dates and dated rules out of the data files."""

    def __init__(
        self, sessions: Mapping[str, Any], underlyings: Mapping[str, Any], rules: Mapping[str, Any] | None = None
    ) -> None:
        self.rules = DatedRules(rules or {})
        self._regimes: list[Mapping[str, Any]] = sorted(sessions["derivatives"], key=lambda row: row["from"])
        self._holidays = {day for row in sessions["holidays"] for day in row["days"]}
        self._special = {row["day"]: row for row in sessions.get("special_sessions", ())}
        self.last_known_day: date = sessions["last_day"]
        self.underlyings = {name: _facts(name, row) for name, row in underlyings.items() if isinstance(row, Mapping)}

    @classmethod
    def load(cls) -> TradingCalendar:
        """Read the shipped data files."""
        folder = files(_DATA_PACKAGE) / "data"
        sessions = tomllib.loads((folder / "sessions.toml").read_text(encoding="utf-8"))
        underlyings = tomllib.loads((folder / "underlyings.toml").read_text(encoding="utf-8"))
        rules = tomllib.loads((folder / "rules.toml").read_text(encoding="utf-8"))
        return cls(sessions, underlyings, rules)

    def is_regular_day(self, day: date) -> bool:
        """Tell whether a full session is held on the day (special sessions do not count)."""
        return day.weekday() < 5 and day not in self._holidays

    def session(self, day: date) -> Session | None:
        """Return the session held on a day, or None."""
        special = self._special.get(day)
        regime = self._regime(day)
        if special is not None:
            closes = epoch(day, special["close"])
            return Session(day, epoch(day, special["open"]), closes, closes, closes)
        if not self.is_regular_day(day):
            return None
        return Session(
            day,
            epoch(day, regime["open"]),
            epoch(day, regime["close"]),
            epoch(day, regime["cash_continuous_close"]),
            epoch(day, regime["index_expiry_close"]),
        )

    def session_after(self, day: date) -> Session:
        """Return the first session on a later day."""
        return next(self._sessions_from(day + timedelta(days=1)))

    def session_at_or_after(self, moment: float) -> Session:
        """Return the session that is running at an instant, else the next one."""
        for session in self._sessions_from(indian(moment).date()):
            if session.closes > moment:
                return session
        raise ValueError("no trading day was found in the calendar")  # pragma: no cover - the iterator raises first

    def session_before(self, day: date) -> Session:
        """Return the last session on an earlier day."""
        for back in range(1, _DAYS_SEARCHED):
            session = self.session(day - timedelta(days=back))
            if session is not None:
                return session
        raise ValueError(f"no trading day was found in the {_DAYS_SEARCHED} days before {day}")

    def snapshot_session(self, moment: float, extended_seconds: int) -> Session:
        """Return the session that opens at a snapshot's moment, extended when that was at or after the close.

        Args:
            moment: When the snapshot was taken, epoch seconds.
            extended_seconds: Length of a session that the real market did not hold.
        """
        day = indian(moment).date()
        regular = self.session(day)
        if regular is not None and regular.opens <= moment < regular.closes:
            return replace(regular, opens=moment, from_snapshot=True)
        closes = moment + extended_seconds
        return Session(day, moment, closes, closes, closes, extended=True, from_snapshot=True)

    def expiry_instant(self, expiry: date) -> float:
        """Return when an index contract of this expiry date stops, epoch seconds."""
        return epoch(expiry, self._regime(expiry)["index_expiry_close"])

    def on_or_before(self, day: date) -> date:
        """Return the day itself when a regular session is held, else the last such day before it."""
        for back in range(_DAYS_SEARCHED):
            candidate = day - timedelta(days=back)
            if self.is_regular_day(candidate):
                return candidate
        raise ValueError(f"no trading day was found in the {_DAYS_SEARCHED} days before {day}")

    def monthly_expiries(self, weekday: int, first: date, count: int) -> list[date]:
        """Return the next monthly expiry dates (last such weekday of the month, moved off holidays)."""
        found: list[date] = []
        year, month = first.year, first.month
        while len(found) < count:
            following = date(year + month // 12, month % 12 + 1, 1)
            last = following - timedelta(days=1)
            expiry = self.on_or_before(last - timedelta(days=(last.weekday() - weekday) % 7))
            if expiry >= first:
                found.append(expiry)
            year, month = following.year, following.month
        return found

    def weekly_expiries(self, weekday: int, first: date, count: int) -> list[date]:
        """Return the next expiry dates of any kind of an underlying with weekly contracts."""
        found: list[date] = []
        nominal = first + timedelta(days=(weekday - first.weekday()) % 7)
        while len(found) < count:
            expiry = self.on_or_before(nominal)
            if expiry >= first:
                found.append(expiry)
            nominal += timedelta(days=7)
        return found

    def listed_expiries(
        self, facts: UnderlyingFacts, first: date, weeklies: int, monthlies: int
    ) -> tuple[list[date], list[date]]:
        """Return all listed expiries from a day on, and which of them are monthly, both ascending."""
        monthly = self.monthly_expiries(facts.expiry_weekday, first, monthlies)
        near = self.weekly_expiries(facts.expiry_weekday, first, weeklies) if facts.weekly else []
        return sorted({*monthly, *near}), monthly

    def is_monthly(self, facts: UnderlyingFacts, expiry: date) -> bool:
        """Tell whether an expiry date is its month's last one for the underlying."""
        return expiry in self.monthly_expiries(facts.expiry_weekday, expiry, 1)

    def _regime(self, day: date) -> Mapping[str, Any]:
        return [row for row in self._regimes if row["from"] <= day][-1]

    def _sessions_from(self, day: date) -> Iterator[Session]:
        for ahead in range(_DAYS_SEARCHED):
            session = self.session(day + timedelta(days=ahead))
            if session is not None:
                yield session
        raise ValueError(f"no trading day was found in the {_DAYS_SEARCHED} days from {day}")


def _facts(name: str, row: Mapping[str, Any]) -> UnderlyingFacts:
    return UnderlyingFacts(
        name=name,
        exchange=row["exchange"],
        index_exchange=row["index_exchange"],
        index_symbol=row["index_symbol"],
        index_token=row["index_token"],
        lot_size=row["lot_size"],
        strike_step=row["strike_step"],
        freeze_quantity=row["freeze_quantity"],
        option_tick=round(float(row["option_tick"]) * _PAISE),
        future_tick=round(float(row["future_tick"]) * _PAISE),
        weekly=row["weekly"],
        expiry_weekday=row["expiry_weekday"],
    )


def common_lot(quantities: Sequence[int], listed: int, minimum: int = 20) -> int:
    """Return the lot size that displayed sizes imply: their greatest common divisor, else the listed one.

    Displayed sizes are always whole lots, so an old snapshot tells its own lot size when it has enough of them.
    """
    shown = [quantity for quantity in quantities if quantity > 0]
    divisor = math.gcd(*shown) if shown else 0
    return divisor if len(shown) >= minimum and divisor > 1 else listed
