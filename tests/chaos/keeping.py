"""What is kept of a run in which something is wrong: all that both sides said, and the story of the plans concerned."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.chaos.evidence import Evidence, Row, Verdict, at
from tests.chaos.exchange import LOG
from tests.chaos.program import ENGINE_LOG
from tests.chaos.verdict_plans import KEY

LINES_MAX = 100
"""Of the story; the files have all of it."""
EVIDENCE = "evidence.json"


def keep(evidence: Evidence, verdict: Verdict, *, data: Path, folder: Path) -> None:
    """Write everything to a folder: both sides' listings, the verdict, the exchange's log, the engines' last words.

    Args:
        evidence: What was judged.
        verdict: What was found.
        data: The program's data folder.
        folder: Where it is kept; it is made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    told: dict[str, Any] = {field.name: getattr(evidence, field.name) for field in dataclasses.fields(evidence)}
    told["intents"] = [{**vars(intent), "lines": list(intent.lines.items())} for intent in evidence.intents]
    told["verdict"] = dataclasses.asdict(verdict)
    (folder / EVIDENCE).write_text(json.dumps(told, default=_plain, indent=1), encoding="utf-8")
    for path in (data / ENGINE_LOG, *data.glob(f"venues/*/{LOG}")):
        if path.exists():
            shutil.copy2(path, folder)


def story(evidence: Evidence, plans: set[int], lines_max: int = LINES_MAX) -> list[str]:
    """What happened to the orders of plans, on both sides and in the order of this machine's clock."""
    lines: list[str] = []
    for number in sorted(plans):
        record = next((row for row in evidence.our_plans if int(row["number"]) == number), None)
        if record is not None:
            lines.append(f"p{number} of {record.get('account')}: {record['sentence']}, {record['state']}")
            lines.append(f"  goals {json.dumps(record['spec'].get('goals'))}")
            lines.append(f"  said {json.dumps(record.get('progress'))}")
        orders = [order for order in evidence.ours if _plan_of(order) == number]
        lines += [
            f"  o{order['number']} {order['idempotency_key']} {order['tag']}: {order['state']} "
            f"{order['filled_quantity']} as {order['broker_order_id']}, {json.dumps(order.get('request'))}"
            for order in orders
        ]
        moments = sorted(moment for order in orders for moment in _moments(evidence, order))
        lines += [f"  {datetime.fromtimestamp(when):%H:%M:%S.%f} {words}" for when, words in moments]  # noqa: DTZ006
    if len(lines) > lines_max:
        lines = [*lines[: lines_max - 1], f"… {len(lines) - lines_max + 1} lines more are in {EVIDENCE}"]
    return lines


def _moments(evidence: Evidence, order: Row) -> Iterator[tuple[float, str]]:
    """What was written down of an order, here and at the exchange, each with its epoch second."""
    name = f"o{order['number']}"
    for line in evidence.histories.get(int(order["number"]), []):
        if line.get("wall_at"):
            applied = "" if line["applied"] else " (not applied)"
            words = f"journal: {name} {line['trigger']}{applied} > {line['to_state']} {line.get('detail', '')}"
            yield datetime.fromisoformat(line["wall_at"]).timestamp(), words.rstrip()
    for row in evidence.requests:
        if order.get("tag") and row.get("tag") == order["tag"]:
            what = f"exchange: {row['method']} of {name} #{row['seq']}"
            fault = f", fault {row['fault']}" if row.get("fault") else ""
            yield float(row["at"]), f"{what} arrived{fault}"
            if row.get("ended"):
                yield float(row["ended"]), f"{what} ended: {row.get('outcome')} {row.get('status', '')}".rstrip()
    accepted = evidence.accepted_at.get(at(order, order.get("broker_order_id")))
    if accepted is not None:
        yield accepted, f"exchange: {name} accepted as {order['broker_order_id']}"


def _plan_of(order: Row) -> int | None:
    match = KEY.match(order.get("idempotency_key") or "")
    return None if match is None else int(match[1])


def _plain(value: object) -> object:
    """Sets and what else JSON has no word for."""
    return sorted(map(str, value)) if isinstance(value, set | frozenset) else str(value)
