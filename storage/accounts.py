"""Accounts known to a database."""

from __future__ import annotations

from engine.core.accounts import Account
from engine.core.errors import InvalidInput
from engine.core.identifiers import AccountId
from engine.core.vocabulary import Venue
from storage.boundary import aware
from storage.pool import Database
from storage.refusals import NO_ACCOUNT, refusals_in_words
from storage.session import Row, Session

# Venue and time of first sight stay as they were first written.
SAVE = """
INSERT INTO accounts (account_id, name, venue, created_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (account_id) DO UPDATE SET name = excluded.name
"""
IS_KNOWN = "SELECT EXISTS (SELECT FROM accounts WHERE account_id = $1)"
READ_ALL = "SELECT account_id, name, venue, created_at FROM accounts ORDER BY account_id"


class PostgresAccounts:
    """Implements ``AccountRepository``.

    Args:
        database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def save(self, account: Account) -> None:
        """Insert, or update the name."""
        with refusals_in_words():
            async with self._database.acquire() as session:
                await session.execute(SAVE, account.account_id, account.name, account.venue, aware(account.created_at))

    async def all(self) -> tuple[Account, ...]:
        """Every account, by id."""
        async with self._database.acquire() as session:
            return tuple(_account(row) for row in await session.fetch(READ_ALL))


def _account(row: Row) -> Account:
    return Account(
        account_id=AccountId(row["account_id"]),
        name=row["name"],
        venue=Venue(row["venue"]),
        created_at=row["created_at"],
    )


class KnownAccounts:
    """Whose orders the journal takes.

    Each account is looked up once, not by a foreign key: that would lock the account's row for every order, which waits
    for it. None is ever taken away.
    """

    def __init__(self) -> None:
        self._found: set[AccountId] = set()
        """As many as there are accounts: a handful."""

    async def require(self, session: Session, account: AccountId) -> None:
        """Refuse an account that nobody has saved.

        Raises:
            InvalidInput: it is not known.
        """
        if account in self._found:
            return
        if not await session.fetchval(IS_KNOWN, account):
            raise InvalidInput(NO_ACCOUNT, field="account")
        self._found.add(account)
