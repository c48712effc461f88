"""The count of the chaos run: it finds what is wrong, so that its zeros mean something."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.chaos.evidence import Evidence
from tests.chaos.exchange import effective_posts
from tests.chaos.verdict import judge

OURS: dict[str, Any] = {
    "number": 1,
    "tag": "WSA",
    "state": "COMPLETE",
    "broker_order_id": "11",
    "filled_quantity": 65,
    "idempotency_key": "k1",
    "message": "",
}
THEIRS: dict[str, Any] = {"order_id": "11", "tag": "WSA", "status": "COMPLETE", "filled_quantity": 65}
OUR_TRADE: dict[str, Any] = {
    "broker_order_id": "11",
    "trade_id": "t1",
    "price": "105.05",
    "quantity": 65,
    "side": "BUY",
}
THEIR_TRADE: dict[str, Any] = {
    "order_id": "11",
    "trade_id": "t1",
    "average_price": 105.05,
    "quantity": 65,
    "transaction_type": "BUY",
}
LEG: dict[str, Any] = {"instrument": {"tradingsymbol": "N"}, "product": "NRML", "holding": {"signed_quantity": 65}}
CLEAN = Evidence(
    ours=[OURS],
    our_trades=[OUR_TRADE],
    theirs=[THEIRS],
    their_trades=[THEIR_TRADE],
    posts_by_tag={"WSA": 1},
    their_net=[{"tradingsymbol": "N", "product": "NRML", "quantity": 65}],
    our_legs=[LEG],
    promised={"k1": 1},
    refused=frozenset(),
)
ABSENT = {**OURS, "state": "PRESUMED_ABSENT", "broker_order_id": None, "filled_quantity": 0, "message": "not found"}


def test_agreement_is_clean() -> None:
    """Nothing to say."""
    assert judge(CLEAN).is_clean


@pytest.mark.parametrize(
    ("changes", "where", "words"),
    [
        ({"theirs": [THEIRS, {**THEIRS, "order_id": "12"}]}, "duplicates", "tag WSA made 2 orders"),
        ({"posts_by_tag": {"WSA": 2}}, "duplicates", "was posted 2 times"),
        ({"ours": [OURS, {**OURS, "number": 2, "broker_order_id": "12"}]}, "duplicates", "key k1 made 2 orders"),
        ({"ours": [OURS, {**OURS, "number": 2, "idempotency_key": None}]}, "duplicates", "11 is 2 orders here"),
        ({"our_trades": [OUR_TRADE, OUR_TRADE]}, "duplicates", "is booked 2 times"),
        ({"ours": []}, "lost", "is not known here"),
        ({"theirs": []}, "lost", "is not at the exchange"),
        ({"theirs": [{**THEIRS, "status": "OPEN"}]}, "lost", "OPEN 65 there"),
        ({"theirs": [{**THEIRS, "filled_quantity": 130}]}, "lost", "COMPLETE 130 there"),
        ({"our_trades": []}, "lost", "is not booked"),
        ({"their_trades": []}, "unexplained", "is not at the exchange"),
        ({"our_trades": [{**OUR_TRADE, "price": "105.00"}]}, "unexplained", "differs"),
        ({"our_trades": [{**OUR_TRADE, "side": "SELL"}]}, "unexplained", "differs"),
        ({"ours": [ABSENT]}, "lost", "its tag is at the exchange"),
        ({"ours": [{**ABSENT, "message": ""}], "theirs": []}, "unexplained", "without an id or a reason"),
        ({"ours": [{**OURS, "state": "UNKNOWN"}]}, "unexplained", "still UNKNOWN"),
        ({"posts_by_tag": {"WSA": 1, "WSB": 1}}, "unexplained", "sent tag WSB"),
        ({"theirs": [{**THEIRS, "tag": None}]}, "unexplained", "carries no tag of ours"),
        ({"our_legs": []}, "unexplained", "N NRML: 0 here, 65 at the exchange"),
        ({"promised": {"k1": 2}}, "lost", "was promised o2 and made o1"),
        ({"promised": {"k9": 9}}, "lost", "has no order"),
        ({"refused": frozenset({"k1"})}, "unexplained", "was refused and made o1"),
        ({"accounts": {"k1": "PR0002"}}, "unexplained", "was given to PR0002 and went to None"),
        ({"mismatches": ("o1 is gone",)}, "unexplained", "the program itself finds: o1 is gone"),
        ({"broken": ("k1 was promised o1 and then o2",)}, "duplicates", "and then o2"),
        ({"theirs": [{**THEIRS, "account": "PR0002"}]}, "lost", "PR0002 11 (COMPLETE, tag WSA) is not known here"),
    ],
)
def test_every_kind_of_disagreement_is_found(changes: dict[str, Any], where: str, words: str) -> None:
    """Each is counted under its name with its words."""
    verdict = judge(replace(CLEAN, **changes))
    assert any(words in sentence for sentence in getattr(verdict, where)), verdict


def test_only_a_refusal_for_speed_allows_a_second_post() -> None:
    """A tag that was refused for speed counts once it is posted again; any other second post counts as a second."""
    too_fast = {"method": "POST", "tag": "WSA", "outcome": "refused", "status": 429}
    dropped = {"method": "POST", "tag": "WSB", "outcome": "answer_dropped"}
    taken = {"method": "POST", "tag": "WSA", "outcome": "answered", "status": 200}
    changed = {"method": "PUT", "tag": "WSA", "outcome": "answered", "status": 200}
    rows: list[dict[str, Any]] = [
        too_fast,
        taken,
        changed,
        dropped,
        {**taken, "tag": "WSB"},
        {**too_fast, "tag": "WSC"},
    ]
    assert effective_posts(rows) == {"WSA": 1, "WSB": 2, "WSC": 0}
