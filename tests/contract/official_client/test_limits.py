"""The request limits of each class, and that what a refusal looks like is not to be relied on."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.official_client.conftest import DEADLINE_SECONDS, TOO_MANY, Build
from tests.kit.practice_process import PracticeProcess


def burst(call: Callable[[], Any], count: int) -> list[int]:
    """Call so often within one calendar second, after a second without calls, and return the HTTP codes."""
    from kiteconnect.exceptions import KiteException

    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        begun = time.time()
        time.sleep(2.0 - begun % 1.0)
        begun = time.time()
        codes = []
        for _ in range(count):
            try:
                call()
                codes.append(200)
            except KiteException as error:
                codes.append(error.code)
        if int(begun) == int(time.time()):
            return codes
    raise AssertionError(f"{count} calls never fitted into one second")


def test_limits_of_reads(tmp_path: Path, official: Build) -> None:
    """One quote, three requests for candles and ten others a second are admitted; the next is refused with 429."""
    with PracticeProcess(tmp_path / "state", read_limits=True, speed=0.0) as exchange:
        kite = official(exchange)
        opening = "2026-11-19 10:50:00"
        for call, allowed in (
            (lambda: kite.ltp("NSE:NIFTY 50"), 1),
            (lambda: kite.historical_data(256265, opening, "2026-11-19 10:55:00", "minute"), 3),
            (kite.profile, 10),
        ):
            codes = burst(call, allowed + 1)
            assert codes == [200] * allowed + [TOO_MANY]


def test_limit_of_orders(own_exchange: PracticeProcess, official: Build) -> None:
    """Ten order requests a second are heard, whatever becomes of them; the eleventh is refused with 429."""
    kite = official(own_exchange)
    codes = burst(lambda: kite.cancel_order("regular", "1"), 11)
    assert codes == [400] * 10 + [TOO_MANY]


def test_the_body_of_a_refusal_depends_on_the_seed(tmp_path: Path) -> None:
    """Venues of different seeds do not all refuse in the same form; the status is 429 always."""
    bodies = set()
    for seed in (1, 2):
        with PracticeProcess(tmp_path / str(seed), seed=seed, speed=0.0) as exchange:
            exchange.request("POST", "/practice/faults", {"kind": "error_429", "path": "/user/profile"})
            bodies.add(_refusal(exchange))
    assert len(bodies) > 1


def _refusal(exchange: PracticeProcess) -> str:
    headers = {"Authorization": "token practice:practice"}
    request = urllib.request.Request(f"{exchange.root}/user/profile", headers=headers)  # noqa: S310 - loopback
    with pytest.raises(urllib.error.HTTPError) as answer:
        urllib.request.urlopen(request, timeout=5)  # noqa: S310 - loopback
    with answer.value as error:
        assert error.code == TOO_MANY
        text = error.read().decode()
        if error.headers.get_content_type() == "application/json":
            return str(json.loads(text)["error_type"])
        return text
