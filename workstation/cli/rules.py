"""``workstation rules``: the dated facts of the market in force on a day, why, and where they contradict the dump.

``--load FILE`` keeps a file of facts in the venue's database, over the shipped ones; ``--unload NAME`` forgets it.
A file is checked whole before anything is kept. A running engine reads the files again when it is next asked for rules.
"""

from __future__ import annotations

import argparse
import contextlib
import textwrap
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import msgspec

from engine.client import EngineClient
from engine.core.errors import InvalidInput, Refused, SetupError
from engine.core.rulebook import RuleRow, RulesView
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_text, print_words
from workstation.locations import Locations
from workstation.settings import Configuration

SUBJECT_WIDTH = 30
LINE_WIDTH = 118
INDENT = "    "
FILE_BYTES_MAX = 1_000_000
"""A rule file is a few kilobytes; anything near this is another kind of file."""


class LoadedRuleFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file of rules that was kept or forgotten."""

    name: str
    facts: int
    """Dated facts in it, those about sessions not counted."""
    sessions: bool
    """Whether it says something about sessions or holidays."""
    loaded: bool
    """False: forgotten."""


async def rules(engine: EngineClient, *, on: str | None, topic: str | None, as_json: bool) -> ExitCode:
    """Print what is in force on a day (today without one)."""
    view = _of_topic(await engine.rules(_day(on)), topic)
    if as_json:
        print_json(view)
        return ExitCode.DONE
    for line in _lines(view):
        print_text(line)
    print_words(
        f"{view.on:%a %d %b %Y}: {len(view.rows)} facts in force, {len(view.contradictions)} contradictions with the "
        f"dump, {len(view.unknown)} things unknown"
    )
    return ExitCode.DONE


async def run_rule_files(configuration: Configuration, locations: Locations, options: argparse.Namespace) -> ExitCode:
    """Keep or forget a file of rules in the venue's database.

    Raises:
        Refused: the file is not one of rules, or contradicts itself or the others (nothing is kept then); or no file of
            the name to forget is loaded.
        InvalidInput: the file cannot be read, or the engine is elsewhere.
    """
    from engine.calendar.rule_pack import parse_rule_file
    from engine.rule_book import read_rule_book
    from storage.migrate import upgrade
    from storage.pool import Database
    from storage.rules import PostgresRules
    from workstation.assembly import database_name, open_database
    from workstation.practice_venue import venue_id

    if options.connect is not None:
        raise InvalidInput("`rules --load` and `--unload` are about this machine; --connect does not go with them.")
    text = _text_of(options.load) if options.load is not None else ""
    book = read_rule_book()
    if options.load is not None:
        with _refusals():
            # A file that is wrong by itself needs no database to be refused.
            parse_rule_file(text, options.load.name)
    locations.make()
    name = database_name(venue_id(configuration.venue))
    async with open_database(configuration, locations, name) as dsn:
        await upgrade(dsn)
        async with Database(dsn, max_size=1) as database:
            repository = PostgresRules(database)
            book.take(await repository.load())
            if options.unload is not None:
                if not await repository.remove(options.unload):
                    raise Refused(f"{options.unload} is not loaded. Loaded: {_names(await repository.load())}.")
                _say(LoadedRuleFile(name=options.unload, facts=0, sessions=False, loaded=False), as_json=options.json)
                return ExitCode.DONE
            with _refusals():
                file = book.check(options.load.name, text)
            await repository.save(options.load.name, text, datetime.now(UTC))
    facts = sum(1 for _ in file.facts())
    _say(
        LoadedRuleFile(name=options.load.name, facts=facts, sessions=file.sessions() is not None, loaded=True),
        as_json=options.json,
    )
    return ExitCode.DONE


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    """What a shipped file would stop the program with is here a file that is not taken."""
    try:
        yield
    except SetupError as error:
        raise Refused(f"{error} Nothing was kept.") from error


def _say(kept: LoadedRuleFile, *, as_json: bool) -> None:
    if as_json:
        print_json(kept)
    if not kept.loaded:
        print_words(f"{kept.name} is forgotten; the shipped facts stand in its place.")
        return
    sessions = " and sessions" if kept.sessions else ""
    print_words(
        f"{kept.name}: {kept.facts} facts{sessions} lie over the shipped ones now. "
        f"A running engine takes them when it is next asked: workstation rules."
    )


def _text_of(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(f"--load: {path} cannot be read: {error.strerror or error}.", field="load") from error
    if len(content) > FILE_BYTES_MAX:
        raise InvalidInput(f"--load: {path} has {len(content):,} bytes; at most {FILE_BYTES_MAX:,}.", field="load")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(f"--load: {path} is not text in UTF-8.", field="load") from error


def _names(files: Sequence[tuple[str, str, datetime]]) -> str:
    return ", ".join(name for name, _, _ in files) or "none"


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(f'--on: "{text}" is not a day such as 2026-12-07.', field="on") from error


def _of_topic(view: RulesView, topic: str | None) -> RulesView:
    if topic is None:
        return view
    known = sorted({row.topic for row in view.rows} | {item.topic for item in view.contradictions})
    if topic not in known:
        raise InvalidInput(f'--topic: "{topic}" is not one of {", ".join(known)}.', field="topic")
    return msgspec.structs.replace(
        view,
        rows=tuple(row for row in view.rows if row.topic == topic),
        contradictions=tuple(item for item in view.contradictions if item.topic == topic),
    )


def _lines(view: RulesView) -> list[str]:
    lines: list[str] = []
    topics = list(dict.fromkeys(row.topic for row in view.rows))
    for topic in topics:
        lines.append(topic)
        for row in view.rows:
            if row.topic == topic:
                lines += _row_lines(row)
    if view.contradictions:
        lines.append("contradictions with the dump")
        lines += [line for item in view.contradictions for line in _wrapped(item.message, INDENT)]
    if view.unknown:
        lines.append("unknown")
        lines += [line for sentence in view.unknown for line in _wrapped(sentence, INDENT)]
    return lines


def _row_lines(row: RuleRow) -> list[str]:
    until = f" to {row.until}" if row.until is not None else ""
    since = f"from {row.since}{until}" if row.since is not None else "since when is not known"
    if row.since is not None and row.since == row.until:
        since = str(row.since)
    origin = "" if row.origin == "shipped" else f" · loaded: {row.origin}"
    why = f"{since} · {row.certainty} · checked {row.checked}{origin} · {row.source}"
    hanging = INDENT + " " * (SUBJECT_WIDTH + 2)
    first = f"{INDENT}{row.subject:<{SUBJECT_WIDTH}}  "
    return [*_wrapped(row.value, first, hanging), *_wrapped(why, hanging)]


def _wrapped(text: str, first: str, hanging: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        width=LINE_WIDTH,
        initial_indent=first,
        subsequent_indent=first if hanging is None else hanging,
        break_on_hyphens=False,
    )
