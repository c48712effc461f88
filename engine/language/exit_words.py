"""The sentence that asks for an exit, as the parser reads it back."""

from __future__ import annotations

from engine.core.commands import ExitPositions
from engine.core.plans import ExitManner, ExitScope


def exit_words(command: ExitPositions) -> str:
    """``exit 3.2 50% now``; several legs are named one after the other."""
    target = command.target
    if target.scope is ExitScope.ACCOUNT:
        words = "exit all"
    elif target.scope is ExitScope.STRATEGY:
        words = f"exit {target.strategy}"
    else:
        legs = target.legs or (target.leg,)
        words = "exit " + ", ".join(f"{target.strategy}.{leg}" for leg in legs)
    if command.percent != 100:
        words += f" {command.percent}%"
    if command.flat_by is not None:
        shape = "%H:%M:%S" if command.flat_by.second else "%H:%M"
        return f"{words} flat by {command.flat_by.strftime(shape)}"
    return words if command.manner is ExitManner.NORMAL else f"{words} {command.manner}"
