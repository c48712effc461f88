"""The count of triggers, conversions and plans of the chaos run: it finds what is wrong with each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from engine.practice.faults import FaultKind
from tests.chaos.evidence import Evidence
from tests.chaos.exchange import effective_requests
from tests.chaos.faults import APART, rates
from tests.chaos.intents import Intent, Kind, asked_content
from tests.chaos.plan import Plan
from tests.chaos.verdict import judge

ACCOUNT = "A"
CONTRACT: dict[str, Any] = {"exchange": "NFO", "tradingsymbol": "N"}
ORDER: dict[str, Any] = {"trigger_price": "90.00", "side": "SELL", "quantity": 65, "price": "89.00"}
REQUEST: dict[str, Any] = {"instrument": CONTRACT, "kind": "single", "orders": [ORDER]}
THEIR_TRIGGER: dict[str, Any] = {
    "id": 7,
    "account": ACCOUNT,
    "type": "single",
    "status": "triggered",
    "condition": {"tradingsymbol": "N", "trigger_values": [90.0]},
    "orders": [
        {
            "transaction_type": "SELL",
            "quantity": 65,
            "price": 89.0,
            "result": {"order_result": {"order_id": "11"}},
        }
    ],
}
OUR_TRIGGER: dict[str, Any] = {
    "trigger_id": 7,
    "account": ACCOUNT,
    "status": "triggered",
    "request": {**REQUEST, "orders": [{**ORDER, "result_order_id": "11"}]},
}
MADE: dict[str, Any] = {
    "account": ACCOUNT,
    "order_id": "11",
    "tag": None,
    "status": "COMPLETE",
    "filled_quantity": 65,
    "tradingsymbol": "N",
    "product": "NRML",
    "transaction_type": "SELL",
}
OURS_MADE: dict[str, Any] = {
    "account": ACCOUNT,
    "number": 1,
    "tag": None,
    "state": "COMPLETE",
    "broker_order_id": "11",
    "filled_quantity": 65,
    "idempotency_key": None,
    "message": "",
}
PIECE: dict[str, Any] = {
    **OURS_MADE,
    "number": 2,
    "tag": "WSB",
    "broker_order_id": "12",
    "idempotency_key": "p3/piece0",
}
THEIR_PIECE: dict[str, Any] = {**MADE, "order_id": "12", "tag": "WSB", "transaction_type": "BUY"}
RECORD: dict[str, Any] = {
    "number": 3,
    "idempotency_key": "kp",
    "state": "DONE",
    "sentence": "an iceberg",
    "spec": {"goals": [{"instrument": CONTRACT, "product": "NRML", "signed_quantity": -65}]},
}


def trade(order_id: str, side: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A fill of 65 units: ours, and the exchange's."""
    ours = {"account": ACCOUNT, "broker_order_id": order_id, "trade_id": "t", "price": "89", "quantity": 65}
    theirs = {"account": ACCOUNT, "order_id": order_id, "trade_id": "t", "average_price": 89.0, "quantity": 65}
    place = {"tradingsymbol": "N", "product": "NRML", "transaction_type": side}
    return {**ours, "side": side}, {**theirs, **place}


SOLD, BOUGHT = trade("11", "SELL"), trade("12", "BUY")


def trigger(**fields: Any) -> Intent:
    """A trigger that was asked for and is done."""
    known = {"trigger": 7, "state": "DONE", "is_journalled": True, "contents": {asked_content(REQUEST)}}
    return Intent("kt", Kind.TRIGGER, ACCOUNT, {"request": REQUEST}, **{**known, **fields})


def conversion(**fields: Any) -> Intent:
    """One of 65 bought units from NRML to MIS."""
    command = {"instrument": CONTRACT, "side": "BUY", "quantity": 65, "from_product": "NRML", "to_product": "MIS"}
    return Intent("kc", Kind.CONVERSION, ACCOUNT, command, **{"state": "DONE", "is_journalled": True, **fields})


def plan(kind: Kind = Kind.ICEBERG, **fields: Any) -> Intent:
    """A plan for 65 bought units."""
    return Intent("kp", kind, ACCOUNT, {}, **{"plan": 3, "lines": {("N", "NRML", "BUY"): 65}, **fields})


CLEAN = Evidence(
    ours=[OURS_MADE, PIECE],
    our_trades=[SOLD[0], BOUGHT[0]],
    theirs=[MADE, THEIR_PIECE],
    their_trades=[SOLD[1], BOUGHT[1]],
    posts_by_tag={"WSB": 1},
    # The 65 that were sold and the 65 that were bought are none; converted were 65 of the bought ones.
    their_net=[
        {"account": ACCOUNT, "tradingsymbol": "N", "product": "NRML", "quantity": -65},
        {"account": ACCOUNT, "tradingsymbol": "N", "product": "MIS", "quantity": 65},
    ],
    our_legs=[
        {"account": ACCOUNT, "instrument": CONTRACT, "product": "NRML", "holding": {"signed_quantity": -65}},
        {"account": ACCOUNT, "instrument": CONTRACT, "product": "MIS", "holding": {"signed_quantity": 65}},
    ],
    promised={},
    refused=frozenset(),
    intents=(trigger(), conversion(), plan()),
    our_plans=[RECORD],
    our_triggers=[OUR_TRIGGER],
    their_triggers=[THEIR_TRIGGER],
    trigger_posts={ACCOUNT: 1},
    conversion_puts={ACCOUNT: 1},
)
ABSENT = trigger(state="PRESUMED_ABSENT", trigger=None)
OTHER_SAYING = {**THEIR_TRIGGER, "condition": {"tradingsymbol": "N", "trigger_values": [91.0]}}


def test_agreement_is_clean() -> None:
    """A trigger that fired, a conversion and a plan that agree on both sides."""
    assert judge(CLEAN).is_clean, judge(CLEAN)


@pytest.mark.parametrize(
    ("changes", "where", "words"),
    [
        ({"their_triggers": [THEIR_TRIGGER, {**THEIR_TRIGGER, "id": 8}]}, "duplicates", "A 8 stands beside"),
        ({"intents": (ABSENT, conversion(), plan())}, "duplicates", "A 7 stands beside"),
        ({"their_triggers": [THEIR_TRIGGER, {**OTHER_SAYING, "id": 8}]}, "unexplained", "A 8 was never asked for"),
        ({"their_triggers": []}, "lost", "trigger A 7 of kt is not at the exchange"),
        ({"their_triggers": [OTHER_SAYING]}, "unexplained", "asked was"),
        ({"trigger_posts": {ACCOUNT: 2}}, "duplicates", "2 triggers were posted for A, 1 were asked for"),
        ({"intents": (trigger(state="UNKNOWN"), conversion(), plan())}, "unexplained", "gtt kt is still UNKNOWN"),
        ({"intents": (trigger(is_deleted=True), conversion(), plan())}, "unexplained", "taken back and is triggered"),
        ({"intents": (trigger(broken=["kt was two"]), conversion(), plan())}, "duplicates", "kt was two"),
        ({"our_triggers": []}, "lost", "trigger A 7 is not listed here"),
        ({"our_triggers": [OUR_TRIGGER, OUR_TRIGGER]}, "duplicates", "trigger A 7 is listed twice here"),
        ({"our_triggers": [{**OUR_TRIGGER, "status": "active"}]}, "unexplained", "trigger A 7 differs"),
        ({"our_triggers": [{**OUR_TRIGGER, "status": "unknown"}]}, "unexplained", "a trigger of A is still unknown"),
        ({"our_triggers": [{**OUR_TRIGGER, "request": REQUEST | {"orders": [{**ORDER, "result_order_id": None}]}}]},
         "lost", "here it made set()"),
        ({"conversion_puts": {ACCOUNT: 2}}, "duplicates", "2 conversions were sent for A, 1 were asked for"),
        ({"intents": (trigger(), conversion(state="REFUSED"), plan())}, "unexplained", "65 units were converted, 0"),
        ({"their_net": []}, "unexplained", "A N MIS: 0 units were converted, 65 were asked for"),
        ({"intents": (trigger(), conversion(state="SENDING"), plan())}, "unexplained", "kc is still SENDING"),
        ({"our_plans": []}, "lost", "kp was promised p3, which is not listed"),
        ({"our_plans": [RECORD, {**RECORD, "number": 4}]}, "duplicates", "key kp made 2 plans"),
        ({"our_plans": [RECORD, {**RECORD, "number": 4, "idempotency_key": "?"}]}, "unexplained", "p4 was never asked"),
        ({"our_plans": [{**RECORD, "state": "RUNNING"}]}, "unexplained", "p3 is still RUNNING"),
        ({"our_plans": [{**RECORD, "idempotency_key": "k9"}]}, "unexplained", "was promised p3, which is k9"),
        ({"intents": (trigger(), conversion(), plan(lines={}))}, "duplicates", "p3 filled BUY 65 N NRML, at most 0"),
        ({"intents": (trigger(), conversion(), plan(lines={("N", "NRML", "BUY"): 130}))}, "lost", "filled 65 of 130"),
        ({"intents": (trigger(), conversion(), plan(broken=["p3 and then p4"]))}, "duplicates", "p3 and then p4"),
        ({"theirs": [{**MADE, "order_id": "13"}, THEIR_PIECE]}, "unexplained", "13 carries no tag of ours"),
    ],
)  # fmt: skip
def test_every_kind_of_disagreement_is_found(changes: dict[str, Any], where: str, words: str) -> None:
    """Each is counted under its name with its words."""
    verdict = judge(replace(CLEAN, **changes))
    assert any(words in sentence for sentence in getattr(verdict, where)), verdict


def test_an_exit_may_trade_what_was_to_go_and_no_more() -> None:
    """Its record says how much; more is a duplicate, and so is the other side."""
    exits = replace(CLEAN, intents=(trigger(), conversion(), plan(Kind.EXIT, lines={})))
    assert judge(exits).is_clean, judge(exits)
    goal = {"instrument": CONTRACT, "product": "NRML", "signed_quantity": 65}
    turned = replace(exits, our_plans=[{**RECORD, "spec": {"goals": [goal]}}])
    assert "at most 0 was asked for" in judge(turned).duplicates[0]


def test_an_exit_takes_back_what_a_stop_has_taken_beside_it() -> None:
    """As much as stops have filled on its side, and no more."""
    back = {**PIECE, "number": 3, "tag": "WSC", "broker_order_id": "13", "idempotency_key": "p3/b0/0"}
    sold = {**THEIR_PIECE, "order_id": "13", "tag": "WSC", "transaction_type": "SELL"}
    stop = {**THEIR_PIECE, "order_id": "14", "order_type": "SL", "tag": "WSD"}
    exits = replace(
        CLEAN,
        intents=(trigger(), conversion(), plan(Kind.EXIT, lines={})),
        ours=[*CLEAN.ours, back],
        theirs=[*CLEAN.theirs, sold],
    )
    assert "filled SELL 65 N NRML, at most 0" in judge(exits).duplicates[0]
    assert not judge(replace(exits, theirs=[*exits.theirs, stop])).duplicates


def test_a_basket_may_take_off_what_it_brought_on() -> None:
    """Bought and sold again is its unwinding; sold without having been bought is not."""
    sold = {**PIECE, "number": 3, "tag": "WSC", "broker_order_id": "13", "idempotency_key": "p3/unwind"}
    back = {**THEIR_PIECE, "order_id": "13", "tag": "WSC", "transaction_type": "SELL"}
    basket = replace(
        CLEAN,
        intents=(trigger(), conversion(), plan(Kind.BASKET)),
        ours=[*CLEAN.ours, sold],
        theirs=[*CLEAN.theirs, back],
    )
    assert not judge(basket).duplicates
    twice = replace(basket, theirs=[*CLEAN.theirs, {**back, "filled_quantity": 130}])
    assert "filled SELL 130 N NRML, at most 65" in judge(twice).duplicates[0]


def test_orders_of_another_program_are_explained_by_their_tags() -> None:
    """Only by tags that were really given."""
    outside = replace(CLEAN, theirs=[{**MADE, "tag": "out0"}, THEIR_PIECE], their_triggers=[], our_triggers=[])
    assert any("11 carries no tag of ours" in words for words in judge(outside).unexplained)
    known = replace(outside, outside_tags=frozenset({"out0"}))
    assert not any("carries no tag" in words for words in judge(known).unexplained)


def test_only_a_refusal_for_speed_is_no_request() -> None:
    """Requests of a kind are counted by account; one that was refused for speed had no effect."""
    row = {"method": "POST", "path": "/gtt/triggers", "account": ACCOUNT, "outcome": "answered", "status": 200}
    rows = [
        row,
        {**row, "outcome": "refused", "status": 429},
        {**row, "method": "PUT"},
        {**row, "path": "/orders/regular"},
    ]
    assert effective_requests(rows, "POST", "/gtt/") == {ACCOUNT: 1}


def test_every_fault_the_exchange_knows_is_drawn_or_aimed() -> None:
    """A kind that is added to the exchange has to be added to the run."""
    assert set(rates(Plan(orders=1, kills=1, seed=1))) | APART == set(FaultKind)
