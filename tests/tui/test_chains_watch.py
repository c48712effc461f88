"""The watches of a strategy's chains when a program ends: work never begun gives nothing back by itself."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace

from engine.core.views import ChainKey
from tests.tui.harness import Desk
from workstation.screens.desk import DeskScreen
from workstation.screens.strategy_market import ChainsWatch

Work = Callable[[], Coroutine[object, object, None]]


async def test_what_is_held_is_given_back_though_the_last_wish_was_never_begun() -> None:
    """A wish whose work the ending program dropped must not keep the watches of the wish before it."""
    begun: list[Work] = []
    async with Desk().running() as desk:
        screen = desk.app.screen_stack[0]
        assert isinstance(screen, DeskScreen)
        watched = dict(desk.engine.watched)
        expiries = await desk.engine.expiries("NIFTY")
        first, second = (ChainKey("NIFTY", item.expiry) for item in expiries[1:3])
        chains = ChainsWatch(replace(screen._shared, run=lambda work, _group, _replaces: begun.append(work)))
        chains.wish(frozenset({first}))
        await begun.pop()()
        assert desk.engine.watched == {**watched, first: 1}
        chains.wish(frozenset({second}))
        await chains.close()
        assert desk.engine.watched == watched
        await begun.pop()()
        assert desk.engine.watched == watched
