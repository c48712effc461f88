"""The count: what the exchange has against what the program says, from listings alone."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

from tests.chaos.evidence import Evidence, Row, Verdict, at, our_positions, their_positions
from tests.chaos.intents import made_orders
from tests.chaos.verdict_plans import judge_plans
from tests.chaos.verdict_standing import judge_conversions, judge_triggers

SETTLED = {"OPEN", "TRIGGER_PENDING", "COMPLETE", "REJECTED", "CANCELLED", "NOT_SENT", "PRESUMED_ABSENT"}
NEVER_AT_BROKER = {"NOT_SENT", "REJECTED", "PRESUMED_ABSENT"}
STATES = {
    "COMPLETE": "COMPLETE",
    "CANCELLED": "CANCELLED",
    "REJECTED": "REJECTED",
    "OPEN": "OPEN",
    "TRIGGER PENDING": "TRIGGER_PENDING",
}
OUR_PREFIX = "WS"


def judge(evidence: Evidence) -> Verdict:
    """Count."""
    verdict = Verdict()
    _count_duplicates(evidence, verdict)
    _compare_orders(evidence, verdict)
    _compare_trades(evidence, verdict)
    _compare_positions(evidence, verdict)
    _keep_promises(evidence, verdict)
    judge_triggers(evidence, verdict)
    judge_conversions(evidence, verdict)
    judge_plans(evidence, verdict)
    return verdict


def _count_duplicates(evidence: Evidence, verdict: Verdict) -> None:
    made = Counter(row["tag"] for row in evidence.theirs if str(row.get("tag") or "").startswith(OUR_PREFIX))
    verdict.duplicates += [f"tag {tag} made {count} orders" for tag, count in made.items() if count > 1]
    verdict.duplicates += [
        f"tag {tag} was posted {count} times" for tag, count in evidence.posts_by_tag.items() if count > 1
    ]
    keys = Counter(row["idempotency_key"] for row in evidence.ours if row.get("idempotency_key"))
    verdict.duplicates += [f"key {key} made {count} orders" for key, count in keys.items() if count > 1]
    ids = Counter(at(row, row["broker_order_id"]) for row in evidence.ours if row.get("broker_order_id"))
    verdict.duplicates += [f"{order_id} is {count} orders here" for order_id, count in ids.items() if count > 1]
    fills = Counter(_trade_key(row, row["broker_order_id"]) for row in evidence.our_trades)
    verdict.duplicates += [f"fill {key} is booked {count} times" for key, count in fills.items() if count > 1]


def _compare_orders(evidence: Evidence, verdict: Verdict) -> None:
    ours = {at(row, row["broker_order_id"]): row for row in evidence.ours if row.get("broker_order_id")}
    theirs = {at(row, row["order_id"]): row for row in evidence.theirs}
    for order_id, row in theirs.items():
        known = ours.get(order_id)
        if known is None:
            verdict.lost.append(f"{order_id} ({row['status']}, tag {row.get('tag')}) is not known here")
            continue
        if STATES.get(row["status"]) != known["state"] or int(row["filled_quantity"]) != known["filled_quantity"]:
            verdict.lost.append(
                f"o{known['number']} is {known['state']} {known['filled_quantity']} here, "
                f"{row['status']} {row['filled_quantity']} there"
            )
        if known.get("tag") and known["tag"] != row.get("tag"):
            verdict.unexplained.append(f"o{known['number']} has tag {known['tag']} here and {row.get('tag')} there")
    verdict.lost += [
        f"o{row['number']} ({order_id}) is not at the exchange"
        for order_id, row in ours.items()
        if order_id not in theirs
    ]
    tags = {row["tag"]: row for row in evidence.ours if row.get("tag")}
    their_tags = {row.get("tag") for row in evidence.theirs}
    for row in evidence.ours:
        if row["state"] not in SETTLED:
            verdict.unexplained.append(f"o{row['number']} is still {row['state']}")
        if not row.get("broker_order_id"):
            if row["state"] not in NEVER_AT_BROKER or not row.get("message"):
                verdict.unexplained.append(f"o{row['number']} is {row['state']} without an id or a reason")
            if row.get("tag") in their_tags:
                verdict.lost.append(f"o{row['number']} is {row['state']} here and its tag is at the exchange")
    for tag in evidence.posts_by_tag:
        if tag.startswith(OUR_PREFIX) and tag not in tags:
            verdict.unexplained.append(f"the exchange was sent tag {tag}, no order here has it")
    made = {at(row, order_id) for row in evidence.their_triggers for order_id in made_orders(row)}
    for row in evidence.theirs:
        is_explained = at(row, row["order_id"]) in made or row.get("tag") in evidence.outside_tags
        if not is_explained and not str(row.get("tag") or "").startswith(OUR_PREFIX):
            verdict.unexplained.append(f"{row['order_id']} carries no tag of ours")


def _compare_trades(evidence: Evidence, verdict: Verdict) -> None:
    ours = {_trade_key(row, row["broker_order_id"]): row for row in evidence.our_trades}
    theirs = {_trade_key(row, row["order_id"]): row for row in evidence.their_trades}
    verdict.lost += [f"fill {key} is not booked" for key in theirs.keys() - ours.keys()]
    verdict.unexplained += [f"fill {key} is not at the exchange" for key in ours.keys() - theirs.keys()]
    for key in ours.keys() & theirs.keys():
        mine, other = ours[key], theirs[key]
        same_price = Decimal(str(mine["price"])) == Decimal(str(other["average_price"]))
        same = mine["quantity"] == int(other["quantity"]) and mine["side"] == other["transaction_type"]
        if not (same and same_price):
            verdict.unexplained.append(f"fill {key} differs: {mine} / {other}")


def _compare_positions(evidence: Evidence, verdict: Verdict) -> None:
    """By contract and product: a conversion that one side alone has made shows here."""
    theirs, ours = their_positions(evidence.their_net), our_positions(evidence.our_legs)
    for name in sorted({*theirs, *ours}):
        if theirs.get(name) != ours.get(name):
            verdict.unexplained.append(f"{name}: {ours.get(name, 0)} here, {theirs.get(name, 0)} at the exchange")


def _keep_promises(evidence: Evidence, verdict: Verdict) -> None:
    by_key = {row["idempotency_key"]: row for row in evidence.ours if row.get("idempotency_key")}
    for key, number in evidence.promised.items():
        row = by_key.get(key)
        if row is None:
            verdict.lost.append(f"key {key} was promised o{number} and has no order")
        elif row["number"] != number:
            verdict.lost.append(f"key {key} was promised o{number} and made o{row['number']}")
        elif (account := evidence.accounts.get(key)) is not None and row.get("account") != account:
            verdict.unexplained.append(f"key {key} was given to {account} and went to {row.get('account')}")
    verdict.duplicates += evidence.broken
    verdict.unexplained += [f"the program itself finds: {words}" for words in evidence.mismatches]
    verdict.unexplained += [
        f"key {key} was refused and made o{by_key[key]['number']}" for key in evidence.refused if key in by_key
    ]


def _trade_key(row: Row, order_id: object) -> str:
    return at(row, f"{order_id}/{row['trade_id']}")
