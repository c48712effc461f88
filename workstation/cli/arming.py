"""Arming the seat of one command: each command is a seat of its own, which a live venue starts in READ."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.client import EngineClient

ARMABLE = ("order", "basket", "letters", "gtt")
"""Commands that may add risk."""


def add_arm(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The option of every command that may add risk; call it when all commands are there."""
    for name in ARMABLE:
        commands.choices[name].add_argument(
            "--arm", action="store_true", help="arm CONFIRM for this command alone: without it, READ adds no risk"
        )


async def arm_if_asked(engine: EngineClient, options: argparse.Namespace) -> str:
    """Arm the command's own seat when its words say so; returns why that was refused, empty otherwise.

    Raises:
        WorkstationError: the engine cannot be asked, or this token may not arm.
    """
    if not getattr(options, "arm", False):
        return ""
    from engine.core.commands import SetMode
    from engine.core.vocabulary import Mode

    receipt = await engine.submit(SetMode(mode=Mode.CONFIRM))
    return "" if receipt.accepted else receipt.message
