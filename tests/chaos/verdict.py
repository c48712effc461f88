"""The count: what the exchange has against what the program says, from listings alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

Row = dict[str, Any]

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


@dataclass
class Verdict:
    """What does not agree, in words."""

    duplicates: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    unexplained: list[str] = field(default_factory=list)

    @property
    def is_clean(self) -> bool:
        """Whether everything agrees."""
        return not (self.duplicates or self.lost or self.unexplained)


@dataclass(frozen=True)
class Evidence:
    """Listings of both sides, taken when nothing was moving any more."""

    ours: list[Row]
    our_trades: list[Row]
    theirs: list[Row]
    their_trades: list[Row]
    posts_by_tag: dict[str, int]
    """Placements that may have made an order: all that arrived but those refused for speed, in so many words."""
    their_net: list[Row]
    our_legs: list[Row]
    """Legs of all strategies."""
    promised: dict[str, int]
    """Idempotency key → order number of its receipt."""
    refused: frozenset[str]
    """Keys whose orders were refused."""
    accounts: dict[str, str] = field(default_factory=dict)
    """Idempotency key → account it was given to."""
    mismatches: tuple[str, ...] = ()
    """What the program itself cannot explain."""
    broken: tuple[str, ...] = ()
    """Receipts that contradict earlier ones of the same key."""


def judge(evidence: Evidence) -> Verdict:
    """Count."""
    verdict = Verdict()
    _count_duplicates(evidence, verdict)
    _compare_orders(evidence, verdict)
    _compare_trades(evidence, verdict)
    _compare_positions(evidence, verdict)
    _keep_promises(evidence, verdict)
    return verdict


def _count_duplicates(evidence: Evidence, verdict: Verdict) -> None:
    made = Counter(row["tag"] for row in evidence.theirs if str(row.get("tag") or "").startswith(OUR_PREFIX))
    verdict.duplicates += [f"tag {tag} made {count} orders" for tag, count in made.items() if count > 1]
    verdict.duplicates += [
        f"tag {tag} was posted {count} times" for tag, count in evidence.posts_by_tag.items() if count > 1
    ]
    keys = Counter(row["idempotency_key"] for row in evidence.ours if row.get("idempotency_key"))
    verdict.duplicates += [f"key {key} made {count} orders" for key, count in keys.items() if count > 1]
    ids = Counter(_at(row, row["broker_order_id"]) for row in evidence.ours if row.get("broker_order_id"))
    verdict.duplicates += [f"{order_id} is {count} orders here" for order_id, count in ids.items() if count > 1]
    fills = Counter(_trade_key(row, row["broker_order_id"]) for row in evidence.our_trades)
    verdict.duplicates += [f"fill {key} is booked {count} times" for key, count in fills.items() if count > 1]


def _compare_orders(evidence: Evidence, verdict: Verdict) -> None:
    ours = {_at(row, row["broker_order_id"]): row for row in evidence.ours if row.get("broker_order_id")}
    theirs = {_at(row, row["order_id"]): row for row in evidence.theirs}
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
    for row in evidence.theirs:
        if not str(row.get("tag") or "").startswith(OUR_PREFIX):
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
    theirs: defaultdict[str, int] = defaultdict(int)
    ours: defaultdict[str, int] = defaultdict(int)
    for row in evidence.their_net:
        theirs[_at(row, row["tradingsymbol"])] += int(row["quantity"])
    for leg in evidence.our_legs:
        ours[_at(leg, leg["instrument"]["tradingsymbol"])] += int(leg["holding"]["signed_quantity"])
    for name in {*theirs, *ours}:
        if theirs[name] != ours[name]:
            verdict.unexplained.append(f"{name}: {ours[name]} here, {theirs[name]} at the exchange")


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
    return _at(row, f"{order_id}/{row['trade_id']}")


def _at(row: Row, name: object) -> str:
    """A name with its account: each account counts its own orders."""
    return f"{row.get('account', '')} {name}".strip()
