"""What is asked beside plain orders: triggers, conversions, plans, orders of another program; and what was told."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

OUTSIDE_PREFIX = "out"
"""Of the tags of orders that another program gives."""
Row = dict[str, Any]
Content = tuple[str, str, tuple[tuple[Decimal, str, int, Decimal], ...]]
"""What a trigger says: its kind, its contract, and of each order the trigger, the side, the units and the price."""
Lines = dict[tuple[str, str, str], int]
"""Contract, product and side → units that were asked for."""


class Kind(StrEnum):
    """What is asked."""

    TRIGGER = "gtt"
    CONVERSION = "conversion"
    BASKET = "basket"
    EXIT = "exit"
    ABOVE_FREEZE = "above freeze"
    ICEBERG = "iceberg"
    TWAP = "twap"
    CHASE = "chase"
    AT = "at"
    WHEN = "when"
    OUTSIDE = "outside, autosliced"


PLANS = frozenset({Kind.BASKET, Kind.EXIT, Kind.ABOVE_FREEZE, Kind.ICEBERG, Kind.TWAP, Kind.CHASE, Kind.AT, Kind.WHEN})
WHOLE = frozenset({Kind.ABOVE_FREEZE, Kind.ICEBERG, Kind.TWAP, Kind.CHASE})
"""Plans of one order: one that is done has filled all of it."""


@dataclass
class Intent:
    """One of them: asked under one key, however often it was asked."""

    key: str
    kind: Kind
    account: str
    command: Row
    lines: Lines = field(default_factory=dict)
    """Of a plan, what it may fill; an exit's are its own, as its record has them."""
    is_taken: bool = False
    is_journalled: bool = False
    """A trigger or a conversion has a number: its key can be asked again without asking the broker."""
    plan: int | None = None
    trigger: int | None = None
    state: str = ""
    """Of a trigger or a conversion, as last told."""
    words: str = ""
    """The last refusal."""
    contents: set[Content] = field(default_factory=set)
    """What its trigger may say now: more than one when an answer was lost."""
    is_deleted: bool = False
    """It was told that the trigger is gone."""
    broken: list[str] = field(default_factory=list)
    """Answers that contradict earlier ones."""

    def take(self, receipt: Row) -> None:
        """Note an answer."""
        self.is_journalled |= receipt.get("instruction") is not None
        self.state = receipt.get("instruction_state") or self.state
        for name in ("plan", "trigger"):
            told, known = receipt.get("trigger_id" if name == "trigger" else name), getattr(self, name)
            if told is None:
                continue
            if known is not None and told != known:
                self.broken.append(f"{self.kind} {self.key} was promised {name} {known} and then {told}")
            else:
                setattr(self, name, told)
        if receipt["accepted"]:
            self.is_taken = True
            self.words = ""
        else:
            self.words = str(receipt.get("message"))


def asked_content(request: Row) -> Content:
    """What a request of ours wants a trigger to say, or what our listing says of one."""
    orders = sorted(
        (
            Decimal(str(order["trigger_price"])),
            str(order["side"]),
            int(order["quantity"]),
            Decimal(str(order["price"])),
        )
        for order in request["orders"]
    )
    return str(request["kind"]), str(request["instrument"]["tradingsymbol"]), tuple(orders)


def told_content(row: Row) -> Content:
    """What the exchange says of a trigger."""
    condition = row["condition"]
    pairs = zip(condition["trigger_values"], row["orders"], strict=True)
    orders = sorted(
        (Decimal(str(value)), str(order["transaction_type"]), int(order["quantity"]), Decimal(str(order["price"])))
        for value, order in pairs
    )
    return str(row["type"]), str(condition["tradingsymbol"]), tuple(orders)


def made_orders(row: Row) -> set[str]:
    """Ids of the orders that a trigger has made, as the exchange says."""
    results = (order.get("result") or {} for order in row["orders"])
    return {found for result in results if (found := (result.get("order_result") or {}).get("order_id"))}
