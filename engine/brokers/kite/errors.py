"""What an answer of Kite, or the lack of one, allows to be done next: the one place where that is decided.

An order call that got no trustworthy answer may rest at the broker, and is ``OutcomeUnknown``; only a refusal that
names a broken rule is a ``BrokerRejected``; only a connection that could not be made is a ``BrokerUnavailable``. A
read changes nothing, so for it a lost answer is ``BrokerUnavailable`` and may be tried again.

Invariant: an order call is called rejected or unsent only when that is certain. Every doubt is an unknown outcome.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from engine.core.errors import (
    BrokerError,
    BrokerRejected,
    BrokerUnavailable,
    OutcomeUnknown,
    RateLimited,
    SessionExpired,
)

RULE_TYPES = frozenset(
    {
        "InputException",
        "OrderException",
        "MarginException",
        "HoldingException",
        "PermissionException",
        "UserException",
    }
)
"""Error types that name a broken rule."""
LOGIN_TYPES = frozenset({"TokenException", "TwoFAException"})
DOUBTFUL_WORDS = (
    "timed out",
    "timeout",
    "time out",
    "order book and confirm",
    "check the order",
    "unexpected",
    "unable to reach",
    "could not reach",
    "unreachable",
    "not responding",
    "no response",
    "gateway",
    "connection",
    "service unavailable",
)
"""Words with which a refusal says that it does not know: Kite sends "Order request timed out" with a rule's type and
status 400."""
_CLIENT_ERROR, _FORBIDDEN, _REQUEST_TIMEOUT, _TOO_MANY, _SERVER_ERROR = 400, 403, 408, 429, 500
_SHOWN_CHARACTERS = 300
NOT_SENT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
)
"""Failures of the transport that come before the first byte of a request."""


def lost_order(failure: Exception) -> BrokerError:
    """What a failure of the transport means for an order call."""
    if isinstance(failure, httpx.LocalProtocolError):
        return BrokerUnavailable(f"The request could not be written ({failure}); nothing was sent.")
    if isinstance(failure, NOT_SENT):
        return BrokerUnavailable(f"The broker could not be reached ({_name(failure)}); nothing was sent.")
    return OutcomeUnknown(f"The order call was sent and no answer came ({_name(failure)}); it may rest at the broker.")


def lost_read(failure: Exception) -> BrokerError:
    """What a failure of the transport means for a read."""
    if isinstance(failure, NOT_SENT):
        return BrokerUnavailable(f"The broker could not be reached ({_name(failure)}).")
    return BrokerUnavailable(f"The broker did not answer ({_name(failure)}).")


def refused_order(status: int, headers: Mapping[str, str], body: bytes) -> BrokerError:
    """What an answer that is not a success means for an order call. Any status, any body."""
    kind, words = _envelope(body)
    if status == _TOO_MANY:
        return _rate_limited(headers, words)
    if kind in LOGIN_TYPES and _CLIENT_ERROR <= status < _SERVER_ERROR:
        return SessionExpired(words or "The session is over; log in again.", code=status, kind=kind)
    names_rule = kind in RULE_TYPES and bool(words) and not _is_doubtful(words)
    if names_rule and _CLIENT_ERROR <= status < _SERVER_ERROR and status != _REQUEST_TIMEOUT:
        return BrokerRejected(words, code=status, kind=kind)
    said = words or _excerpt(body)
    return OutcomeUnknown(
        f"The broker answered HTTP {status} without a clear yes or no ({said}); it may rest at the broker.",
        code=status,
        kind=kind or None,
    )


def refused_read(status: int, headers: Mapping[str, str], body: bytes) -> BrokerError:
    """What an answer that is not a success means for a read."""
    kind, words = _envelope(body)
    if status == _TOO_MANY:
        return _rate_limited(headers, words)
    is_client_error = _CLIENT_ERROR <= status < _SERVER_ERROR
    if is_client_error and (kind in LOGIN_TYPES or (status == _FORBIDDEN and kind not in RULE_TYPES)):
        return SessionExpired(words or "The session is over; log in again.", code=status, kind=kind or None)
    if is_client_error and kind and status != _REQUEST_TIMEOUT and not _is_doubtful(words):
        return BrokerRejected(words or f"HTTP {status}", code=status, kind=kind)
    said = words or _excerpt(body)
    return BrokerUnavailable(f"The broker answered HTTP {status} ({said}).", code=status, kind=kind or None)


def unreadable_order(status: int, body: bytes) -> OutcomeUnknown:
    """A success that does not say which order it is about."""
    return OutcomeUnknown(
        f"The broker's answer names no order ({_excerpt(body)}); it may rest at the broker.", code=status
    )


def _envelope(body: bytes) -> tuple[str, str]:
    """Error type and words of an error envelope; empty for anything else."""
    try:
        answer: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "", ""
    if not isinstance(answer, dict):
        return "", ""
    kind, words = answer.get("error_type"), answer.get("message")
    return (kind if isinstance(kind, str) else ""), (words.strip() if isinstance(words, str) else "")


def _is_doubtful(words: str) -> bool:
    folded = words.casefold()
    return any(doubt in folded for doubt in DOUBTFUL_WORDS)


def _rate_limited(headers: Mapping[str, str], words: str) -> RateLimited:
    value = headers.get("retry-after", "")
    seconds = float(value) if value.isascii() and value.isdigit() else None
    return RateLimited(words or "The broker says: too many requests.", retry_after_s=seconds)


def _excerpt(body: bytes) -> str:
    """The beginning of a body that is not the broker's envelope, on one line."""
    text = " ".join(body[:_SHOWN_CHARACTERS].decode("utf-8", errors="replace").split())
    return text or "an empty answer"


def _name(failure: Exception) -> str:
    return type(failure).__name__
