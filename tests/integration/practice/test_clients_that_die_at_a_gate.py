"""A request that was received is whole: what becomes of it does not depend on whether its client still lives."""

from __future__ import annotations

import http.client
import json
import urllib.parse
from typing import Any

import pytest

from tests.integration.practice.conftest import eventually
from tests.kit.practice_process import ACCESS_TOKEN, API_KEY, PracticeProcess

CONVERSION = {
    "exchange": "NFO",
    "tradingsymbol": "NIFTY",
    "transaction_type": "BUY",
    "position_type": "day",
    "quantity": "65",
    "old_product": "NRML",
    "new_product": "MIS",
}


@pytest.mark.parametrize("then", ["go_on", "discard"])
def test_a_conversion_whose_client_dies_at_a_gate_comes_to_an_end(exchange: PracticeProcess, then: str) -> None:
    """Stopped before it is carried out, its client gone, let go: it is handled, and the log says how it ended."""
    exchange.request("POST", "/practice/faults", {"kind": "pause_at", "point": "received", "then": then})
    headers = {
        "Authorization": f"token {API_KEY}:{ACCESS_TOKEN}",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    connection = http.client.HTTPConnection("127.0.0.1", exchange.port)
    connection.request("PUT", "/portfolio/positions", urllib.parse.urlencode(CONVERSION), headers)
    eventually(lambda: _whats(exchange).count("paused"), "the request to be stopped")
    connection.close()
    exchange.request("POST", "/practice/release", {})
    row = eventually(lambda: _ended(exchange), "the request to end")
    # Nothing is held, so the conversion is refused; whether the client's end is noticed first is a matter of moments.
    assert row["outcome"] in ({"refused", "answer_dropped"} if then == "go_on" else {"discarded"})
    assert "Traceback" not in exchange.errors


def _whats(exchange: PracticeProcess) -> list[str]:
    page = exchange.request("GET", "/practice/events?after=0&wait=0")
    return [event["what"] for event in page["events"]]


def _ended(exchange: PracticeProcess) -> dict[str, Any] | None:
    rows: list[dict[str, Any]] = exchange.request("GET", "/practice/log?after=0")["rows"]
    found = [row for row in rows if row.get("outcome")]
    assert len(found) <= 1, json.dumps(found)
    return found[0] if found else None
