"""How plans work is set in the file: every key has bounds, and what contradicts something else is refused in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.errors import SetupError
from engine.core.plans import ExitManner
from workstation.configuration import load_configuration
from workstation.settings import Configuration


def load(folder: Path, text: str, **environment: str) -> Configuration:
    """The settings of a file with this text."""
    file = folder / "config.toml"
    file.write_text(text, encoding="utf-8")
    return load_configuration(
        file, required=True, environment={f"WORKSTATION_{name}": value for name, value in environment.items()}
    )


def test_plans_baskets_and_exits_are_set_in_the_file_and_by_the_environment(tmp_path: Path) -> None:
    """What is not named keeps its default, also the other keys of a pace that is changed."""
    text = """
[plans]
running_max = 8
[plans.baskets]
remedy_s = 2.5
[plans.baskets.unwinding]
first = 5
[plans.exits.patient]
step_s = 3.0
[plans.exits.reach]
edge_percent = "12"
"""
    plans = load(tmp_path, text, PLANS_EXITS_NOW_BLIND_S="0.5").plans
    assert (plans.running_max, plans.poll_s) == (8, 0.2)
    assert (plans.baskets.remedy_s, plans.baskets.unwinding.first) == (2.5, 5)
    patient, now = plans.exits.pace(ExitManner.PATIENT), plans.exits.pace(ExitManner.NOW)
    assert (patient.first, patient.step_s, patient.blind_s) == (1, 3.0, 8.0)
    assert (now.first, now.step_s, now.blind_s) == (5, 0.75, 0.5)
    assert plans.exits.reach.edge_percent == 12


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[plans]\nrunning_max = 0\n", "[plans] running_max: Expected int >= 1."),
        ("[plans]\npoll_s = 0.0\n", "[plans] poll_s: Expected float > 0.0."),
        ("[plans]\nwaiting = 3\n", '[plans] has no key "waiting"'),
        ("[plans.baskets]\nlook_s = -1.0\n", "[plans.baskets] look_s: Expected float > 0.0."),
        ("[plans.baskets]\nrefused_s = 90000.0\n", "[plans.baskets] refused_s: Expected float <= 86400.0."),
        ("[plans.baskets.unwinding]\nfirst = 7\n", "[plans.baskets.unwinding] first: Expected int <= 6."),
        ("[plans.exits.normal]\nfirst = 0\n", "[plans.exits.normal] first: Expected int >= 1."),
        ("[plans.exits]\nprotection = 0\n", "protection is -1 (the broker's own) or above 0 and at most 100 percent"),
        ('[plans.exits]\nprotection = "NaN"\n', "not NaN"),
        ("[plans.baskets.unwinding]\nprotection = 101\n", "at most 100 percent, not 101"),
        ("[plans.exits]\nretry_s = 9.0\n", "retry_max_s (8) is at least retry_s (9)"),
        ("[plans.baskets.unwinding]\nretry_max_s = 0.1\n", "retry_max_s (0.1) is at least retry_s (0.5)"),
        ("[plans.exits]\nflat_by_reserve_s = 300.0\n", "flat_by_reserve_s (300) is less than flat_by_span_s (240)"),
        ("[plans.exits.reach]\nthrough_percent = 20\n", "through_percent at most edge_percent"),
        ('[plans.exits.reach]\nedge_percent = "Infinity"\n', "edge_percent at most 100"),
    ],
)
def test_a_value_that_cannot_work_is_refused(tmp_path: Path, text: str, words: str) -> None:
    """With the section, the figure, and what is allowed."""
    with pytest.raises(SetupError) as refused:
        load(tmp_path, text)
    assert words in str(refused.value)
    assert "[plans" in str(refused.value)


@pytest.mark.parametrize("section", ["plans.exits", "plans.baskets.unwinding"])
def test_prices_that_the_checks_would_refuse_are_refused_at_the_start(tmp_path: Path, section: str) -> None:
    """An exit at the edge must pass the check on prices, whichever of the two was changed."""
    with pytest.raises(SetupError, match=rf"\[{section}\.reach\] edge_percent 30 .* price_distance_percent 25"):
        load(tmp_path, f"[{section}.reach]\nedge_percent = 30\n")
    with pytest.raises(SetupError, match=r"price_distance_percent 10 .*further prices are refused"):
        load(tmp_path, "[orders.checks]\nprice_distance_percent = 10\n")
    both = f"[{section}.reach]\nedge_percent = 30\n[orders.checks]\nprice_distance_percent = 40\n"
    assert load(tmp_path, both).orders.checks.price_distance_percent == 40
