"""The market that sentences are read against."""

from __future__ import annotations

import pytest

from tests.unit.language.world import World


@pytest.fixture
def world() -> World:
    """A fresh one for each test."""
    return World()
