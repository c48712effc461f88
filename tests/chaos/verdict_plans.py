"""The count of plans: one for each key, over in the end, and never more filled than was asked for.

An exit is a goal: it goes on without an order that was presumed absent. When the exchange accepts that one after all,
later than the window in which it was looked for, both may fill; the product can only alarm, and take back what rests.
Such an order is told apart by two records that do not know of each other: the exchange's own event of the acceptance,
and the journal's line of the presumption, both by the clock of this machine. What they do not prove is a duplicate.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from tests.chaos.evidence import Evidence, Row, Verdict, at
from tests.chaos.intents import PLANS, WHOLE, Intent, Kind, Lines

OVER = frozenset({"DONE", "CANCELLED", "FAILED", "DROPPED"})
KEY = re.compile(r"p(\d+)/")
STOPS = frozenset({"SL", "SL-M"})
PRESUMED = "PRESUME_ABSENT"
KEPT_MAX = 900_000_000_000_000
"""From here on the numbers of exits that were begun while the database was away, which end with the engine."""


class LateOrder(NamedTuple):
    """An order of a plan that the exchange accepted after it had been presumed absent."""

    number: int
    """Of the order."""
    line: tuple[str, str, str]
    """Contract, product and side."""
    units: int
    """Filled."""
    late_s: float
    """Seconds between the presumption and the acceptance."""


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
    late = _accepted_late(evidence)
    by_key = {intent.key: intent for intent in evidence.intents}
    for number, record in records.items():
        own = by_key.get(record["idempotency_key"])
        if own is not None:
            _judge_fills(own, record, filled.get(number, {}), stops, verdict, late=late.get(number, []))
    for number in filled.keys() - records.keys():
        if number < KEPT_MAX:
            verdict.unexplained.append(f"p{number} has fills and is not listed")


def _filled(evidence: Evidence) -> dict[int, Lines]:
    """What the orders of each plan have filled, as the exchange tells it."""
    found: defaultdict[int, Counter[tuple[str, str, str]]] = defaultdict(Counter)
    for number, _, row in _orders_of_plans(evidence):
        found[number][_line(row)] += int(row["filled_quantity"])
    return {number: dict(lines) for number, lines in found.items()}


def _orders_of_plans(evidence: Evidence) -> Iterator[tuple[int, Row, Row]]:
    """Each order of a plan that the exchange has: the plan's number, our row and theirs."""
    theirs = {at(row, row["order_id"]): row for row in evidence.theirs}
    for order in evidence.ours:
        match = KEY.match(order.get("idempotency_key") or "")
        row = theirs.get(at(order, order.get("broker_order_id")))
        if match is not None and row is not None:
            yield int(match[1]), order, row


def _line(row: Row) -> tuple[str, str, str]:
    return row["tradingsymbol"], row["product"], row["transaction_type"]


def _accepted_late(evidence: Evidence) -> dict[int, list[LateOrder]]:
    """By plan, the orders that have filled and were provably accepted after they had been presumed absent."""
    found: defaultdict[int, list[LateOrder]] = defaultdict(list)
    for plan, order, row in _orders_of_plans(evidence):
        presumed = presumed_at(evidence.histories.get(int(order["number"]), []))
        accepted = evidence.accepted_at.get(at(row, row["order_id"]))
        units = int(row["filled_quantity"])
        if units and presumed is not None and accepted is not None and accepted > presumed:
            found[plan].append(LateOrder(int(order["number"]), _line(row), units, accepted - presumed))
    return found


def presumed_at(history: list[Row]) -> float | None:
    """When the journal says that an order was first presumed absent, epoch seconds of this machine; ``None``: never."""
    moments = [
        datetime.fromisoformat(line["wall_at"]).timestamp()
        for line in history
        if line["trigger"] == PRESUMED and line["applied"] and line.get("wall_at")
    ]
    return min(moments, default=None)


def _filled_stops(evidence: Evidence) -> Counter[tuple[str, str, str, str]]:
    """What stops have filled, by account and line: an exit takes back what one has taken beside it."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    for row in evidence.theirs:
        if row.get("order_type") in STOPS:
            name = (row.get("account", ""), row["tradingsymbol"], row["product"], row["transaction_type"])
            found[name] += int(row["filled_quantity"])
    return found


def _judge_fills(
    intent: Intent,
    record: Row,
    filled: Lines,
    stops: Counter[tuple[str, str, str, str]],
    verdict: Verdict,
    *,
    late: list[LateOrder],
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
        if units <= most:
            continue
        words = f"{name} filled {side} {units} {symbol} {product}, at most {most} was asked for"
        verdict.plans.add(int(record["number"]))
        here = [order for order in late if order.line == line] if intent.kind is Kind.EXIT else []
        if here and units - sum(order.units for order in here) <= most:
            verdict.late += [
                f"{words}: o{order.number} with {order.units} was accepted {order.late_s:.3f} s after it had been "
                "presumed absent"
                for order in here
            ]
        else:
            verdict.duplicates.append(words)
    total, wanted = sum(filled.values()), sum(asked.values())
    if intent.kind in WHOLE and record["state"] == "DONE" and total != wanted:
        verdict.plans.add(int(record["number"]))
        verdict.lost.append(f"{name} is DONE and filled {total} of {wanted}")


def _goals(record: Row) -> Lines:
    """What an exit may trade: what was to go when it began, on the side that takes it off."""
    lines: Counter[tuple[str, str, str]] = Counter()
    for goal in record["spec"]["goals"]:
        side = "SELL" if goal["signed_quantity"] > 0 else "BUY"
        lines[goal["instrument"]["tradingsymbol"], goal["product"], side] += abs(goal["signed_quantity"])
    return dict(lines)
