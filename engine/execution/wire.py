"""One request on the broker's order road, and what may be done after it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from enum import Enum, auto

import msgspec

from engine.core.errors import (
    BrokerError,
    BrokerRejected,
    BrokerUnavailable,
    OutcomeUnknown,
    RateLimited,
    SessionExpired,
    Withheld,
)
from engine.core.identifiers import BrokerOrderId
from engine.execution.breaker import Reach

logger = logging.getLogger(__name__)

GATEWAY_FAILURES = frozenset({408, 502, 503, 504})
"""HTTP statuses by which a gateway says that it did not reach what is behind it."""
DAY_IS_OVER = "order requests exceeded"
"""Part of the broker's words when the account's orders of the day are used up."""


class Answer(Enum):
    """What is known after a request."""

    TAKEN = auto()
    """The broker gave its id."""
    REFUSED = auto()
    """A definite no."""
    NOT_SENT = auto()
    """Provably nothing left this machine."""
    WITHHELD = auto()
    """Nothing left this machine, because nothing may leave it any more."""
    NO_SESSION = auto()
    """Turned away at the door: the day's login is over."""
    TOO_FAST = auto()
    """Turned away for speed: nothing was done."""
    LOST = auto()
    """It may have been done."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The answer with the broker's words."""

    answer: Answer
    order_id: BrokerOrderId | None = None
    words: str = ""
    retry_after_s: float | None = None
    reach: Reach = Reach.ANSWERED
    """What its end says about the way to the broker."""

    @property
    def is_day_over(self) -> bool:
        """Whether the broker says that the day's orders are used up, not that this one came too fast."""
        return self.answer is Answer.TOO_FAST and DAY_IS_OVER in self.words.casefold()


def reach_of(error: BrokerError) -> Reach:
    """What a failed call says about the way to the broker."""
    if isinstance(error, BrokerUnavailable | OutcomeUnknown):
        return Reach.FAILED if error.code is None or error.code in GATEWAY_FAILURES else Reach.UNCLEAR
    if isinstance(error, BrokerRejected | RateLimited | SessionExpired):
        return Reach.ANSWERED
    return Reach.UNCLEAR


async def ask(request: Awaitable[BrokerOrderId]) -> Outcome:
    """Make one request, once, and sort its end by what may be done next."""
    try:
        order_id = await request
    except BrokerRejected as error:
        return Outcome(answer=Answer.REFUSED, words=str(error))
    except BrokerUnavailable as error:
        return Outcome(answer=Answer.NOT_SENT, words=str(error), reach=reach_of(error))
    except Withheld as error:
        return Outcome(answer=Answer.WITHHELD, words=str(error), reach=Reach.UNCLEAR)
    except SessionExpired as error:
        return Outcome(answer=Answer.NO_SESSION, words=str(error))
    except RateLimited as error:
        return Outcome(answer=Answer.TOO_FAST, words=str(error), retry_after_s=error.retry_after_s)
    except OutcomeUnknown as error:
        return Outcome(answer=Answer.LOST, words=str(error), reach=reach_of(error))
    except Exception as error:
        # Whatever else came out of the road, bytes may have left: only "unknown" is true of the order.
        logger.exception("the order road failed in a way it does not declare")
        return Outcome(answer=Answer.LOST, words=f"{type(error).__name__}: {error}", reach=Reach.UNCLEAR)
    return Outcome(answer=Answer.TAKEN, order_id=order_id)
