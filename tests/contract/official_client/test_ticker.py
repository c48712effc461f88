"""The official ticker: every public method, every mode, an error in words, an order update."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

from tests.contract.official_client.conftest import Build, Trader
from tests.contract.official_client.shapes import ORDER, ORDER_EXTRA, has, names
from tests.kit.practice_process import REPOSITORY, PracticeProcess

SCRIPT = Path(__file__).with_name("ticker_script.py")
INDEX = 256265
TOO_MANY = 4000
LTP = names("tradable mode instrument_token last_price")
INDEX_QUOTE = LTP | names("ohlc change")
INDEX_FULL = INDEX_QUOTE | names("exchange_timestamp")
QUOTE = INDEX_QUOTE | names(
    "last_traded_quantity average_traded_price volume_traded total_buy_quantity total_sell_quantity"
)
FULL = QUOTE | names("last_trade_time oi oi_day_high oi_day_low exchange_timestamp depth")
FIELDS = {"ltp": (LTP, LTP), "quote": (INDEX_QUOTE, QUOTE), "full": (INDEX_FULL, FULL)}
UPDATE_EXTRA = {*ORDER_EXTRA, "user_id", "unfilled_quantity", "checksum"}


def test_the_script_drives_every_method() -> None:
    """The ticker's public methods, found by looking, are all called by the script."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        from kiteconnect import KiteTicker
    methods = {name for name, _ in inspect.getmembers(KiteTicker, inspect.isfunction) if not name.startswith("_")}
    text = SCRIPT.read_text(encoding="utf-8")
    assert len(methods) >= 9
    assert {name for name in methods if f"icker.{name}(" not in text} == set()


def test_a_ticker_session(own_exchange: PracticeProcess, official: Build) -> None:
    """Each mode has its fields; too many tokens are refused in words while the connection lives; a fill is told."""
    trader = Trader(official(own_exchange), own_exchange)
    option = trader.option()
    tokens = [INDEX, option["instrument_token"], trader.option(1)["instrument_token"]]
    seen: dict[str, Any] = {}
    command = [sys.executable, str(SCRIPT), str(own_exchange.port), json.dumps(tokens), str(TOO_MANY)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=REPOSITORY
    ) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                message = json.loads(line)
                seen.setdefault(message["kind"], message["data"])
                if message["kind"] == "ready":
                    order_id = trader.place(option, "BUY", trader.quote(option)["depth"]["sell"][-1]["price"])
            assert process.wait(5) == 0
        finally:
            process.kill()
    assert seen["connected"] is True
    for mode, fields in FIELDS.items():
        ticks = {tick["instrument_token"]: tick for tick in seen[mode]}
        assert set(ticks) == set(tokens)
        for token, tick in ticks.items():
            has(tick, fields[token != INDEX])
            assert (tick["mode"], tick["tradable"]) == (mode, token != INDEX)
    quoted = next(tick for tick in seen["full"] if tick["instrument_token"] != INDEX)
    assert all(len(quoted["depth"][side]) == 5 for side in ("buy", "sell"))
    assert seen["error"][0] == 0
    assert "3000" in seen["error"][1]
    assert seen["ready"][0] == INDEX
    has(seen["order"], ORDER, UPDATE_EXTRA)
    assert (seen["order"]["order_id"], seen["order"]["user_id"]) == (order_id, trader.kite.profile()["user_id"])
