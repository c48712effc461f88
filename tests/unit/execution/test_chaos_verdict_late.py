"""The chaos count of exits whose order was accepted late: excused when both sides prove it, and never otherwise."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.events import Watch
from tests.chaos.evidence import Evidence
from tests.chaos.exchange import LOG, Exchange
from tests.chaos.faults import FaultKeeper
from tests.chaos.intents import Intent, Kind
from tests.chaos.keeping import EVIDENCE, keep, story
from tests.chaos.plan import Plan, Tally
from tests.chaos.program import ENGINE_LOG
from tests.chaos.verdict import judge

ACCOUNT = "A"
PLAN = 40
PRESUMED_AT = 1_000_000.0
CONTRACT: dict[str, Any] = {"exchange": "NFO", "tradingsymbol": "N"}
RECORD: dict[str, Any] = {
    "number": PLAN,
    "account": ACCOUNT,
    "idempotency_key": "kp",
    "state": "DONE",
    "sentence": "exit 1.2",
    "spec": {"goals": [{"instrument": CONTRACT, "product": "NRML", "signed_quantity": 65}]},
}


def order(number: int, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """An order of the exit that has sold 65: ours, and the exchange's."""
    tag, order_id = f"WS{number}", f"{100 + number}"
    key = f"p{PLAN}/x0/{number - 1}"
    ours = {"number": number, "tag": tag, "broker_order_id": order_id, "idempotency_key": key, "state": "COMPLETE"}
    theirs = {"order_id": order_id, "tag": tag, "status": "COMPLETE", "tradingsymbol": "N", "product": "NRML"}
    both = {"account": ACCOUNT, "filled_quantity": 65, **fields}
    return {**ours, "message": "", **both}, {**theirs, "transaction_type": "SELL", **both}


def trade(number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fill of one."""
    both = {"account": ACCOUNT, "trade_id": "t", "quantity": 65}
    ours = {"broker_order_id": f"{100 + number}", "price": "89", "side": "SELL"}
    theirs = {"order_id": f"{100 + number}", "average_price": 89.0, "transaction_type": "SELL"}
    return {**ours, **both}, {**theirs, "tradingsymbol": "N", "product": "NRML", **both}


def line(trigger: str, at: float, *, applied: bool = True) -> dict[str, Any]:
    """A line of the journal."""
    moment = datetime.fromtimestamp(at, UTC).isoformat()
    return {"trigger": trigger, "applied": applied, "wall_at": moment, "to_state": trigger, "detail": "words"}


FIRST, SECOND = order(1), order(2)
FILLS = [trade(1), trade(2)]
GIVEN_UP = [line("LOST", PRESUMED_AT - 30), line("PRESUME_ABSENT", PRESUMED_AT)]
REQUEST: dict[str, Any] = {"seq": 1, "at": PRESUMED_AT - 32, "method": "POST", "tag": "WS1", "fault": "hold"}
LATE = Evidence(
    ours=[FIRST[0], SECOND[0]],
    theirs=[FIRST[1], SECOND[1]],
    our_trades=[ours for ours, _ in FILLS],
    their_trades=[theirs for _, theirs in FILLS],
    posts_by_tag={"WS1": 1, "WS2": 1},
    their_net=[{"account": ACCOUNT, "tradingsymbol": "N", "product": "NRML", "quantity": -65}],
    our_legs=[
        {"account": ACCOUNT, "instrument": CONTRACT, "product": "NRML", "holding": {"signed_quantity": -65}},
    ],
    promised={},
    refused=frozenset(),
    intents=(Intent("kp", Kind.EXIT, ACCOUNT, {}, plan=PLAN),),
    our_plans=[RECORD],
    histories={1: GIVEN_UP, 2: []},
    accepted_at={"A 101": PRESUMED_AT + 2.5, "A 102": PRESUMED_AT + 1},
    requests=[{**REQUEST, "ended": PRESUMED_AT + 2.6, "outcome": "answer_dropped"}],
)
DOUBLED = "exit p40 filled SELL 130 N NRML, at most 65 was asked for"


def test_an_order_accepted_after_it_was_presumed_absent_is_named_and_no_duplicate() -> None:
    """The broker's own lateness: one sentence with both moments, the plan told of, and nothing that is wrong."""
    verdict = judge(LATE)
    assert verdict.is_clean, verdict
    assert verdict.late == [f"{DOUBLED}: o1 with 65 was accepted 2.500 s after it had been presumed absent"]
    assert verdict.plans == {PLAN}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"accepted_at": {"A 101": PRESUMED_AT - 0.001}}, id="accepted before it was given up"),
        pytest.param({"accepted_at": {"A 101": PRESUMED_AT}}, id="accepted at that moment"),
        pytest.param({"accepted_at": {}}, id="the exchange did not say when"),
        pytest.param({"accepted_at": {"B 101": PRESUMED_AT + 2.5}}, id="another account's order"),
        pytest.param({"accepted_at": {"A 102": PRESUMED_AT + 2.5}}, id="the other order"),
        pytest.param({"histories": {}}, id="nobody had given it up"),
        pytest.param({"histories": {1: GIVEN_UP[:1]}}, id="it was only unknown"),
        pytest.param({"histories": {2: GIVEN_UP}, "accepted_at": {"A 101": PRESUMED_AT + 2.5}}, id="not this one"),
        pytest.param(
            {"histories": {1: [line("PRESUME_ABSENT", PRESUMED_AT, applied=False)]}}, id="the line was not applied"
        ),
        pytest.param({"intents": (Intent("kp", Kind.CHASE, ACCOUNT, {}, plan=PLAN),)}, id="an order that is no exit's"),
    ],
)
def test_what_is_not_proved_is_a_duplicate(changes: dict[str, Any]) -> None:
    """Without both records, of that very order and in that order, it counts as it always did."""
    verdict = judge(replace(LATE, **changes))
    assert any("filled SELL 130" in words for words in verdict.duplicates), verdict
    assert not verdict.late
    assert verdict.plans == {PLAN}


def test_what_is_too_much_besides_the_late_order_is_a_duplicate() -> None:
    """A third order of 65: the late one explains 65 of 195, not the 65 that are still beyond what was asked."""
    third = order(3)
    fill = trade(3)
    evidence = replace(
        LATE,
        ours=[*LATE.ours, third[0]],
        theirs=[*LATE.theirs, third[1]],
        our_trades=[*LATE.our_trades, fill[0]],
        their_trades=[*LATE.their_trades, fill[1]],
    )
    verdict = judge(evidence)
    assert any("filled SELL 195" in words for words in verdict.duplicates), verdict
    assert not verdict.late


def test_a_late_order_that_makes_nothing_too_much_is_not_worth_a_word() -> None:
    """What went in its place was cancelled: 65 of 65."""
    cancelled = order(2, filled_quantity=0)
    evidence = replace(
        LATE,
        ours=[FIRST[0], {**cancelled[0], "state": "CANCELLED"}],
        theirs=[FIRST[1], {**cancelled[1], "status": "CANCELLED"}],
        our_trades=LATE.our_trades[:1],
        their_trades=LATE.their_trades[:1],
    )
    verdict = judge(evidence)
    assert verdict.is_clean, verdict
    assert not verdict.late


def test_the_story_has_both_sides_in_the_order_of_the_clock() -> None:
    """Request, loss, presumption, acceptance: each with its moment, and not a line more than allowed."""
    lines = story(LATE, {PLAN})
    places = [
        next(at for at, words in enumerate(lines) if part in words)
        for part in ("#1 arrived, fault hold", "o1 LOST", "o1 PRESUME_ABSENT", "o1 accepted as 101", "#1 ended")
    ]
    assert places == sorted(places)
    assert "p40 of A: exit 1.2, DONE" in lines[0]
    short = story(LATE, {PLAN}, lines_max=4)
    assert len(short) == 4
    assert short[-1].startswith(f"… {len(lines) - 3} lines more")


def test_all_that_was_said_is_kept(tmp_path: Path) -> None:
    """Listings, histories and verdict as JSON, the exchange's log and the engines' last words as they were."""
    data, folder = tmp_path / "data", tmp_path / "kept" / "here"
    (data / "venues" / "v").mkdir(parents=True)
    (data / ENGINE_LOG).write_text("last words")
    (data / "venues" / "v" / LOG).write_text("{}\n")
    keep(LATE, judge(LATE), data=data, folder=folder)
    told = json.loads((folder / EVIDENCE).read_text())
    assert told["ours"] == LATE.ours
    assert told["histories"]["1"] == GIVEN_UP
    assert told["intents"][0]["plan"] == PLAN
    assert len(told["verdict"]["late"]) == 1
    assert (folder / ENGINE_LOG).read_text() == "last words"
    assert (folder / LOG).read_text() == "{}\n"


class TwoPages(Exchange):
    """An exchange that tells of an order twice and then is gone."""

    def __init__(self) -> None:
        self._pages = [PRESUMED_AT, PRESUMED_AT + 5]

    async def events(self, after: int, wait: float) -> dict[str, Any]:
        """One acceptance a page."""
        del wait
        if not self._pages:
            raise RuntimeError("told everything")
        event = {"seq": after + 1, "at": self._pages.pop(0), "what": "accepted", "account": "A", "order_id": "101"}
        return {"events": [event], "last": after + 1}


async def test_the_first_word_of_an_acceptance_counts() -> None:
    """An exchange that tells of an old order again does not make it later than it was."""
    watch = Watch(TwoPages())
    with pytest.raises(RuntimeError, match="told everything"):
        await watch.run()
    assert watch.accepted_at == {"A 101": PRESUMED_AT}


class Bench(Exchange):
    """An exchange that only remembers what was asked of its bench."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def clear_faults(self) -> None:
        """No more faults."""
        self.asked.append("clear")

    async def plan_faults(self, seed: int, rates: dict[str, Any]) -> None:
        """Draw from now on."""
        self.asked.append(f"plan {seed} of {len(rates) > 0}")


async def test_a_gate_that_nobody_waits_at_is_taken_back_and_chance_goes_on() -> None:
    """After a shot that was missed nothing of it is left at the exchange; after the end nothing is drawn any more."""
    bench = Bench()
    keeper = FaultKeeper(bench, Plan(orders=1, kills=0, seed=7), Tally())
    await keeper.renew()
    await keeper.end()
    await keeper.renew()
    assert bench.asked == ["clear", "plan 7001 of True", "clear", "clear"]
