"""The pictures of the documentation come from the running program."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import make_screenshots
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock


async def test_every_shot_is_saved_and_nothing_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each file is a picture with prices in it; the engine got no command and no watch is left."""
    monkeypatch.setattr(make_screenshots, "SETTLE_S", 0.15)
    engine = FakeEngineClient(FixedClock())
    saved = await make_screenshots.save_screens(engine, tmp_path / "screens", clock=engine.clock)
    assert [path.stem for path in saved] == [shot.name for shot in make_screenshots.SHOTS]
    pictures = {path.stem: path.read_text(encoding="utf-8") for path in saved}
    without_chain = {"help", "strategy", "volatility", "desk-80x24"}
    assert all("24,050" in picture for name, picture in pictures.items() if name not in without_chain)
    assert "Payoff" in pictures["strategy"]
    assert "Smile" in pictures["volatility"]
    assert "theor" in pictures["chain-value"]
    assert "all&#160;pass" in pictures["review"]
    assert "BUY&#160;2L" in pictures["ticket"]
    assert engine.submitted == []
    assert engine.watched == {}
