"""Faults, gates, events, the lagging book and the log of requests, each on its own."""

from __future__ import annotations

import asyncio
import json
import random
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.practice.book_lag import BookLag
from engine.practice.events import Events, Gates
from engine.practice.faults import (
    FRAME_KINDS,
    REQUEST_KINDS,
    SOCKET_KINDS,
    UPDATE_KINDS,
    Fault,
    FaultKind,
    FaultPlan,
    Faults,
    Point,
    Then,
)
from engine.practice.request_log import RequestLog
from engine.practice.wire_faults import FrameFaults, UpdateChannel, with_unknown_packet
from tests.unit.practice.conftest import Wall

LIMIT = 50


def plan(**rates: Any) -> FaultPlan:
    """Return a plan with these rates."""
    return FaultPlan.convert({"seed": 3, "rates": rates})


def test_a_fault_that_found_nothing_to_spoil_waits_for_the_next_request() -> None:
    """Given back, it meets the next request, and is counted once."""
    faults = Faults(LIMIT)
    faults.add(faults.read({"kind": "drop_answer"}))
    first = faults.take("POST", "/orders/regular")
    assert first is not None
    faults.again(first)
    assert faults.take("POST", "/orders/regular") is first
    assert faults.take("POST", "/orders/regular") is None
    assert faults.met == {"drop_answer": 1}


def test_every_kind_belongs_to_one_occasion() -> None:
    """Requests, updates, frames and sockets share no kind."""
    groups = [REQUEST_KINDS, UPDATE_KINDS, FRAME_KINDS, SOCKET_KINDS]
    assert sum(len(group) for group in groups) == len(frozenset().union(*groups))


def test_faults_are_chosen_by_method_path_tag_and_account() -> None:
    """Each criterion alone keeps a fault from a request that is not meant."""
    meant: dict[str, Any] = {"method": "POST", "path": "/orders/regular", "tag": "WS1", "account": "PR0002"}
    for name, other in {"method": "PUT", "path": "/orders/amo", "tag": "WS2", "account": "PR0001"}.items():
        faults = Faults(LIMIT)
        faults.add(faults.read({"kind": "drop_answer", "count": 2} | meant))
        assert faults.take(**(meant | {name: other})) is None, name
        assert faults.take(**(meant | {"tag": "WS1-a"})) is not None
        assert faults.met == {"drop_answer": 1}


def test_a_fault_of_a_request_is_not_met_by_an_update() -> None:
    """What waits for a request is not used up by something else."""
    faults = Faults(LIMIT)
    faults.add(faults.read({"kind": "drop_answer"}))
    assert faults.take("", "", kinds=UPDATE_KINDS) is None
    assert faults.take("POST", "/orders/regular") is not None


def test_a_plan_draws_by_its_rates_and_seed() -> None:
    """About as many as the rate says, the same ones for the same seed, none for other requests."""

    def draw() -> list[str]:
        faults = Faults(LIMIT, plan(drop_answer=0.2, hold={"rate": 0.1, "seconds": 9}))
        drawn = [faults.take("POST", "/orders/regular", f"t{number}") for number in range(2000)]
        assert faults.take("GET", "/orders") is None
        return [fault.kind if fault else "" for fault in drawn]

    first = draw()
    assert first == draw()
    counts = Counter(first)
    assert 330 < counts["drop_answer"] < 470
    assert 110 < counts["hold"] < 210


def test_a_plan_fills_in_what_was_left_out() -> None:
    """A held request outlasts the client's window; a stale book is met by reads of the book."""
    rows = plan(hold=1, stale_book=1, delay={"rate": 1, "path": "/user"}).drawn()
    assert rows[FaultKind.HOLD].seconds == 8.0
    faults = Faults(LIMIT, plan(stale_book=1))
    assert faults.take("POST", "/orders/regular") is None
    stale = faults.take("GET", "/orders")
    assert stale is not None
    assert stale.seconds == 2.0
    other = Faults(LIMIT, plan(delay={"rate": 1, "path": "/user"}))
    assert other.take("GET", "/user/margins") is not None
    assert other.take("POST", "/orders/regular") is None


@pytest.mark.parametrize(
    "body",
    [
        {"rates": {"nonsense": 0.1}},
        {"rates": {"delay": 2}},
        {"rates": {"delay": {"rate": -1}}},
        {"rates": {"pause_at": 0.1}},
        {"rate": {}},
        [],
    ],
)
def test_senseless_plans_are_refused(body: object, tmp_path: Path) -> None:
    """Unknown kinds, impossible rates, and gates by chance are refused, and the file is named."""
    with pytest.raises(ValueError, match=r".+"):
        FaultPlan.convert(body)
    file = tmp_path / "plan.json"
    file.write_text(json.dumps(body))
    with pytest.raises(ValueError, match=r"plan\.json is no plan"):
        FaultPlan.read(file)


def test_a_plan_is_read_from_a_file(tmp_path: Path) -> None:
    """Numbers and rows."""
    file = tmp_path / "plan.json"
    file.write_text('{"seed": 9, "rates": {"drop_answer": 0.02, "hold": {"rate": 0.01, "seconds": 4}}}')
    read = FaultPlan.read(file)
    assert read.seed == 9
    assert read.drawn()[FaultKind.HOLD].seconds == 4.0


def test_events_are_numbered_and_bounded() -> None:
    """The oldest go, and a reader who comes late is told how many are missing."""
    events = Events(3, Wall())
    for number in range(5):
        events.add("accepted", tag=f"t{number}")
    answer = events.after(0)
    assert [row["seq"] for row in answer["events"]] == [3, 4, 5]
    assert (answer["last"], answer["missed"]) == (5, 2)
    assert [row["tag"] for row in events.after(4)["events"]] == ["t4"]
    assert events.after(5) == {"events": [], "last": 5, "missed": 0}


async def test_a_reader_waits_for_the_next_event() -> None:
    """A long poll returns as soon as something happens, and at once when it has happened already."""
    events = Events(10, Wall())
    waiting = asyncio.ensure_future(events.wait(0, 30.0))
    await asyncio.sleep(0)
    assert not waiting.done()
    events.add("filled", tag="x")
    assert (await waiting)["events"][0]["what"] == "filled"
    assert (await events.wait(0, 30.0))["last"] == 1
    assert (await events.wait(1, 0.0))["events"] == []
    assert (await events.wait(1, 0.01))["events"] == []


def gates(**fault: Any) -> tuple[Gates, Events]:
    """Return gates with one pause."""
    faults, events = Faults(LIMIT), Events(100, Wall())
    faults.add(faults.read({"kind": "pause_at"} | fault))
    return Gates(faults, events, 60.0), events


async def test_a_gate_stops_a_request_until_it_is_released() -> None:
    """Only the meant tag at the meant point is stopped; the release says how to go on."""
    stopped, events = gates(point="received", tag="A", then="discard")
    assert await stopped.stop_at(Point.ACCEPTED, "A1", "") is Then.GO_ON
    assert await stopped.stop_at(Point.RECEIVED, "B1", "") is Then.GO_ON
    waiting = asyncio.ensure_future(stopped.stop_at(Point.RECEIVED, "A1", "PR0001"))
    await asyncio.sleep(0)
    assert not waiting.done()
    assert stopped.release("B") == 0
    assert stopped.release("A") == 1
    assert await waiting is Then.DISCARD
    assert [(row["what"], row["tag"], row["detail"]) for row in events.after(0)["events"]] == [
        ("paused", "A1", "received"),
        ("released", "A1", "received"),
    ]
    assert await stopped.stop_at(Point.RECEIVED, "A1", "") is Then.GO_ON, "used up"


async def test_a_gate_opens_by_itself() -> None:
    """Nothing is stopped for ever."""
    stopped, events = gates(point="accepted", seconds=0.01)
    assert await stopped.stop_at(Point.ACCEPTED, "A", "") is Then.GO_ON
    assert events.after(0)["events"][-1]["detail"] == "accepted (deadline)"


async def test_what_follows_a_stopped_action_stays_behind_it() -> None:
    """Later updates of the same order do not overtake the one that is withheld."""
    stopped, _ = gates(point="filled", tag="A")
    done: list[int] = []
    assert stopped.defer(Point.FILLED, "A", "", "1", lambda: done.append(1))
    assert stopped.defer(Point.FILLED, "A", "", "1", lambda: done.append(2))
    assert not stopped.defer(Point.FILLED, "B", "", "2", lambda: done.append(3))
    assert done == []
    stopped.release()
    assert done == [1, 2]


class Channel:
    """An update channel with its faults and what came out of it."""

    def __init__(self, *kinds: str) -> None:
        faults, events = Faults(LIMIT), Events(100, Wall())
        self.sent: list[int] = []
        self.later: list[Callable[[], None]] = []
        for kind in kinds:
            faults.add(faults.read({"kind": kind}))
        self.events = events
        self.channel = UpdateChannel(
            faults,
            events,
            Gates(faults, events, 60.0),
            send=lambda data: self.sent.append(data["number"]),
            later=lambda _, action: self.later.append(action),
        )

    def tell(self, *numbers: int) -> None:
        """Pass updates on."""
        for number in numbers:
            self.channel.tell({"order_id": "1", "tag": "T", "user_id": "U", "status": "UPDATE", "number": number})


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("duplicate_update", [1, 1, 2, 3]),
        ("reorder_update", [2, 1, 3]),
        ("drop_update", [2, 3]),
        ("delay_update", [2, 3, 1]),
    ],
)
def test_what_happens_to_order_updates(kind: str, sent: list[int]) -> None:
    """Twice, after the next one, never, late; everything else passes in order."""
    channel = Channel(kind)
    channel.tell(1, 2, 3)
    for action in channel.later:
        action()
    assert channel.sent == sent
    told = [row["what"] for row in channel.events.after(0)["events"]]
    assert told.count("update_sent") == len(sent)


def test_a_withheld_update_goes_out_when_no_other_comes() -> None:
    """A reordered update waits its time at most."""
    channel = Channel("reorder_update")
    channel.tell(1)
    assert channel.sent == []
    channel.later[0]()
    assert channel.sent == [1]


def packets(frame: bytes) -> list[bytes]:
    """Split a frame into packet bodies."""
    (count,) = struct.unpack_from(">H", frame)
    offset, found = 2, []
    for _ in range(count):
        (length,) = struct.unpack_from(">H", frame, offset)
        found.append(frame[offset + 2 : offset + 2 + length])
        offset += 2 + length
    assert offset == len(frame)
    return found


FRAME = struct.pack(">HHIIHII", 2, 8, 256265, 2420000, 8, 265, 7820000)


def frame_faults(*kinds: str) -> FrameFaults:
    """Return frame faults that wait."""
    faults = Faults(LIMIT)
    for kind in kinds:
        faults.add(Fault(FaultKind(kind)))
    return FrameFaults(faults)


def test_what_happens_to_frames() -> None:
    """Twice, after the next one, cut short; a heartbeat is never touched."""
    other = FRAME[:-1] + b"\x01"
    assert frame_faults("duplicate_frame").passed(FRAME, None) == ([FRAME, FRAME], None)
    late = frame_faults("reorder_frame")
    assert late.passed(FRAME, None) == ([], FRAME)
    assert late.passed(other, FRAME) == ([other, FRAME], None)
    ((cut,), _) = frame_faults("truncate_frame").passed(FRAME, None)
    assert cut == FRAME[: len(cut)]
    assert 4 <= len(cut) < len(FRAME)
    waiting = frame_faults("duplicate_frame")
    assert waiting.passed(b"\x00", None) == ([b"\x00"], None)
    assert waiting.passed(FRAME, None) == ([FRAME, FRAME], None), "the heartbeat did not use the fault up"


def test_an_unknown_packet_leaves_the_others_readable() -> None:
    """One more packet of a length that no kind has; the others are what they were."""
    damaged = with_unknown_packet(FRAME, random.Random(1))  # noqa: S311 - chance that can be repeated
    bodies = packets(damaged)
    assert len(bodies[0]) == 12
    assert bodies[1:] == packets(FRAME)


def test_a_half_dead_socket_sends_heartbeats_only() -> None:
    """Data turn into heartbeats, and pass again afterwards."""
    faults = frame_faults()
    faults.half_dead = True
    assert faults.passed(FRAME, None) == ([b"\x00"], None)
    faults.half_dead = False
    assert faults.passed(FRAME, None) == ([FRAME], None)


def rows(*tags: str) -> list[dict[str, Any]]:
    """Return rows of a book."""
    return [{"order_id": str(number), "tag": tag} for number, tag in enumerate(tags)]


def tag_of(row: dict[str, Any]) -> str:
    """Return a row's tag."""
    return str(row["tag"])


def test_a_lagging_book_shows_an_earlier_state() -> None:
    """For its time an account reads what was there when it began; another account reads the truth."""
    wall = Wall()
    lag, now = BookLag(wall), rows("a", "b")
    lag.freeze("PR0001", {"orders": rows("a"), "trades": []}, 2.0)
    assert lag.shown("PR0001", "orders", now, tag_of) == rows("a")
    assert lag.shown("PR0001", "trades", now, tag_of) == []
    assert lag.shown("PR0002", "orders", now, tag_of) == now
    wall.now += 2.1
    assert lag.shown("PR0001", "orders", now, tag_of) == now


def test_a_lagging_book_hides_the_orders_of_a_tag() -> None:
    """Only those, only for its time; until it is cleared when no time is given."""
    wall = Wall()
    lag, now = BookLag(wall), rows("WS1", "WS2")
    lag.hide("", "WS1", 1.0)
    assert [row["tag"] for row in lag.shown("PR0001", "orders", now, tag_of)] == ["WS2"]
    wall.now += 1.1
    assert lag.shown("PR0001", "orders", now, tag_of) == now
    lag.hide("PR0002", "WS", 0.0)
    wall.now += 1e6
    assert lag.shown("PR0002", "orders", now, tag_of) == []
    assert lag.shown("PR0001", "orders", now, tag_of) == now
    lag.clear()
    assert lag.shown("PR0002", "orders", now, tag_of) == now


def open_log(path: Path) -> RequestLog:
    """Open the log as a process does."""
    return RequestLog(path, Wall(), 100)


def test_the_log_counts_every_placement_by_tag(tmp_path: Path) -> None:
    """Placements count, whatever becomes of them; changes do not; a restart forgets nothing."""
    path = tmp_path / "requests.jsonl"
    log = open_log(path)
    for method, tag, outcome, status in [
        ("POST", "A", "answered", 200),
        ("POST", "A", "answer_dropped", None),
        ("PUT", "A", "answered", 200),
        ("POST", "B", "refused", 429),
    ]:
        log.end(log.arrive(method, "/orders/regular", "PR0001", tag), outcome, status)
    assert log.posts == {"A": 2, "B": 1}
    log.close()
    again = open_log(path)
    assert (again.posts, again.count) == ({"A": 2, "B": 1}, 4)
    assert [row["outcome"] for row in again.after(0)] == ["answered", "answer_dropped", "answered", "refused"]
    assert again.after(3)[0]["status"] == 429
    again.close()


def test_a_request_over_which_the_process_died_is_in_the_log(tmp_path: Path) -> None:
    """What arrived is on the disk before it is handled; a torn last line is cut off."""
    path = tmp_path / "requests.jsonl"
    log = open_log(path)
    log.arrive("POST", "/orders/regular", "PR0001", "A")
    with path.open("ab") as file:
        file.write(b'{"seq":2,"at":1.0,"meth')
    killed = open_log(path)
    assert killed.posts == {"A": 1}
    assert killed.after(0)[0]["outcome"] == "died"
    killed.end(killed.arrive("POST", "/orders/regular", "PR0001", "B"), "answered", 200)
    assert [row["seq"] for row in killed.after(0)] == [1, 2]
    killed.close()
    log.close()
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(line["seq"], line.get("outcome", "")) for line in lines] == [
        (1, ""),
        (1, "died"),
        (2, ""),
        (2, "answered"),
    ]
