"""Rules for names of strategies: a hyphen inside keeps them apart from numbers and words of the grammar."""

from __future__ import annotations

import re
from collections.abc import Iterable

from engine.core.errors import InvalidInput
from engine.core.strategies import Strategy, StrategyState

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_]|-(?=[A-Za-z0-9_]))*")


def check_name(name: str, strategies: Iterable[Strategy], *, length_max: int) -> str:
    """Return ``name`` when a new strategy may have it.

    Raises:
        InvalidInput: too long, no hyphen inside, other characters, or an active strategy has it (in any case).
    """
    if len(name) > length_max:
        raise InvalidInput(f"A name has at most {length_max} characters, this has {len(name)}.", field="name")
    if not _NAME.fullmatch(name):
        raise InvalidInput(
            f'"{name}" cannot be a strategy\'s name: letters, digits, _ and single hyphens inside, such as fly-0920.',
            field="name",
        )
    if "-" not in name:
        raise InvalidInput(f'"{name}" has no hyphen inside. Names have one, such as fly-0920.', field="name")
    for strategy in strategies:
        if strategy.state is StrategyState.ACTIVE and strategy.name.casefold() == name.casefold():
            raise InvalidInput(
                f'Strategy {strategy.number} is called "{strategy.name}" already. Choose another name.', field="name"
            )
    return name
