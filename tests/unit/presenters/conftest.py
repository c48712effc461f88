"""The made-up market for presenters."""

from __future__ import annotations

from datetime import date

import pytest

from engine.core.views import ChainKey, ChainView, DeskView
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock

KEY = ChainKey("NIFTY", date(2027, 1, 19))


@pytest.fixture
def engine() -> FakeEngineClient:
    """An engine with the first chain watched."""
    fake = FakeEngineClient(FixedClock())
    fake.watched[KEY] = 1
    return fake


@pytest.fixture
def view(engine: FakeEngineClient) -> ChainView:
    """The first chain."""
    found = engine.chain(KEY)
    assert found is not None
    return found


@pytest.fixture
def desk(engine: FakeEngineClient) -> DeskView:
    """The rest of the picture."""
    return engine.desk()
