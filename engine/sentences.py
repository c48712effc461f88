"""Reads sentences for an engine: for its clients, and for plans whose moment has come.

Market data that a sentence needs and nobody watches is subscribed and waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from engine.account_receipts import for_account
from engine.chain_desk import ChainDesk
from engine.core.commands import Interpretation, PlaceBasket, PlaceOrder
from engine.core.identifiers import AccountId
from engine.core.orders import OrderRecord, OrderRequest
from engine.language.parser import interpret
from engine.language.resolver import OrderDefaults
from engine.lookups import Lookups
from engine.market_day import MarketDay
from engine.portfolio.book import PortfolioBook
from engine.sentence_resolver import EngineResolver

Books = Callable[[AccountId | None], Sequence[PortfolioBook]]
"""The ledgers of one account, or of all."""
Orders = Callable[[AccountId | None], tuple[OrderRecord, ...]]
"""The orders of one account, or of all, oldest first."""


class Sentences:
    """Reads a sentence for one account, or for all of them.

    Args:
        day: The day's market.
        chains: Where a chain's forward comes from.
        lookups: Brings what is missing.
        defaults: What an order is when the sentence does not say.
        accounts: All of the engine.
        books: Their ledgers.
        orders: Their orders.
    """

    def __init__(
        self,
        day: MarketDay,
        chains: ChainDesk,
        lookups: Lookups,
        *,
        defaults: OrderDefaults,
        accounts: Sequence[AccountId],
        books: Books,
        orders: Orders,
    ) -> None:
        self._day = day
        self._lookups = lookups

        def resolver(account: AccountId | None) -> EngineResolver:
            return EngineResolver(
                day,
                defaults=defaults,
                books=lambda: books(account),
                orders=lambda: orders(account),
                at_the_money=chains.at_the_money,
            )

        self._resolvers = {account: resolver(account) for account in (None, *accounts)}

    def resolver(self, account: AccountId | None) -> EngineResolver:
        """What sentences for an account, or for all, ask of the world."""
        return self._resolvers[account]

    async def read_to_act(self, text: str, account: AccountId) -> Interpretation:
        """What a sentence means now, with the quotes of its orders heard of: the checks are about to look at them."""
        found = await self.read(text, account)
        requests: tuple[OrderRequest, ...] = ()
        if isinstance(found.command, PlaceOrder):
            requests = (found.command.request,)
        elif isinstance(found.command, PlaceBasket):
            requests = found.command.legs
        rows = (self._day.instrument(request.instrument) for request in requests)
        await self._lookups.quotes([row.token for row in rows if row is not None])
        return found

    async def read(self, text: str, account: AccountId | None = None) -> Interpretation:
        """What a sentence means now; nothing is done. For an account its command names that account."""
        resolver = self._resolvers[account]
        resolver.missing_tokens.clear()
        resolver.missing_chains.clear()
        found = interpret(text, resolver)
        if resolver.missing_chains:
            await self._lookups.chains(tuple(resolver.missing_chains))
            found = interpret(text, resolver)
        if resolver.missing_tokens:
            await self._lookups.quotes(tuple(resolver.missing_tokens))
            found = interpret(text, resolver)
        if account is not None and found.command is not None:
            found = msgspec.structs.replace(found, command=for_account(found.command, account))
        return found
