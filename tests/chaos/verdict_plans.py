"""The count of plans: one for each key, over in the end, and never more filled than was asked for."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

from tests.chaos.evidence import Evidence, Row, Verdict, at
from tests.chaos.intents import PLANS, WHOLE, Intent, Kind, Lines

OVER = frozenset({"DONE", "CANCELLED", "FAILED", "DROPPED"})
KEY = re.compile(r"p(\d+)/")
STOPS = frozenset({"SL", "SL-M"})
KEPT_MAX = 900_000_000_000_000
"""From here on the numbers of exits that were begun while the database was away, which end with the engine."""


def judge_plans(evidence: Evidence, verdict: Verdict) -> None:
    """Count."""
    records = {int(record["number"]): record for record in evidence.our_plans}
    keys = Counter(record["idempotency_key"] for record in evidence.our_plans)
    verdict.duplicates += [f"key {key} made {count} plans" for key, count in keys.items() if count > 1]
    verdict.unexplained += [
        f"p{number} is still {record['state']}" for number, record in records.items() if record["state"] not in OVER
    ]
    intents = {intent.plan: intent for intent in evidence.intents if intent.kind in PLANS and intent.plan is not None}
    for intent in evidence.intents:
        if intent.kind in PLANS:
            verdict.duplicates += intent.broken
    for number, intent in intents.items():
        record = records.get(number)
        if record is None and number < KEPT_MAX:
            verdict.lost.append(f"{intent.kind} {intent.key} was promised p{number}, which is not listed")
        elif record is not None and record["idempotency_key"] != intent.key and intent.kind is not Kind.EXIT:
            verdict.unexplained.append(f"{intent.key} was promised p{number}, which is {record['idempotency_key']}")
    known = {intent.key for intent in evidence.intents}
    for record in records.values():
        if record["idempotency_key"] not in known:
            verdict.unexplained.append(f"p{record['number']} was never asked for: {record['sentence']}")
    filled = _filled(evidence)
    stops = _filled_stops(evidence)
    by_key = {intent.key: intent for intent in evidence.intents}
    for number, record in records.items():
        own = by_key.get(record["idempotency_key"])
        if own is not None:
            _judge_fills(own, record, filled.get(number, {}), stops, verdict)
    for number in filled.keys() - records.keys():
        if number < KEPT_MAX:
            verdict.unexplained.append(f"p{number} has fills and is not listed")


def _filled(evidence: Evidence) -> dict[int, Lines]:
    """What the orders of each plan have filled, as the exchange tells it."""
    theirs = {at(row, row["order_id"]): row for row in evidence.theirs}
    found: defaultdict[int, Counter[tuple[str, str, str]]] = defaultdict(Counter)
    for order in evidence.ours:
        match = KEY.match(order.get("idempotency_key") or "")
        row = theirs.get(at(order, order.get("broker_order_id")))
        if match is not None and row is not None:
            name = (row["tradingsymbol"], row["product"], row["transaction_type"])
            found[int(match[1])][name] += int(row["filled_quantity"])
    return {number: dict(lines) for number, lines in found.items()}


def _filled_stops(evidence: Evidence) -> Counter[tuple[str, str, str, str]]:
    """What stops have filled, by account and line: an exit takes back what one has taken beside it."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    for row in evidence.theirs:
        if row.get("order_type") in STOPS:
            name = (row.get("account", ""), row["tradingsymbol"], row["product"], row["transaction_type"])
            found[name] += int(row["filled_quantity"])
    return found


def _judge_fills(
    intent: Intent, record: Row, filled: Lines, stops: Counter[tuple[str, str, str, str]], verdict: Verdict
) -> None:
    asked = _goals(record) if intent.kind is Kind.EXIT else intent.lines
    name = f"{intent.kind} p{record['number']}"
    for line, units in filled.items():
        symbol, product, side = line
        most = asked.get(line, 0)
        other = (symbol, product, "SELL" if side == "BUY" else "BUY")
        if intent.kind is Kind.BASKET:
            # It may take off again what it has brought on, and no more.
            most = most or filled.get(other, 0)
        elif intent.kind is Kind.EXIT and other in asked:
            # It may take back what it has taken too much, and what a stop has taken beside it.
            beyond = max(0, filled.get(other, 0) - asked[other])
            most = most or beyond + stops[intent.account, *other]
        if units > most:
            verdict.duplicates.append(f"{name} filled {side} {units} {symbol} {product}, at most {most} was asked for")
    total, wanted = sum(filled.values()), sum(asked.values())
    if intent.kind in WHOLE and record["state"] == "DONE" and total != wanted:
        verdict.lost.append(f"{name} is DONE and filled {total} of {wanted}")


def _goals(record: Row) -> Lines:
    """What an exit may trade: what was to go when it began, on the side that takes it off."""
    lines: Counter[tuple[str, str, str]] = Counter()
    for goal in record["spec"]["goals"]:
        side = "SELL" if goal["signed_quantity"] > 0 else "BUY"
        lines[goal["instrument"]["tradingsymbol"], goal["product"], side] += abs(goal["signed_quantity"])
    return dict(lines)
