"""The count of triggers and conversions, which carry no tag: by what they say, by their keys, and by what is held."""

from __future__ import annotations

from collections import Counter, defaultdict

from tests.chaos.evidence import Evidence, Row, Verdict, at
from tests.chaos.intents import Intent, Kind, asked_content, made_orders, told_content

OURS_OPEN = frozenset({"unknown", "presumed absent"})
"""How the program lists a trigger that it has sent and not found."""
DELETED = "deleted"
FINISHED = frozenset({"DONE", "REFUSED", "NOT_SENT", "PRESUMED_ABSENT"})


def judge_triggers(evidence: Evidence, verdict: Verdict) -> None:
    """One trigger for each intent that was done, saying what was asked; none for any other."""
    intents = [intent for intent in evidence.intents if intent.kind is Kind.TRIGGER]
    theirs = {at(row, row["id"]): row for row in evidence.their_triggers}
    owners: defaultdict[str, list[Intent]] = defaultdict(list)
    for intent in intents:
        _judge_answers(intent, verdict)
        if intent.state != "DONE" or intent.trigger is None:
            continue
        name = _trigger_name(intent)
        owners[name].append(intent)
        row = theirs.get(name)
        if row is None:
            verdict.lost.append(f"trigger {name} of {intent.key} is not at the exchange")
        elif told_content(row) not in intent.contents:
            verdict.unexplained.append(f"trigger {name} says {told_content(row)}, asked was {intent.contents}")
        elif intent.is_deleted and row["status"] != DELETED:
            verdict.unexplained.append(f"trigger {name} was taken back and is {row['status']}")
    for name, several in owners.items():
        if len(several) > 1:
            verdict.unexplained.append(f"trigger {name} was promised to {[intent.key for intent in several]}")
    asked = {(intent.account, content) for intent in intents for content in intent.contents}
    for name, row in theirs.items():
        if name in owners:
            continue
        if (row.get("account", ""), told_content(row)) in asked:
            verdict.duplicates.append(f"trigger {name} stands beside the one that was asked for: {told_content(row)}")
        else:
            verdict.unexplained.append(f"trigger {name} was never asked for: {told_content(row)}")
    given = Counter(intent.account for intent in intents)
    verdict.duplicates += [
        f"{count} triggers were posted for {account}, {given[account]} were asked for"
        for account, count in evidence.trigger_posts.items()
        if count > given[account]
    ]
    _compare_listings(evidence, theirs, verdict)


def _compare_listings(evidence: Evidence, theirs: dict[str, Row], verdict: Verdict) -> None:
    ours: dict[str, Row] = {}
    for row in evidence.our_triggers:
        if row["status"] == "unknown":
            verdict.unexplained.append(
                f"a trigger of {row['account']} is still unknown: {asked_content(row['request'])}"
            )
        if row["status"] in OURS_OPEN:
            continue
        if at(row, row["trigger_id"]) in ours:
            verdict.duplicates.append(f"trigger {at(row, row['trigger_id'])} is listed twice here")
        ours[at(row, row["trigger_id"])] = row
    verdict.lost += [f"trigger {name} is not listed here" for name in theirs.keys() - ours.keys()]
    verdict.unexplained += [
        f"trigger {name} is listed here and not at the exchange" for name in ours.keys() - theirs.keys()
    ]
    for name in ours.keys() & theirs.keys():
        mine, other = ours[name], theirs[name]
        orders = {order["result_order_id"] for order in mine["request"]["orders"]} - {None}
        if mine["status"] != other["status"] or asked_content(mine["request"]) != told_content(other):
            verdict.unexplained.append(f"trigger {name} differs: {mine} / {other}")
        elif orders != made_orders(other):
            verdict.lost.append(f"trigger {name} made {made_orders(other)}, here it made {orders}")


def judge_conversions(evidence: Evidence, verdict: Verdict) -> None:
    """What the exchange holds in each product beyond its fills there is what was converted, once each."""
    intents = [intent for intent in evidence.intents if intent.kind is Kind.CONVERSION]
    wanted: defaultdict[str, int] = defaultdict(int)
    for intent in intents:
        _judge_answers(intent, verdict)
        if intent.state != "DONE":
            continue
        command = intent.command
        units = command["quantity"] * (1 if command["side"] == "BUY" else -1)
        symbol = command["instrument"]["tradingsymbol"]
        wanted[f"{intent.account} {symbol} {command['from_product']}"] -= units
        wanted[f"{intent.account} {symbol} {command['to_product']}"] += units
    moved: defaultdict[str, int] = defaultdict(int)
    for row in evidence.their_net if intents else []:
        moved[at(row, f"{row['tradingsymbol']} {row['product']}")] += int(row["quantity"])
    for row in evidence.their_trades if intents else []:
        units = int(row["quantity"]) * (1 if row["transaction_type"] == "BUY" else -1)
        moved[at(row, f"{row['tradingsymbol']} {row['product']}")] -= units
    for name in sorted({*wanted, *moved}):
        if moved[name] != wanted[name]:
            verdict.unexplained.append(f"{name}: {moved[name]} units were converted, {wanted[name]} were asked for")
    given = Counter(intent.account for intent in intents)
    verdict.duplicates += [
        f"{count} conversions were sent for {account}, {given[account]} were asked for"
        for account, count in evidence.conversion_puts.items()
        if count > given[account]
    ]


def _judge_answers(intent: Intent, verdict: Verdict) -> None:
    verdict.duplicates += intent.broken
    if intent.is_journalled and intent.state not in FINISHED:
        verdict.unexplained.append(f"{intent.kind} {intent.key} is still {intent.state}")


def _trigger_name(intent: Intent) -> str:
    return f"{intent.account} {intent.trigger}".strip()
