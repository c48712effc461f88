"""The pictures of the documentation come from the running program."""

from __future__ import annotations

from pathlib import Path

from docs import make_screenshots
from engine.core.vocabulary import Venue
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock


async def test_every_shot_is_saved_and_nothing_is_sent(tmp_path: Path) -> None:
    """Each file is a picture with prices in it; the engine got no command and no watch is left."""
    engine = FakeEngineClient(FixedClock())
    saved = await make_screenshots.save_screens(engine, tmp_path / "screens", clock=engine.clock)
    assert [path.stem for path in saved] == [shot.name for shot in make_screenshots.SHOTS]
    pictures = {path.stem: path.read_text(encoding="utf-8") for path in saved}
    without_chain = {"help", "strategy", "volatility", "charts", "desk-80x24", "doctor", "rules"}
    without_chain |= {"engine-room", "engine-room-80x24"}
    assert all("24,050" in picture for name, picture in pictures.items() if name not in without_chain)
    assert "Payoff" in pictures["strategy"]
    assert "Smile" in pictures["volatility"]
    assert "NIFTY&#160;50" in pictures["charts"]
    assert "theor" in pictures["chain-value"]
    assert "236.9&#160;MB" in pictures["engine-room"]
    assert "reconnects" in pictures["engine-room"]
    assert "3&#160;pass" in pictures["doctor"]
    assert "against&#160;the&#160;dump" in pictures["rules"]
    assert "all&#160;pass" in pictures["review"]
    assert "BUY&#160;2L" in pictures["ticket"]
    assert engine.submitted == []
    assert engine.watched == {}


async def test_shots_of_a_replay(tmp_path: Path) -> None:
    """An engine that plays a tape has pictures of its own; the tape is looked at and not moved."""
    engine = FakeEngineClient(FixedClock())
    engine.venue = Venue.REPLAY
    engine.set_tape(state="playing", speed=10.0)
    shots = make_screenshots.REPLAY_SHOTS
    saved = await make_screenshots.save_screens(engine, tmp_path / "screens", clock=engine.clock, shots=shots)
    assert len(saved) == len(shots)
    assert all("PLAYING&#160;10x" in path.read_text(encoding="utf-8") for path in saved)
    assert engine.replay_asked == []
