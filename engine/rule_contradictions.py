"""Where the day's dump and the dated facts say different things. The dump wins; the difference is shown.

Invariant: what cannot be judged (an expiry in a year without a holiday list) is no contradiction.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Final

from engine.calendar.rule_rows import WEEKDAYS, Contracts, Cycle
from engine.calendar.rules import MarketRules
from engine.calendar.sessions import SessionCalendar
from engine.core.instruments import Instrument
from engine.core.rulebook import Contradiction
from engine.core.vocabulary import Exchange
from engine.market.instrument_index import ExpiryContracts, InstrumentIndex
from engine.market.instrument_words import day_word

DAYS_NAMED: Final = 6
"""How many expiries one sentence names."""
_STRIKES_LOOKED_AT: Final = 8
"""How many distances around the middle of a ladder tell its step."""
_DAYS_OF_A_WEEK: Final = 7


def contradictions(
    index: InstrumentIndex, rules: MarketRules, calendar: SessionCalendar, on: date
) -> tuple[Contradiction, ...]:
    """Every difference between the dump of a day and the facts in force then, by underlying, best known first."""
    found: list[Contradiction] = []
    for name in index.names:
        groups = index.all_contracts(name)
        found += _lots(name, groups, rules, on)
        found += _ticks(name, groups, rules, on)
        found += _step(name, groups, rules, on)
        found += _expiries(name, index, rules, calendar)
    return tuple(found)


def _rows(group: ExpiryContracts) -> Iterator[Instrument]:
    yield from group.calls.values()
    yield from group.puts.values()
    if group.future is not None:
        yield group.future


def _lots(name: str, groups: Iterable[ExpiryContracts], rules: MarketRules, on: date) -> Iterator[Contradiction]:
    by_lot: dict[int, list[date]] = {}
    differing: dict[tuple[int, int], list[date]] = {}
    for group in groups:
        ruled = rules.dated.lot_size(name, group.expiry)
        for lot in {row.lot_size for row in _rows(group)}:
            by_lot.setdefault(lot, []).append(group.expiry)
            if ruled is not None and lot != ruled:
                differing.setdefault((ruled, lot), []).append(group.expiry)
    for (ruled, lot), days in differing.items():
        yield Contradiction(
            topic="lot",
            subject=name,
            rule=str(ruled),
            dump=str(lot),
            message=f"{name} {_days(days)}: the dump's lot is {lot}, the rule's {ruled}. Orders go by the dump.",
        )
    if len(by_lot) > 1:
        sizes = "; ".join(f"{lot} for {_days(days)}" for lot, days in sorted(by_lot.items()))
        yield Contradiction(
            topic="lot",
            subject=name,
            rule="one lot size",
            dump=", ".join(map(str, sorted(by_lot))),
            message=f"{name} has {len(by_lot)} lot sizes side by side: {sizes}. Each order goes by its own row.",
        )
    freeze, largest = rules.freeze_quantity(name, on), max(by_lot, default=0)
    if freeze is not None and freeze < largest:
        yield Contradiction(
            topic="freeze",
            subject=name,
            rule=str(freeze),
            dump=str(largest),
            message=f"{name}: the freeze quantity {freeze} is less than a lot of {largest}; no order could be sent.",
        )


def _ticks(name: str, groups: Iterable[ExpiryContracts], rules: MarketRules, on: date) -> Iterator[Contradiction]:
    seen: dict[tuple[Exchange, Contracts], set[Decimal]] = {}
    for group in groups:
        for row in _rows(group):
            contracts = rules.contracts_of(row)
            if contracts is not None:
                seen.setdefault((row.exchange, contracts), set()).add(row.tick_size)
    for (exchange, contracts), ticks in seen.items():
        allowed = rules.dated.ticks(exchange, contracts, name, on)
        strange = sorted(ticks - set(allowed))
        if allowed and strange:
            rule, dump = " or ".join(map(str, allowed)), ", ".join(map(str, strange))
            yield Contradiction(
                topic="tick",
                subject=f"{name} {contracts}s",
                rule=rule,
                dump=dump,
                message=f"{name} {contracts}s: the dump's tick is {dump}, the rule's {rule}. Prices go by the dump.",
            )


def _step(name: str, groups: Iterable[ExpiryContracts], rules: MarketRules, on: date) -> Iterator[Contradiction]:
    nearest = next((group for group in groups if len(group.strikes) > 1), None)
    ruled = rules.dated.strike_step(name, on)
    if nearest is None or ruled is None:
        return
    strikes = nearest.strikes
    first = max(0, (len(strikes) - _STRIKES_LOOKED_AT) // 2)
    middle = strikes[first : first + _STRIKES_LOOKED_AT + 1]
    step = min(later - earlier for earlier, later in pairwise(middle))
    if step != ruled:
        yield Contradiction(
            topic="step",
            subject=name,
            rule=str(ruled),
            dump=str(step),
            message=f"{name} {day_word(nearest.expiry)}: strikes stand {step} apart, by the rule {ruled}.",
        )


def _expiries(
    name: str, index: InstrumentIndex, rules: MarketRules, calendar: SessionCalendar
) -> Iterator[Contradiction]:
    unlisted: list[date] = []
    moved: dict[str, list[date]] = {}
    for label in index.expiries(name):
        cycle: Cycle = "monthly" if label.is_monthly else "weekly"
        row = rules.dated.expiry(name, cycle, label.expiry)
        if row is None:
            continue
        if row.weekday == "none":
            unlisted.append(label.expiry)
        elif not _falls_on(label.expiry, WEEKDAYS.index(row.weekday), calendar):
            moved.setdefault(row.weekday, []).append(label.expiry)
    if unlisted:
        yield _expiry_contradiction(name, "no weekly contracts", unlisted, "are listed although it has no weeklies")
    for weekday, days in moved.items():
        yield _expiry_contradiction(
            name, weekday, days, f"are not {weekday}, and no holiday moved {'them' if len(days) > 1 else 'it'}"
        )


def _falls_on(expiry: date, weekday: int, calendar: SessionCalendar) -> bool:
    """Whether an expiry is that weekday, or the trading day before a holiday on it, as far as anybody can know."""
    if calendar.covers(expiry) and not calendar.is_trading_day(expiry):
        return False
    ahead = (weekday - expiry.weekday()) % _DAYS_OF_A_WEEK
    between = [expiry + timedelta(days=number) for number in range(1, ahead + 1)]
    return not any(calendar.covers(day) and calendar.is_trading_day(day) for day in between)


def _expiry_contradiction(name: str, rule: str, days: list[date], words: str) -> Contradiction:
    return Contradiction(
        topic="expiry",
        subject=name,
        rule=rule,
        dump=_days(days),
        message=f"{name} {_days(days)} {words}. Dates go by the dump.",
    )


def _days(days: Mapping[date, object] | list[date]) -> str:
    listed = sorted(days)
    words = ", ".join(day_word(day) + f"{day:%y}" for day in listed[:DAYS_NAMED])
    return words + (f" and {len(listed) - DAYS_NAMED} more" if len(listed) > DAYS_NAMED else "")
