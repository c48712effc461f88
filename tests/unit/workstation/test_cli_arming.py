"""``--arm``: a command arms its own seat, and only when it is told to."""

from __future__ import annotations

import argparse

import pytest

from engine.core.commands import SetMode
from engine.core.vocabulary import Mode
from tests.kit.plain_engine import PlainEngine
from workstation.cli.arming import ARMABLE, add_arm, arm_if_asked


@pytest.mark.parametrize("name", ARMABLE)
async def test_a_command_arms_its_own_seat_when_told_to(name: str) -> None:
    """With the option CONFIRM is asked for before anything else; without it nothing is."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers(dest="command")
    for command in (*ARMABLE, "orders"):
        commands.add_parser(command)
    add_arm(commands)
    engine = PlainEngine()
    assert await arm_if_asked(engine, parser.parse_args([name])) == ""
    assert await arm_if_asked(engine, parser.parse_args(["orders"])) == ""
    assert engine.submitted == []
    assert await arm_if_asked(engine, parser.parse_args([name, "--arm"])) == ""
    assert [command for command, _ in engine.submitted] == [SetMode(mode=Mode.CONFIRM)]
