"""``exit``: what is left, how much of it, how fast."""

from __future__ import annotations

from datetime import time

import pytest

from engine.core.commands import ExitPositions
from engine.core.identifiers import StrategyNumber
from engine.core.plans import ExitManner, ExitScope, ExitTarget
from engine.language.describe import describe
from engine.language.parser import interpret
from tests.unit.language.world import World

ONE, THREE = StrategyNumber(1), StrategyNumber(3)
ALL = ExitTarget(scope=ExitScope.ACCOUNT)
LEG = ExitTarget(scope=ExitScope.LEG, strategy=ONE, leg=1)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("exit 3", ExitPositions(target=ExitTarget(scope=ExitScope.STRATEGY, strategy=THREE))),
        ("exit fly-0920 50%", ExitPositions(target=ExitTarget(scope=ExitScope.STRATEGY, strategy=THREE), percent=50)),
        ("exit 1.1 now", ExitPositions(target=LEG, manner=ExitManner.NOW)),
        ("EXIT #1.1 25% patient", ExitPositions(target=LEG, percent=25, manner=ExitManner.PATIENT)),
        ("exit all", ExitPositions(target=ALL, everything=True)),
        ("exit all flat by 15:12", ExitPositions(target=ALL, everything=True, flat_by=time(15, 12))),
        ("exit 1.1 flat by 15:12:30", ExitPositions(target=LEG, flat_by=time(15, 12, 30))),
    ],
)
def test_sentences(world: World, text: str, command: ExitPositions) -> None:
    """Each is exactly one command, and its own words are read back as the same."""
    meaning = interpret(text, world)
    assert (meaning.command, meaning.error) == (command, None)
    assert interpret(describe(command, world), world).command == command


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("exit", "Needs what to leave: a strategy, a leg such as 3.2, or all.", 4),
        ("exit fly", 'No strategy is "fly". 3 (fly-0920) or 5 (fly-exp)? Write the number.', 5),
        ("exit 7", "No active strategy has the number 7.", 5),
        ("exit 1.9", "has no leg 9.", 5),
        ("exit 1.xx", '"1.xx" is not a part of a strategy.', 5),
        ("exit 3 0%", "A part is 1% to 100%, whole numbers, not 0%.", 7),
        ("exit 3 50", '"50" does not fit here.', 7),
        ("exit 3 flat 15:12", 'After "flat": "by" and a time, such as flat by 15:12.', 12),
        ("exit 3 flat by 15.12", '"15.12" is not a time. Times are 15:12 or 15:12:30.', 15),
        ("exit 3 soon", '"soon" does not fit here.', 7),
        ("exit 3.wings", "holds no bought legs.", 5),
    ],
)
def test_errors_say_why_and_where(world: World, text: str, message: str, place: int) -> None:
    """Nothing of a wrong sentence is acted on."""
    error = interpret(text, world).error
    assert error is not None
    assert message in error.message
    assert error.place == place


def test_a_side_is_its_open_legs(world: World) -> None:
    """``1.ce`` names the open legs of that side."""
    sides = {
        part: getattr(interpret(f"exit 1.{part}", world).command, "target", None) for part in ("ce", "pe", "wings")
    }
    named = {part: target.legs for part, target in sides.items() if target is not None}
    assert named
    assert all(target.scope is ExitScope.LEG for target in sides.values() if target is not None)
    assert sum((legs for legs in named.values()), ())
