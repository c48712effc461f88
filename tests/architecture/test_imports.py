"""What starting a program costs: heavy parts are imported by the command that needs them and by nobody else."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.tree import PACKAGES, ROOT

DISTRIBUTION = "options-workstation"
HEAVY = ("textual", "rich", "numpy", "scipy", "asyncpg", "httpx", "aiohttp", "sqlalchemy", "alembic", "kiteconnect")
LOOK = "import json, sys, importlib; importlib.import_module(sys.argv[1]); print(json.dumps(sorted(sys.modules)))"


def imported_by(module: str) -> set[str]:
    """All modules that are there after importing one in a fresh interpreter."""
    words = [sys.executable, "-c", LOOK, module]
    output = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    return set(json.loads(output))


def packages_of(modules: set[str]) -> set[str]:
    """Their top-level names."""
    return {module.partition(".")[0] for module in modules}


def test_the_command_line_starts_light() -> None:
    """``workstation --help`` loads neither screen nor numbers, database or network."""
    assert packages_of(imported_by("workstation.cli.main")).isdisjoint(HEAVY)


@pytest.mark.parametrize(
    "module",
    [
        "engine.server.local_door",
        "engine.server.remote_client",
        "engine.local_client",
        "workstation.cli.running",
        "workstation.cli.headless",
        "workstation.cli.order",
        "workstation.cli.chain",
        "workstation.cli.listings",
        "workstation.cli.doctor",
        "workstation.cli.database",
        "workstation.assembly",
    ],
)
def test_nothing_but_the_desk_loads_the_screen(module: str) -> None:
    """The headless engine and the printing commands never pay for Textual."""
    assert packages_of(imported_by(module)).isdisjoint({"textual"})


@pytest.mark.parametrize("module", ["workstation.cli.order", "workstation.cli.listings", "engine.server.remote_client"])
def test_a_command_on_a_running_engine_needs_no_database_and_no_broker(module: str) -> None:
    """It talks to the engine through the door only."""
    assert packages_of(imported_by(module)).isdisjoint({"asyncpg", "sqlalchemy", "alembic", "httpx", "kiteconnect"})


@pytest.mark.parametrize("module", ["workstation.cli.running", "workstation.assembly", "workstation.cli.headless"])
def test_rarely_needed_heavy_parts_wait_until_they_are_needed(module: str) -> None:
    """The broker's login client, the statistics and the migration tool cost half a second together."""
    modules = imported_by(module)
    assert packages_of(modules).isdisjoint({"kiteconnect", "twisted", "alembic", "sqlalchemy"})
    assert "scipy.stats" not in modules
    assert "scipy.optimize" not in modules


def test_the_domain_is_light() -> None:
    """Pure values need no event loop."""
    modules = imported_by("engine.core.orders")
    assert "asyncio" not in modules
    assert packages_of(modules).isdisjoint(HEAVY)


@pytest.mark.parametrize("package", PACKAGES)
def test_our_package_names_are_ours(package: str) -> None:
    """No other distribution provides one of them, and what is imported is this tree or what was installed from it."""
    owners = importlib.metadata.packages_distributions().get(package, [DISTRIBUTION])
    assert set(owners) == {DISTRIBUTION}
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    installed = Path(str(importlib.metadata.distribution(DISTRIBUTION).locate_file(package)))
    assert Path(spec.origin).resolve().parent in {ROOT / package, installed.resolve()}
