"""The process: one per folder, ports, ends, and what survives a kill."""

from __future__ import annotations

import fcntl
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from requests import exceptions as transport

from tests.integration.practice.conftest import Desk, eventually
from tests.kit.practice_process import (
    ACCESS_TOKEN,
    API_KEY,
    DEFAULT_START,
    REPOSITORY,
    STOP_SECONDS,
    PracticeProcess,
)

SAMPLES = Path(__file__).resolve().parents[3].parent / "shared" / "samples"


def test_ready_line_and_information_file(exchange: PracticeProcess) -> None:
    """The ready line and the folder's file name the same process and port; the file is gone after a clean end."""
    info = json.loads((exchange.state / "exchange.json").read_text())
    assert (info["pid"], info["port"]) == (exchange.pid, exchange.port)
    assert exchange.ready["ready"] is True
    begun = time.monotonic()
    assert exchange.stop() == 0
    assert time.monotonic() - begun < 1.0
    assert not (exchange.state / "exchange.json").exists()


def test_it_outlives_a_starter_that_was_killed_before_it_was_ready(tmp_path: Path) -> None:
    """Nobody reads the ready line any more: the exchange serves all the same, and the folder's file says where."""
    program = [sys.executable, "-m", "engine.practice", "--port", "0", "--start", DEFAULT_START, "--speed", "0"]
    with (tmp_path / "stderr.log").open("wb") as errors:
        started = subprocess.Popen(
            [*program, "--state", str(tmp_path)], stdout=subprocess.PIPE, stderr=errors, cwd=REPOSITORY
        )
    assert started.stdout is not None
    started.stdout.close()
    try:
        eventually((tmp_path / "exchange.json").exists, "the file")
        assert started.poll() is None
        port = json.loads((tmp_path / "exchange.json").read_text())["port"]
        address = f"http://127.0.0.1:{port}/practice/status"
        headers = {"Authorization": f"token {API_KEY}:{ACCESS_TOKEN}"}
        request = urllib.request.Request(address, headers=headers)
        with urllib.request.urlopen(request, timeout=STOP_SECONDS) as answer:  # noqa: S310 - on loopback
            assert answer.status == HTTPStatus.OK
    finally:
        started.terminate()
        started.wait(STOP_SECONDS)
    assert "Traceback" not in (tmp_path / "stderr.log").read_text()


def test_one_exchange_per_folder(exchange: PracticeProcess) -> None:
    """A second start on a folder ends with 3 and points to the running one."""
    with pytest.raises(RuntimeError, match=rf"ended with 3 .*already runs on .*: port {exchange.port}"):
        PracticeProcess(exchange.state).start()


def test_a_taken_port_is_one_sentence(exchange: PracticeProcess, tmp_path: Path) -> None:
    """A port in use ends the start with 4 and a sentence, not a traceback."""
    other = PracticeProcess(tmp_path / "other", arguments=["--port", str(exchange.port)])
    with pytest.raises(RuntimeError, match="ended with 4"):
        other.start()
    assert other.errors.count("\n") == 1
    assert f"Port {exchange.port}" in other.errors


def test_unusable_input_is_one_sentence(tmp_path: Path) -> None:
    """A missing snapshot ends the start with 2 and names the file."""
    other = PracticeProcess(tmp_path / "other", start="auto", arguments=["--snapshot", str(tmp_path / "none.json")])
    with pytest.raises(RuntimeError, match=r"ended with 2 .*none\.json"):
        other.start()
    assert "Traceback" not in other.errors


def test_it_ends_with_the_last_desk(tmp_path: Path) -> None:
    """While a desk holds the clients' lock the exchange stays; soon after the last one is gone it ends by itself."""
    lock = tmp_path / "clients.lock"
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        exchange = PracticeProcess(
            tmp_path / "state", arguments=["--clients-lock", str(lock), "--linger", "0.3"]
        ).start()
        deadline = time.monotonic() + 1.2
        while time.monotonic() < deadline:
            assert exchange.status()["session"]["state"] == "open"
    finally:
        os.close(descriptor)
    eventually(lambda: exchange.exit_code is not None, "the exchange to end")
    assert exchange.stop() == 0
    assert "ended with the last desk using it" in exchange.errors


def test_stop_by_request(exchange: PracticeProcess) -> None:
    """The exchange ends when it is asked to over HTTP."""
    assert exchange.request("POST", "/practice/stop") is True
    eventually(lambda: exchange.exit_code is not None, "the exchange to end")
    assert exchange.stop() == 0


def test_market_time_stands_still_while_it_is_down(exchange: PracticeProcess) -> None:
    """After a clean end and a pause, market time goes on where it was."""
    before = exchange.status()["market_epoch"]
    exchange.stop()
    exchange.start()
    after = exchange.status()["market_epoch"]
    assert before <= after < before + 2.0


def test_a_kill_at_any_moment_loses_no_acknowledged_order(tmp_path: Path, official: Callable[..., Any]) -> None:
    """Orders are placed while the process is killed again and again: every acknowledged one is there, once, and
    books agree.
    """
    chance = random.Random(5)  # noqa: S311 - moments of a kill, repeatable
    exchange = PracticeProcess(tmp_path / "state").start()
    acknowledged: list[str] = []
    asked: list[str] = []
    moments = [exchange.status()["market_epoch"]]
    try:
        for life in range(4):
            desk = Desk(official(exchange))
            ask = desk.quote()["depth"]["sell"][4]["price"]
            killer = threading.Timer(chance.uniform(0.02, 0.15), exchange.kill)
            killer.start()
            try:
                for number in range(9):
                    tag = f"k{life}n{number}"
                    asked.append(tag)
                    desk.place("BUY", desk.lot, ask, tag=tag)
                    acknowledged.append(tag)
            except transport.ConnectionError:
                pass
            killer.join()
            exchange.start()
            moments.append(exchange.status()["market_epoch"])
        kite = official(exchange)
        tags = [order["tag"] for order in kite.orders()]
        assert len(tags) == len(set(tags))
        assert set(acknowledged) <= set(tags) <= set(asked)
        assert moments == sorted(moments)
        filled = sum(order["filled_quantity"] for order in kite.orders())
        assert filled == sum(trade["quantity"] for trade in kite.trades())
        assert filled == sum(position["quantity"] for position in kite.positions()["net"])
        assert len({trade["trade_id"] for trade in kite.trades()}) == len(kite.trades())
        assert acknowledged
    finally:
        exchange.stop()


def test_sessions_follow_each_other(tmp_path: Path, official: Callable[..., Any]) -> None:
    """At the close the state is closed; after the pause the next trading day is open and the order book empty."""
    with PracticeProcess(tmp_path / "state", arguments=["--closed-pause", "0.5", "--step", "0.1"]) as exchange:
        desk = Desk(official(exchange))
        order_id = desk.place("BUY", desk.lot, desk.quote()["depth"]["sell"][4]["price"])
        desk.reaches(order_id, "COMPLETE")
        exchange.request("POST", "/practice/clock", {"advance_seconds": 20_000})
        eventually(lambda: exchange.status()["session"]["state"] == "closed", "the close")
        eventually(lambda: exchange.status()["session"]["day"] == "2026-11-20", "the next session")
        assert desk.kite.orders() == []
        (position,) = desk.kite.positions()["net"]
        assert position["overnight_quantity"] == desk.lot


def test_speed_is_set_while_running(exchange: PracticeProcess) -> None:
    """Market time stands still at speed 0 and runs again afterwards."""
    exchange.request("POST", "/practice/clock", {"speed": 0})
    first = exchange.status()["market_epoch"]
    assert exchange.status()["market_epoch"] == first
    exchange.request("POST", "/practice/clock", {"speed": 100})
    eventually(lambda: exchange.status()["market_epoch"] > first + 10, "market time to run")


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the real data files are not on this machine")
def test_real_dump_and_real_chain(tmp_path: Path, official: Callable[..., Any]) -> None:
    """With both real files: all rows are served, the chain is the market, the session is extended, and orders fill."""
    arguments = [
        *("--instruments", str(SAMPLES / "kite_instruments_nfo_bfo_2026-08-18.csv.gz")),
        *("--snapshot", str(SAMPLES / "nse_chain_NIFTY_2026-07.json.gz")),
    ]
    with PracticeProcess(tmp_path / "state", start="auto", speed=0.0, arguments=arguments) as exchange:
        status = exchange.status()
        assert status["session"]["extended"] is True
        assert status["session"]["state"] == "extended"
        assert status["market_time"] == "2026-07-10T15:30:00+05:30"
        assert status["instruments"] > 39_941
        kite = official(exchange)
        rows = kite.instruments("NFO")
        chain = [row for row in rows if row["name"] == "NIFTY" and str(row["expiry"]) == "2026-07-14"]
        assert len(chain) == 198
        assert kite.ltp("NSE:NIFTY 50")["NSE:NIFTY 50"]["last_price"] == 24_206.9
        quote = kite.quote("NFO:NIFTY2671424200CE")["NFO:NIFTY2671424200CE"]
        assert quote["last_price"] == 104.0
        assert quote["oi"] == 144_699 * 65
        order_id = kite.place_order(
            "regular",
            exchange="NFO",
            tradingsymbol="NIFTY2671424200CE",
            transaction_type="BUY",
            quantity=65,
            product="NRML",
            order_type="LIMIT",
            price=quote["depth"]["sell"][0]["price"],
        )
        eventually(lambda: kite.order_history(order_id)[-1]["status"] == "COMPLETE", "the fill")
