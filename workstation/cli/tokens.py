"""``workstation token``: who may attach from outside. No engine is needed; a running one sees a change at once."""

from __future__ import annotations

import argparse
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from engine.core.errors import InvalidInput
from engine.core.identifiers import AccountId
from engine.server.access import Scope
from engine.server.audit import Audit, AuditKind
from engine.server.tokens import TokenBook, TokenRecord, TokenState
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_table, print_text, print_words
from workstation.formatting import india
from workstation.locations import Locations
from workstation.practice_venue import venue_id
from workstation.settings import Configuration

SEAT = "command"
"""How the audit log names this."""
LIFETIME = re.compile(r"([1-9][0-9]{0,4})([hdw])", re.ASCII)
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
EVERY_ACCOUNT = "every account"


class TokenLine(msgspec.Struct, frozen=True, kw_only=True):
    """A token as the list shows it."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    accounts: tuple[AccountId, ...] | None
    """``None``: every account."""
    venue: str
    created_at: datetime
    expires_at: datetime
    state: TokenState


class NewToken(msgspec.Struct, frozen=True, kw_only=True):
    """A token just made: the only time it is shown."""

    token: str
    id: str
    name: str
    scopes: tuple[Scope, ...]
    accounts: tuple[AccountId, ...] | None
    venue: str
    created_at: datetime
    expires_at: datetime


def run_token(configuration: Configuration, locations: Locations, options: argparse.Namespace) -> ExitCode:
    """Run one step on the tokens of the configured venue."""
    locations.make()
    venue = venue_id(configuration.venue)
    book = TokenBook(locations.tokens(venue), audience=venue, now=_now, random_bytes=secrets.token_bytes)
    if options.step == "list":
        return _list(book, as_json=options.json)
    # The log is opened first: nothing is made or revoked that could not be written down.
    audit = Audit(
        locations.audit(venue),
        now=_now,
        bytes_max=configuration.log.bytes_max,
        files_kept=configuration.log.files_kept,
    )
    try:
        return _create(book, audit, options) if options.step == "create" else _revoke(book, audit, options.id)
    finally:
        audit.close()


def _now() -> datetime:
    return datetime.now(UTC)


def _create(book: TokenBook, audit: Audit, options: argparse.Namespace) -> ExitCode:
    scopes = _scopes(options.scope)
    accounts = None if options.account is None else tuple(AccountId(word) for word in _words(options.account))
    name = "-".join(_sorted(scopes)) if options.name is None else options.name
    token, record = book.create(name=name, scopes=scopes, accounts=accounts, lifetime=_lifetime(options.expires))
    audit.note(AuditKind.TOKEN_CREATED, seat=SEAT, grant=record.grant(), detail=_described(record))
    if options.json:
        print_json(
            NewToken(
                token=token,
                id=record.token_id,
                name=record.name,
                scopes=_sorted(record.scopes),
                accounts=record.accounts,
                venue=record.audience,
                created_at=record.created_at,
                expires_at=record.expires_at,
            )
        )
    else:
        print_text(token)
    print_words(
        f'Token {record.token_id} "{record.name}" for {record.audience}: {_described(record)}.\n'
        "It is shown this once. Give it to a program in the environment variable WORKSTATION_TOKEN or in a file of "
        "mode 600 with --token-file; never in a URL or on a command line, where others can read it.\n"
        f"To end it: workstation token revoke {record.token_id}"
    )
    return ExitCode.DONE


def _list(book: TokenBook, *, as_json: bool) -> ExitCode:
    now = _now()
    records = book.records()
    if as_json:
        print_json(tuple(_line(record, now) for record in records))
        return ExitCode.DONE
    rows = [
        [
            record.token_id,
            record.name,
            ",".join(_sorted(record.scopes)),
            EVERY_ACCOUNT if record.accounts is None else ",".join(record.accounts),
            _moment(record.created_at),
            _moment(record.expires_at),
            record.state(now),
        ]
        for record in records
    ]
    headings = ["id", "name", "scopes", "accounts", "created", "expires", "state"]
    print_table(headings, rows, left=frozenset(range(len(headings))))
    return ExitCode.DONE


def _revoke(book: TokenBook, audit: Audit, token_id: str) -> ExitCode:
    record = book.revoke(token_id)
    audit.note(AuditKind.TOKEN_REVOKED, seat=SEAT, grant=record.grant(), detail=_described(record))
    print_words(f'Token {record.token_id} "{record.name}" opens nothing any more; clients that use it are closed.')
    return ExitCode.DONE


def _line(record: TokenRecord, now: datetime) -> TokenLine:
    return TokenLine(
        id=record.token_id,
        name=record.name,
        scopes=_sorted(record.scopes),
        accounts=record.accounts,
        venue=record.audience,
        created_at=record.created_at,
        expires_at=record.expires_at,
        state=record.state(now),
    )


def _words(values: Sequence[str]) -> tuple[str, ...]:
    """Words of an option that was repeated, or given with commas."""
    return tuple(word.strip() for value in values for word in value.split(","))


def _scopes(values: Sequence[str]) -> frozenset[Scope]:
    words = _words(values)
    wrong = next((word for word in words if word not in set(Scope)), None)
    if wrong is not None:
        raise InvalidInput(f'--scope: "{wrong}" is not one of {", ".join(Scope)}.', field="scope")
    return frozenset(Scope(word) for word in words)


def _sorted(scopes: frozenset[Scope]) -> tuple[Scope, ...]:
    return tuple(scope for scope in Scope if scope in scopes)


def _lifetime(text: str) -> timedelta:
    found = LIFETIME.fullmatch(text)
    if found is None:
        raise InvalidInput(
            f'--expires: "{text}" is not a time such as 8h, 30d or 12w (a year at most).', field="expires"
        )
    return int(found[1]) * UNITS[found[2]]


def _moment(moment: datetime) -> str:
    return f"{india(moment):%d %b %Y %H:%M} IST"


def _described(record: TokenRecord) -> str:
    accounts = EVERY_ACCOUNT if record.accounts is None else "accounts " + ", ".join(record.accounts)
    return f"{', '.join(_sorted(record.scopes))}; {accounts}; until {_moment(record.expires_at)}"
