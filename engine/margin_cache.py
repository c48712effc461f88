"""What the broker's calculator has said of single orders, kept for a short while.

The checks of an order are made at once and cannot wait; whoever shows or sends one asks here first. Bounded: the
oldest answers go. Invariant: an answer is given for exactly the order it was asked about, with its age.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable
from decimal import Decimal
from typing import NamedTuple

import msgspec

from engine.core.errors import BrokerError
from engine.core.funds_margin import BasketMargin, MarginSeen
from engine.core.orders import OrderRequest
from engine.core.ports import BrokerReads, Clock

logger = logging.getLogger(__name__)

KEPT_MAX = 64
ASKING_MAX = 2
"""Questions on the wire at one time; what is asked beyond them is not known. The broker limits reads."""
FRESH_S = 5.0
"""A younger answer is not asked for again."""
PATIENCE_S = 0.6
"""How long an order waits for an answer; without one its margin is not known."""


class _Kept(NamedTuple):
    margin: BasketMargin
    at: float
    revision: int


class MarginCache:
    """The answers of one account.

    Args:
        reads: The account's reading endpoints.
        clock: Ages and waiting.
        revision: A number that is another one whenever the account's orders are: whether a margin grows is then not
            known any more, and what must be free is known nearly.
    """

    def __init__(self, reads: BrokerReads, clock: Clock, revision: Callable[[], int]) -> None:
        self._reads = reads
        self._clock = clock
        self._revision = revision
        self._kept: OrderedDict[OrderRequest, _Kept] = OrderedDict()
        self._asking: dict[OrderRequest, asyncio.Future[None]] = {}

    def seen(self, request: OrderRequest) -> MarginSeen | None:
        """What was said of this order."""
        kept = self._kept.get(self._key(request))
        if kept is None:
            return None
        return MarginSeen(
            needed=kept.margin.initial,
            raises=kept.revision == self._revision() and kept.margin.final_parts.collateral > 0,
            age_s=self._clock.monotonic() - kept.at,
        )

    def needed(self, request: OrderRequest) -> Decimal | None:
        """What must be free for it, rupees; ``None`` when that is not known."""
        kept = self._kept.get(self._key(request))
        return None if kept is None else kept.margin.initial

    async def know(self, request: OrderRequest) -> None:
        """Ask the broker unless it has just answered, for a moment; a failure leaves it unknown."""
        key = self._key(request)
        kept = self._kept.get(key)
        if kept is not None and self._clock.monotonic() - kept.at < FRESH_S:
            return
        asking = self._asking.get(key)
        if asking is None and len(self._asking) >= ASKING_MAX:
            return
        if asking is None:
            asking = asyncio.ensure_future(self._ask(key))
            self._asking[key] = asking
            asking.add_done_callback(lambda _: self._asking.pop(key, None))
        limit = asyncio.ensure_future(self._clock.sleep(PATIENCE_S))
        try:
            await asyncio.wait({asking, limit}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            limit.cancel()

    async def close(self) -> None:
        """Wait for nothing more."""
        waiting = tuple(self._asking.values())
        for future in waiting:
            future.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    async def _ask(self, key: OrderRequest) -> None:
        revision = self._revision()
        try:
            margin = await self._reads.basket_margins((key,))
        except BrokerError as error:
            logger.info("the margin of an order is not known: %s", error)
            return
        self._kept[key] = _Kept(margin, self._clock.monotonic(), revision)
        self._kept.move_to_end(key)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    @staticmethod
    def _key(request: OrderRequest) -> OrderRequest:
        # Where its fills belong is nothing to the broker.
        return msgspec.structs.replace(request, strategy=None)
