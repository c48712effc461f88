"""Reads over several accounts: what any of them can answer goes round, what belongs to one goes to that one.

Invariants: another account is tried only when one is limited for speed or has no session; a definite no, or a broker
that does not answer, is not retried elsewhere (another account's answer would be no different, or would hide it). What
belongs to an account is never read through another.
"""

from __future__ import annotations

import copy
import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeVar

from engine.core.accounts import Profile
from engine.core.bars import BarInterval, HistoricalBars
from engine.core.errors import BrokerError, InvalidInput, RateLimited, SessionExpired
from engine.core.funds_margin import BasketMargin
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.instruments import Instrument
from engine.core.operations import AccountHealth
from engine.core.orders import BrokerOrder, OrderRequest, Trade
from engine.core.ports import BrokerReads
from engine.core.positions import BrokerPosition, Funds
from engine.core.quotes import Quote
from engine.core.standing_triggers import Gtt
from engine.core.vocabulary import Exchange

logger = logging.getLogger(__name__)

T = TypeVar("T")
READS = "reads"
OK, LOGIN_NEEDED, LIMITED, FAILING = "ok", "login needed", "limited", "failing"
LIMITED_PAUSE_S = 1.0
"""How long an account that was refused for speed is passed over when the broker does not say."""


class ReadAccount:
    """One account that reads go through, and how it fares.

    Args:
        account: Whose it is.
        name: For a person.
        reads: Its own road.
        roles: ``orders``, ``data``, ``reads``.
        token_until: When its session ends at the latest; ``None`` where it does not.
        monotonic: Seconds that never run backwards.
    """

    def __init__(
        self,
        account: AccountId,
        *,
        name: str,
        reads: BrokerReads,
        roles: Sequence[str],
        token_until: Callable[[], datetime | None],
        monotonic: Callable[[], float],
    ) -> None:
        self.account = account
        self.name = name
        self.reads = reads
        self.roles = tuple(roles)
        self._token_until = token_until
        self._monotonic = monotonic
        self._asked = 0
        self._failures = 0
        self._limited = 0
        self._limited_until = 0.0
        self._needs_login = False
        self._is_failing = False
        self._last_error = ""

    @property
    def is_ready(self) -> bool:
        """Whether it is worth asking now."""
        return not self._needs_login and self._monotonic() >= self._limited_until

    def renewed(self) -> None:
        """A login has given it a new session."""
        self._needs_login = False
        self._last_error = ""

    def refused(self, error: SessionExpired) -> None:
        """Its session is over, or was never made: it is not asked before others until a login has come."""
        self._needs_login = True
        self._last_error = str(error)

    async def ask(self, question: Callable[[BrokerReads], Awaitable[T]]) -> T:
        """Ask and remember how it went; raises what the road raises."""
        self._asked += 1
        try:
            answer = await question(self.reads)
        except RateLimited as error:
            self._limited += 1
            self._limited_until = self._monotonic() + (error.retry_after_s or LIMITED_PAUSE_S)
            self._last_error = str(error)
            raise
        except SessionExpired as error:
            self._failures += 1
            self.refused(error)
            raise
        except BrokerError as error:
            self._failures += 1
            self._is_failing = True
            self._last_error = str(error)
            raise
        self._is_failing = self._needs_login = False
        return answer

    def health(self) -> AccountHealth:
        """How it fares."""
        if self._needs_login:
            state = LOGIN_NEEDED
        elif self._monotonic() < self._limited_until:
            state = LIMITED
        else:
            state = FAILING if self._is_failing else OK
        return AccountHealth(
            account=self.account,
            name=self.name,
            roles=self.roles,
            state=state,
            token_until=self._token_until(),
            reads=self._asked,
            failures=self._failures,
            limited=self._limited,
            last_error=self._last_error if state != OK else "",
        )


class RoutedReads:
    """Implements ``engine.core.ports.BrokerReads`` over several accounts.

    Args:
        owner: Whose orders, positions and money are meant.
        others: Further accounts. Those with the role ``reads`` serve what is the same for everybody too.

    Raises:
        InvalidInput: an account is named twice.
    """

    def __init__(self, owner: ReadAccount, others: Sequence[ReadAccount] = ()) -> None:
        self._owner = owner
        self._all = (owner, *others)
        for account in self._all:
            if sum(other.account == account.account for other in self._all) > 1:
                raise InvalidInput(f"The account {account.account} is named twice.", field="accounts")
        self._shared = (owner, *(other for other in others if READS in other.roles))
        self._counter = itertools.count(1)
        self._turns = dict.fromkeys((account.account for account in self._shared), 0)

    def of(self, owner: AccountId) -> RoutedReads:
        """The same accounts with the same turns, and what belongs to one belongs to ``owner``.

        Raises:
            InvalidInput: it is none of the accounts.
        """
        found = next((account for account in self._all if account.account == owner), None)
        if found is None:
            raise InvalidInput(f"{owner} is none of the accounts that are read through.", field="accounts")
        view = copy.copy(self)
        view._owner = found
        return view

    @property
    def accounts(self) -> tuple[ReadAccount, ...]:
        """All accounts, the owner first."""
        return self._all

    def health(self) -> tuple[AccountHealth, ...]:
        """How each account fares, the owner first."""
        return tuple(account.health() for account in self._all)

    # -- what belongs to the owner -----------------------------------------------------------------------------------

    async def profile(self) -> Profile:
        """Who is logged in."""
        return await self._owner.ask(lambda reads: reads.profile())

    async def orders(self) -> tuple[BrokerOrder, ...]:
        """The owner's book of the day."""
        return await self._owner.ask(lambda reads: reads.orders())

    async def trades(self) -> tuple[Trade, ...]:
        """The owner's fills of the day."""
        return await self._owner.ask(lambda reads: reads.trades())

    async def positions(self) -> tuple[BrokerPosition, ...]:
        """The owner's net positions."""
        return await self._owner.ask(lambda reads: reads.positions())

    async def funds(self) -> Funds:
        """The owner's money."""
        return await self._owner.ask(lambda reads: reads.funds())

    async def order_margins(self, requests: Sequence[OrderRequest]) -> tuple[Decimal, ...]:
        """What orders of the owner would block."""
        return await self._owner.ask(lambda reads: reads.order_margins(requests))

    async def basket_margins(
        self, requests: Sequence[OrderRequest], *, consider_positions: bool = True
    ) -> BasketMargin:
        """What orders of the owner would block together."""
        return await self._owner.ask(
            lambda reads: reads.basket_margins(requests, consider_positions=consider_positions)
        )

    async def gtts(self) -> tuple[Gtt, ...]:
        """The owner's triggers."""
        return await self._owner.ask(lambda reads: reads.gtts())

    # -- what is the same for everybody ------------------------------------------------------------------------------

    async def instruments(self, exchange: Exchange | None = None) -> tuple[Instrument, ...]:
        """The day's dump, through any account."""
        return await self._anybody(lambda reads: reads.instruments(exchange))

    async def quotes(self, keys: Sequence[InstrumentKey]) -> dict[InstrumentKey, Quote]:
        """Snapshots, through any account."""
        return await self._anybody(lambda reads: reads.quotes(keys))

    async def history(self, token: int, interval: BarInterval, start: datetime, end: datetime) -> HistoricalBars:
        """Candles, through any account."""
        return await self._anybody(lambda reads: reads.history(token, interval, start, end))

    async def _anybody(self, question: Callable[[BrokerReads], Awaitable[T]]) -> T:
        """Ask the accounts one after the other, ready ones first, and of them the one that was asked longest ago."""
        turn = sorted(self._shared, key=lambda account: (not account.is_ready, self._turns[account.account]))
        for place, account in enumerate(turn):
            self._turns[account.account] = next(self._counter)
            try:
                return await account.ask(question)
            except (RateLimited, SessionExpired) as error:
                if place + 1 == len(turn):
                    raise
                logger.warning("%s cannot answer now (%s); asking the next account", account.account, error)
        raise InvalidInput("There is no account to read through.", field="accounts")
