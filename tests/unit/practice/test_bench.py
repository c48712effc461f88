"""The bench: what it adds to an exchange, and what each seed does in its own way."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.practice.accounts import Accounts
from engine.practice.bench import EXIT_RESTART, Bench
from engine.practice.http_orders import draw_latency
from engine.practice.packets import PacketTable
from engine.practice.settings import ExchangeSettings, ServiceSettings
from engine.practice.stream import StreamHub
from engine.practice.wire import KiteError
from tests.unit.practice.conftest import Venue, Wall


@pytest.fixture
def bench(venue: Venue) -> Iterator[Bench]:
    """A bench on the venue."""
    made = Bench(venue.settings, clock=venue.wall, monotonic=venue.wall, crash=crashes)
    floor = venue.exchange.floor
    hub = StreamHub(ServiceSettings(), PacketTable(floor.day.universe, venue.exchange.index_tokens))
    made.attach([venue.exchange], Accounts(ServiceSettings(), venue.wall), hub)
    yield made
    made.requests.close()


def crashes(code: int) -> None:
    """Stand in for the end of the process."""
    raise SystemExit(code)


def told(bench: Bench) -> list[tuple[str, str]]:
    """Return what happened, with the tag."""
    return [(row["what"], row["tag"]) for row in bench.events.after(0)["events"]]


def test_events_follow_what_is_durable(venue: Venue, bench: Bench) -> None:
    """An order's path is told in its order, the fill before the update that it causes."""
    call = venue.contract()
    venue.place(call, "BUY", 65, venue.depth(call, "BUY")[0][0] / 100, tag="path")
    assert told(bench) == [
        ("accepted", "path"),
        ("order", "path"),
        ("order", "path"),
        ("order", "path"),
        ("filled", "path"),
        ("completed", "path"),
        ("update_sent", "path"),
    ]


def test_changes_are_told(venue: Venue, bench: Bench) -> None:
    """A modification and a cancellation are told when they are accepted."""
    call, desk = venue.contract(), venue.exchange.desk
    order = venue.place(call, "BUY", 65, 100.0, tag="t")
    desk.modify("regular", order.order_id, {"quantity": "130"})
    desk.finish_change(order.order_id)
    desk.cancel("regular", order.order_id)
    desk.finish_cancel(order.order_id)
    whats = [what for what, _ in told(bench)]
    assert [what for what in whats if what in {"modify_accepted", "cancel_accepted", "cancelled"}] == [
        "modify_accepted",
        "cancel_accepted",
        "cancelled",
    ]


def test_imposed_refusals(venue: Venue, bench: Bench) -> None:
    """A rejection for a tag, and a slice that fails, each once and for nobody else."""
    bench.faults.add(bench.faults.read({"kind": "reject", "tag": "bad"}))
    bench.faults.add(bench.faults.read({"kind": "slice_failure", "tag": "big"}))
    call = venue.contract()
    assert [venue.place(call, "BUY", 65, 100.0, tag=tag).status for tag in ("good", "bad", "bad")] == [
        "OPEN",
        "REJECTED",
        "OPEN",
    ]
    placement = venue.exchange.desk.submit(venue.form(call, "BUY", 3900, 100.0, autoslice="true", tag="big"))
    assert [isinstance(child, KiteError) for child in placement.children] == [False, True, False]


def test_a_crash_has_its_own_exit_code(bench: Bench) -> None:
    """Whoever keeps the exchange up can tell it from a failure."""
    with pytest.raises(SystemExit) as ended:
        bench.crash()
    assert ended.value.code == EXIT_RESTART


async def test_clearing_ends_everything(venue: Venue, bench: Bench) -> None:
    """Waiting and lasting faults, expired tokens, a stale book: afterwards all is as without a bench."""
    for kind in ("half_dead_socket", "silent_socket", "stale_book", "expire_tokens"):
        await bench.strike(bench.faults.read({"kind": kind}))
    bench.faults.add(bench.faults.read({"kind": "drop_answer"}))
    before = bench.frames.half_dead
    bench.clear()
    assert (before, bench.frames.half_dead) == (True, False)
    assert bench.faults.listed() == []
    rows: list[dict[str, Any]] = [{"order_id": "1", "tag": "x"}]
    assert bench.lag.shown("PR0001", "orders", rows, lambda row: str(row["tag"])) == rows


async def test_a_fault_of_requests_cannot_strike_by_itself(bench: Bench) -> None:
    """Asking for it is a mistake of the caller's, and says so."""
    with pytest.raises(ValueError, match="waits for a request"):
        await bench.strike(bench.faults.read({"kind": "drop_answer"}))


def test_seeds_differ_in_the_headers_of_a_429(tmp_path: Path) -> None:
    """Some seeds say when to come back, some do not; one seed always does the same."""
    ways = []
    for seed in range(12):
        settings = ExchangeSettings(state=tmp_path / str(seed), seed=seed)
        bench = Bench(settings, clock=Wall(), monotonic=Wall())
        ways.append(tuple(bench.retry_after()))
        assert tuple(bench.retry_after()) == ways[-1]
        bench.requests.close()
    assert set(ways) == {(), ("Retry-After",)}


def test_latencies_are_drawn_and_repeatable() -> None:
    """Around the middle that is set, different for each order, the same for the same seed; constant without spread."""
    settings = ExchangeSettings(state=Path())
    drawn = [draw_latency(settings, f"order{number}", "process") for number in range(400)]
    assert drawn == [draw_latency(settings, f"order{number}", "process") for number in range(400)]
    assert statistics.median(drawn) == pytest.approx(settings.service.order_latency_seconds, rel=0.15)
    assert len(set(drawn)) == len(drawn)
    assert drawn != [draw_latency(replace(settings, seed=8), f"order{number}", "process") for number in range(400)]
    constant = replace(settings, service=replace(settings.service, order_latency_spread=0.0))
    assert draw_latency(constant, "order1", "process") == settings.service.order_latency_seconds
