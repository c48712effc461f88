"""The official Kite client against the running exchange: login, reads, orders, errors."""

from __future__ import annotations

import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.practice.conftest import Desk, eventually
from tests.kit.practice_process import PracticeProcess


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


def login(exchange: PracticeProcess, target: str) -> str:
    """Visit the login page as a browser does and return where it redirects to."""
    query = urllib.parse.urlencode({"v": 3, "api_key": "practice", "redirect_url": target})
    opener = urllib.request.build_opener(_NoRedirect)
    with pytest.raises(urllib.error.HTTPError) as answer:
        opener.open(f"{exchange.root}/connect/login?{query}", timeout=5)
    with answer.value as redirect:
        assert redirect.code == 302
        return str(redirect.headers["Location"])


def test_login_flow(exchange: PracticeProcess, official: Callable[..., Any]) -> None:
    """The login page hands out a request token that makes a session once; an ended session is refused."""
    from kiteconnect import exceptions

    location = login(exchange, "http://127.0.0.1:9/callback")
    token = urllib.parse.parse_qs(urllib.parse.urlsplit(location).query)["request_token"][0]
    assert "status=success" in location
    client = official(exchange, "")
    session = client.generate_session(token, "practice")
    assert session["user_id"] == client.profile()["user_id"]
    with pytest.raises(exceptions.TokenException):
        client.generate_session(token, "practice")
    client.invalidate_access_token(session["access_token"])
    with pytest.raises(exceptions.TokenException):
        client.profile()


def test_a_wrong_token_is_the_clients_token_exception(exchange: PracticeProcess, official: Callable[..., Any]) -> None:
    """Bad credentials raise the client's TokenException with the broker's words and code."""
    from kiteconnect import exceptions

    with pytest.raises(exceptions.TokenException, match="Incorrect `api_key` or `access_token`") as refused:
        official(exchange, "wrong").profile()
    assert refused.value.code == 403


def test_instruments(kite: Any) -> None:
    """The dump parses in the official client; indices, futures, weekly and monthly options are there."""
    rows = kite.instruments()
    by_symbol = {f"{row['exchange']}:{row['tradingsymbol']}": row for row in rows}
    assert by_symbol["NSE:NIFTY 50"]["segment"] == "INDICES"
    assert by_symbol["BSE:SENSEX"]["instrument_token"] == 265
    assert by_symbol["NFO:NIFTY26NOVFUT"]["lot_size"] == 65
    assert {row["name"] for row in rows if row["exchange"] == "BFO"} == {"SENSEX"}
    assert all(row["exchange"] == "NFO" for row in kite.instruments("NFO"))
    weekly = [row for row in rows if re.fullmatch(r"NIFTY26D01\d{5}CE", row["tradingsymbol"])]
    assert len(weekly) > 90


def test_quotes(desk: Desk) -> None:
    """Quote, ohlc and ltp agree in shape and content; unknown instruments are simply missing."""
    kite, key = desk.kite, f"NFO:{desk.symbol}"
    quote = desk.quote()
    assert quote["depth"]["buy"][0]["price"] < quote["depth"]["sell"][0]["price"]
    assert len(quote["depth"]["buy"]) == len(quote["depth"]["sell"]) == 5
    assert quote["oi"] % desk.lot == 0
    assert set(kite.ltp(key, "NFO:NOTHING")) == {key}
    ohlc = kite.ohlc(key, "NSE:INDIA VIX")
    assert ohlc[key]["ohlc"]["close"] == quote["ohlc"]["close"]
    assert 5.0 < ohlc["NSE:INDIA VIX"]["last_price"] < 40.0


def test_a_fill_from_order_to_position(desk: Desk) -> None:
    """A crossing limit order completes; history, trades, position and funds tell one story."""
    kite = desk.kite
    before = kite.margins("equity")["net"]
    ask = desk.quote()["depth"]["sell"][1]["price"]
    order_id = desk.place("BUY", desk.lot, ask, tag="story1")
    order = desk.reaches(order_id, "COMPLETE")
    assert order["tag"] == "story1"
    assert [row["status"] for row in kite.order_history(order_id)] == [
        "PUT ORDER REQ RECEIVED",
        "VALIDATION PENDING",
        "OPEN PENDING",
        "OPEN",
        "COMPLETE",
    ]
    trades = kite.order_trades(order_id)
    assert sum(trade["quantity"] for trade in trades) == desk.lot
    assert kite.trades() == trades
    (position,) = kite.positions()["net"]
    assert (position["quantity"], position["average_price"]) == (desk.lot, order["average_price"])
    assert kite.positions()["day"][0]["day_buy_quantity"] == desk.lot
    spent = before - kite.margins("equity")["net"]
    assert spent == pytest.approx(order["average_price"] * desk.lot, abs=0.02)
    assert kite.holdings() == []


def test_market_order_with_protection(desk: Desk) -> None:
    """A protected market order fills and shows as a LIMIT with the broker's tags."""
    order_id = desk.place("BUY", desk.lot, order_type="MARKET", market_protection=-1)
    order = desk.reaches(order_id, "COMPLETE")
    assert order["order_type"] == "LIMIT"
    assert order["tags"][0] == "mktp"


def test_modify_and_cancel(desk: Desk) -> None:
    """A resting order is modified and cancelled by the official client."""
    bid = desk.quote()["depth"]["buy"][0]["price"]
    order_id = desk.place("BUY", desk.lot, round(bid - 10, 2))
    desk.reaches(order_id, "OPEN")
    desk.kite.modify_order("regular", order_id, quantity=2 * desk.lot, price=round(bid - 12, 2))
    eventually(lambda: desk.kite.order_history(order_id)[-1]["quantity"] == 2 * desk.lot, "the modification")
    desk.kite.cancel_order("regular", order_id)
    assert desk.reaches(order_id, "CANCELLED")["cancelled_quantity"] == 2 * desk.lot


def test_stop_order_waits(desk: Desk) -> None:
    """A stop whose trigger is away rests as TRIGGER PENDING."""
    last = round(desk.quote()["last_price"])
    order_id = desk.place("BUY", desk.lot, last + 45, order_type="SL", trigger_price=last + 40)
    desk.reaches(order_id, "TRIGGER PENDING")


def test_errors_are_the_clients_own_classes(desk: Desk) -> None:
    """Ill-formed requests raise InputException, unserved changes OrderException; exchange rejections are in the
    book.
    """
    from kiteconnect import exceptions

    for wrong in ({"quantity": desk.lot + 1}, {"price": 100.03}, {"tag": "x" * 21}, {"order_type": "SL-M"}):
        arguments = {"quantity": desk.lot, "price": 100.0} | wrong
        with pytest.raises(exceptions.InputException):
            desk.place("BUY", **arguments)
    with pytest.raises(exceptions.InputException):
        desk.kite.cancel_order("regular", "1")
    order_id = desk.place("BUY", desk.lot, 0.05)
    order = desk.reaches(order_id, "REJECTED")
    assert "range" in order["status_message"]
    with pytest.raises(exceptions.OrderException):
        desk.kite.cancel_order("regular", order_id)


def test_faults_reach_the_official_client(exchange: PracticeProcess, desk: Desk) -> None:
    """Server errors raise the matching class and place nothing; a dropped answer has placed the order."""
    from kiteconnect import exceptions
    from requests import exceptions as transport

    price = round(desk.quote()["depth"]["buy"][0]["price"] - 10, 2)
    expected = {
        "error_500": exceptions.GeneralException,
        "error_503": exceptions.NetworkException,
        "error_429": exceptions.NetworkException,
        "html_502": exceptions.DataException,
        "drop_answer": transport.ConnectionError,
    }
    for kind, error in expected.items():
        exchange.request("POST", "/practice/faults", {"kind": kind, "method": "POST", "path": "/orders", "count": 1})
        with pytest.raises(error):
            desk.place("BUY", desk.lot, price, tag=kind.replace("_", ""))
    assert [order["tag"] for order in desk.kite.orders()] == ["dropanswer"]
    log = exchange.request("GET", "/practice/log")
    assert log["order_posts"] == 1
    assert log["by_tag"] == {kind.replace("_", ""): 1 for kind in expected}
    assert exchange.request("GET", "/practice/faults") == []


def test_a_held_order_is_accepted_after_the_client_gave_up(exchange: PracticeProcess, desk: Desk) -> None:
    """A request held past the client's window is carried out all the same."""
    from requests import exceptions as transport

    price = round(desk.quote()["depth"]["buy"][0]["price"] - 10, 2)
    fault = {"kind": "hold", "method": "POST", "path": "/orders", "count": 1, "seconds": 1.0}
    exchange.request("POST", "/practice/faults", fault)
    desk.kite.timeout = 0.2
    with pytest.raises(transport.Timeout):
        desk.place("BUY", desk.lot, price, tag="held")
    desk.kite.timeout = 7
    assert desk.kite.orders() == []
    eventually(lambda: [order["tag"] for order in desk.kite.orders()] == ["held"], "the held order")


def test_order_requests_are_limited(exchange: PracticeProcess, desk: Desk) -> None:
    """More than ten order requests in a calendar second raise the client's NetworkException."""
    from kiteconnect import exceptions

    def burst() -> bool:
        try:
            desk.kite.cancel_order("regular", "1")
        except exceptions.InputException:
            return False
        except exceptions.NetworkException as error:
            return bool(error.code == 429)
        return False

    eventually(lambda: any(burst() for _ in range(60)), "a refused order request")
    assert exchange.status()["orders"] == 0
