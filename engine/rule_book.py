"""The rule pack: shipped facts with the files that a person loaded laid over them, what is in force on a day, and why.

The calendar and the market rules it holds are the engine's own: when a file is loaded or forgotten they answer by it
from then on, everywhere. Invariant: a file is taken whole or not at all; one that cannot be taken any more is named,
and the facts without it stand.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from engine.calendar.rule_pack import SHIPPED, DatedRules, RuleLayer, parse_rule_file, read_rule_file
from engine.calendar.rule_rows import RuleFile
from engine.calendar.rules import MarketRules, read_rules
from engine.calendar.session_rows import session_rows
from engine.calendar.session_table import SessionTable, overlaid, read_sessions
from engine.calendar.sessions import SessionCalendar
from engine.charges.rates import ChargeTable
from engine.core.errors import SetupError, StorageError
from engine.core.repositories import RuleRepository
from engine.core.rulebook import Contradiction, RuleRow, RulesView
from engine.market.instrument_index import InstrumentIndex
from engine.rule_charges import charge_rows, read_charge_table, why_unknown
from engine.rule_contradictions import contradictions

logger = logging.getLogger(__name__)

LIST_ENDS_SOON: Final = timedelta(days=45)
"""So long before the last day of the holiday lists it is said."""
SESSION_AHEAD: Final = timedelta(days=30)
"""So long before a session of unknown hours it is said."""
NAMES_SAID: Final = 8

LoadedText = tuple[str, str, datetime]
"""A stored file: its name, what it says, and when it was loaded."""


class RuleBook:
    """What is in force, and why.

    Args:
        sessions: the shipped session table.
        shipped: the shipped rule file.
        rules: facts by underlying; their dated rules are replaced as files come and go.
        charges: the charges as their file has them.
    """

    def __init__(self, *, sessions: SessionTable, shipped: RuleFile, rules: MarketRules, charges: ChargeTable) -> None:
        self._sessions = sessions
        self._shipped = shipped
        self._charges = charges
        self.rules = rules
        """The market's facts as they are now; the same object for good."""
        self.calendar = SessionCalendar(sessions)
        """The sessions as they are now; the same object for good."""
        self._loaded: tuple[LoadedText, ...] = ()
        self._origins: dict[tuple[str, date], str] = {}
        self._problems: tuple[str, ...] = ()
        self._storage_problem = ""
        self._judged: tuple[InstrumentIndex, date, DatedRules, SessionTable, tuple[Contradiction, ...]] | None = None
        self.take(())

    @property
    def problems(self) -> tuple[str, ...]:
        """Loaded files that are not used, with the reason, one sentence each."""
        return (*self._problems, self._storage_problem) if self._storage_problem else self._problems

    def take(self, loaded: Sequence[LoadedText]) -> None:
        """Lay these files, newest first, over the shipped facts, in place of those taken before."""
        layers = [RuleLayer(SHIPPED, self._shipped)]
        table = self._sessions
        origins: dict[tuple[str, date], str] = {}
        problems = []
        for name, text, _ in reversed(loaded):
            try:
                file = parse_rule_file(text, name)
                table = _with_sessions(table, file, name)
            except SetupError as error:
                problems.append(f"The loaded file {name} is not used: {error}")
                logger.warning("loaded rule file %s is not used: %s", name, error)
                continue
            layers.append(RuleLayer(name, file))
            origins |= dict.fromkeys(_session_keys(file), name)
        self._loaded = tuple(loaded)
        self._origins = origins
        self._problems = tuple(problems)
        self.rules.take(DatedRules(layers))
        self.calendar.take(table)

    def check(self, name: str, text: str) -> RuleFile:
        """The file as it would be taken over what is taken now; nothing changes.

        Raises:
            SetupError: it cannot be; file, key and what is allowed are named.
        """
        file = parse_rule_file(text, name)
        table = self._sessions
        for other, kept, _ in reversed(self._loaded):
            if other == name:
                continue
            try:
                table = _with_sessions(table, parse_rule_file(kept, other), other)
            except SetupError as error:
                logger.warning("loaded rule file %s is not used: %s", other, error)
        _with_sessions(table, file, name)
        return file

    async def refresh(self, repository: RuleRepository) -> None:
        """Read the loaded files again; what was taken stays when the database does not answer, and that is said."""
        try:
            loaded = await repository.load()
        except StorageError as error:
            self._storage_problem = f"Loaded rule files could not be read again: {error}"
            return
        self._storage_problem = ""
        if loaded != self._loaded:
            self.take(loaded)

    def contradictions(self, index: InstrumentIndex, on: date) -> tuple[Contradiction, ...]:
        """Where the dump of a day says something else than the facts in force; looks at every row, 40,000 in 50 ms."""
        dated, table = self.rules.dated, self.calendar.table
        judged = self._judged
        if judged is None or judged[0] is not index or judged[1:4] != (on, dated, table):
            found = contradictions(index, self.rules, self.calendar, on)
            judged = self._judged = (index, on, dated, table, found)
        return judged[4]

    def view(self, on: date, *, now: datetime, index: InstrumentIndex | None = None) -> RulesView:
        """The rule pack on a day of the exchange.

        Args:
            on: the day.
            now: aware market time.
            index: the instruments of the day of ``now``; they are compared when that is the day asked for.
        """
        today = self.calendar.day_of(now)
        rows = (
            *session_rows(self.calendar.table, on, self._origin),
            *self.rules.dated.rows(on),
            *charge_rows(self._charges, on),
        )
        compared = index if on == today else None
        return RulesView(
            on=on,
            rows=rows,
            contradictions=self.contradictions(compared, on) if compared is not None else (),
            unknown=tuple(self._unknown(on, rows, compared)),
            at=now,
        )

    def _origin(self, table: str, day: date) -> str:
        return self._origins.get((table, day), SHIPPED)

    def _unknown(self, on: date, rows: Sequence[RuleRow], index: InstrumentIndex | None) -> Iterator[str]:
        yield from self.problems
        yield from self._unknown_days(on)
        charges = why_unknown(self._charges, on)
        if charges:
            yield charges
        if self.rules.ban_list(on) is None:
            yield f"No ban list of {on} is loaded: stocks are not checked against one."
        if index is None:
            yield "No dump of that day is at hand: nothing was compared."
        else:
            without = [name for name in index.names if self.rules.freeze_quantity(name, on) is None]
            if without:
                more = f" and {len(without) - NAMES_SAID} more" if len(without) > NAMES_SAID else ""
                yield f"The freeze quantity is not known, and not checked, for {', '.join(without[:NAMES_SAID])}{more}."
        yield from self._old(on, rows)

    def _unknown_days(self, on: date) -> Iterator[str]:
        calendar = self.calendar
        if not calendar.covers(on):
            yield calendar.why_unknown(on)
        elif calendar.last_day - on < LIST_ENDS_SOON:
            yield f"Holiday lists end on {calendar.last_day}: no day after it is known."
        for session in calendar.table.unknown_sessions:
            if on < session.day <= on + SESSION_AHEAD:
                yield calendar.why_unknown(session.day)

    def _old(self, on: date, rows: Sequence[RuleRow]) -> Iterator[str]:
        for topic, days in self.rules.dated.review_days.items():
            old = [row.checked for row in rows if row.topic == topic and (on - row.checked).days > days]
            if old:
                yield (
                    f"{topic}: {len(old)} of {sum(row.topic == topic for row in rows)} facts were last compared with "
                    f"their source on {min(old)}; every {days} days is due."
                )


def read_rule_book() -> RuleBook:
    """The shipped facts, without loaded files.

    Raises:
        SetupError: a shipped file is damaged.
    """
    shipped = read_rule_file()
    rules = read_rules(dated=DatedRules((RuleLayer(SHIPPED, shipped),)))
    return RuleBook(sessions=read_sessions(), shipped=shipped, rules=rules, charges=read_charge_table())


def _with_sessions(table: SessionTable, file: RuleFile, name: str) -> SessionTable:
    rows = file.sessions()
    return table if rows is None else overlaid(table, rows, name)


def _session_keys(file: RuleFile) -> Iterator[tuple[str, date]]:
    for regime in file.derivatives:
        yield "derivatives", regime.since
    for year in file.holidays:
        yield "holidays", date(year.year, 1, 1)
    for table in ("special_sessions", "unknown_sessions", "clearing_holidays"):
        for row in getattr(file, table):
            yield table, row.day
