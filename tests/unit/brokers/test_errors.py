"""The table that says what may be done after each answer of Kite, for order calls and for reads."""

from __future__ import annotations

import json

import httpx
import pytest

from engine.brokers.kite.errors import RULE_TYPES, lost_order, lost_read, refused_order, refused_read
from engine.core.errors import (
    BrokerError,
    BrokerRejected,
    BrokerUnavailable,
    OutcomeUnknown,
    RateLimited,
    SessionExpired,
)

HTML = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


def envelope(kind: str | None, message: str | None = "Insufficient funds. Required margin is 10.") -> bytes:
    """An error envelope."""
    return json.dumps({"status": "error", "message": message, "data": None, "error_type": kind}).encode()


ORDER_TABLE: list[tuple[int, bytes, type[BrokerError]]] = [
    *[(status, envelope(kind), BrokerRejected) for kind in sorted(RULE_TYPES) for status in (400, 403, 428)],
    *[(status, envelope(kind), OutcomeUnknown) for kind in sorted(RULE_TYPES) for status in (408, 500, 502, 503, 504)],
    (400, envelope("OrderException", "Order request timed out. Please check the order book."), OutcomeUnknown),
    (400, envelope("InputException", "TIMEOUT while placing"), OutcomeUnknown),
    (400, envelope("OrderException", "Check the order book and confirm before placing again."), OutcomeUnknown),
    (400, envelope("OrderException", ""), OutcomeUnknown),
    (400, envelope("OrderException", None), OutcomeUnknown),
    (400, envelope(None), OutcomeUnknown),
    (400, envelope("NewException"), OutcomeUnknown),
    (400, envelope("GeneralException"), OutcomeUnknown),
    (400, envelope("DataException"), OutcomeUnknown),
    (400, envelope("NetworkException"), OutcomeUnknown),
    (403, envelope("TokenException", "Incorrect `api_key` or `access_token`."), SessionExpired),
    (403, envelope("TwoFAException"), SessionExpired),
    (400, envelope("TokenException"), SessionExpired),
    (500, envelope("TokenException"), OutcomeUnknown),
    (403, HTML, OutcomeUnknown),
    (429, envelope("NetworkException", "Too many requests"), RateLimited),
    (429, HTML, RateLimited),
    (429, b"", RateLimited),
    (404, HTML, OutcomeUnknown),
    (502, HTML, OutcomeUnknown),
    (503, b"", OutcomeUnknown),
    (302, b"", OutcomeUnknown),
    (200, b"", OutcomeUnknown),
    (400, b"\xff\xfe", OutcomeUnknown),
    (400, b"[1]", OutcomeUnknown),
    (400, b"{", OutcomeUnknown),
]


@pytest.mark.parametrize(("status", "body", "expected"), ORDER_TABLE)
def test_an_order_is_rejected_only_by_a_named_rule(status: int, body: bytes, expected: type[BrokerError]) -> None:
    """Whatever is not a clear no, a refusal at the door or a limit leaves an order call's outcome unknown."""
    assert type(refused_order(status, {}, body)) is expected


READ_TABLE: list[tuple[int, bytes, type[BrokerError]]] = [
    (400, envelope("InputException"), BrokerRejected),
    (400, envelope("GeneralException", "Route not found"), BrokerRejected),
    (403, envelope("PermissionException"), BrokerRejected),
    (400, envelope("OrderException", "request timed out"), BrokerUnavailable),
    (403, envelope("TokenException"), SessionExpired),
    (403, HTML, SessionExpired),
    (429, b"", RateLimited),
    (404, HTML, BrokerUnavailable),
    (500, envelope("GeneralException"), BrokerUnavailable),
    (502, HTML, BrokerUnavailable),
    (503, envelope("NetworkException"), BrokerUnavailable),
    (200, b"nonsense", BrokerUnavailable),
]


@pytest.mark.parametrize(("status", "body", "expected"), READ_TABLE)
def test_a_read_is_never_of_unknown_outcome(status: int, body: bytes, expected: type[BrokerError]) -> None:
    """A read changed nothing: it was refused, or may be tried again."""
    assert type(refused_read(status, {}, body)) is expected


REQUEST = httpx.Request("POST", "http://127.0.0.1/orders/regular")


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (httpx.ConnectError("refused"), BrokerUnavailable),
        (httpx.ConnectTimeout("slow"), BrokerUnavailable),
        (httpx.PoolTimeout("busy"), BrokerUnavailable),
        (httpx.UnsupportedProtocol("ftp"), BrokerUnavailable),
        (httpx.LocalProtocolError("odd"), BrokerUnavailable),
        (httpx.ReadTimeout("silence"), OutcomeUnknown),
        (httpx.WriteTimeout("stuck"), OutcomeUnknown),
        (httpx.ReadError("reset"), OutcomeUnknown),
        (httpx.WriteError("broken pipe"), OutcomeUnknown),
        (httpx.CloseError("odd"), OutcomeUnknown),
        (httpx.RemoteProtocolError("Server disconnected"), OutcomeUnknown),
        (httpx.ProxyError("proxy"), OutcomeUnknown),
        (httpx.DecodingError("gzip"), OutcomeUnknown),
        (TimeoutError(), OutcomeUnknown),
    ],
)
def test_only_a_request_that_never_began_is_certain(failure: Exception, expected: type[BrokerError]) -> None:
    """For an order call every failure after the first byte leaves the outcome unknown; for a read none does."""
    assert type(lost_order(failure)) is expected
    assert type(lost_read(failure)) is BrokerUnavailable


def test_the_brokers_words_type_and_status_are_kept() -> None:
    """What the broker said is what the error says."""
    error = refused_order(400, {}, envelope("MarginException"))
    assert (str(error), error.code, error.kind) == (
        "Insufficient funds. Required margin is 10.",
        400,
        "MarginException",
    )


@pytest.mark.parametrize(("value", "expected"), [("3", 3.0), ("", None), ("soon", None), ("-1", None), ("²", None)])
def test_retry_after_is_used_when_it_is_a_number(value: str, expected: float | None) -> None:
    """Seconds are taken; anything else is nothing."""
    error = refused_order(429, {"retry-after": value}, b"")
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == expected


def test_an_unknown_outcome_shows_the_beginning_of_a_page() -> None:
    """A page of a gateway is quoted on one line and cut."""
    words = str(refused_order(502, {}, b"<html>\n\n" + b"x" * 5000))
    assert "HTTP 502" in words
    assert "<html> x" in words
    assert len(words) < 500
