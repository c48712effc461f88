"""The idempotency keys of a plan's orders: ``p12/piece0``. They tell whose an order is, over every restart."""

from __future__ import annotations

import re

from engine.core.plans import PlanNumber

_KEY = re.compile(r"p(?P<number>[1-9]\d{0,14})/(?P<move>.+)", re.ASCII | re.DOTALL)


def plan_key(number: PlanNumber, move: str) -> str:
    """The key of a move's order."""
    return f"p{number}/{move}"


def read_plan_key(key: str | None) -> tuple[PlanNumber, str] | None:
    """Whose order has this key, and of which move; ``None`` when it is no plan's."""
    match = None if key is None else _KEY.fullmatch(key)
    return None if match is None else (PlanNumber(int(match["number"])), match["move"])


def is_plan_key(key: str | None) -> bool:
    """Whether a key is of the kind that plans use: nobody else may give one."""
    return read_plan_key(key) is not None
