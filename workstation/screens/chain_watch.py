"""Which chain is subscribed to. Wishes may come faster than the engine answers: only the newest one counts."""

from __future__ import annotations

import msgspec

from engine.core.errors import InvalidInput, WorkstationError
from engine.core.instruments import ExpiryLabel
from engine.core.views import ChainKey
from workstation.formatting import expiry_day
from workstation.screens.context import DeskContext


class ChainWish(msgspec.Struct, frozen=True, kw_only=True):
    """What to look at. Empty fields leave the choice to the engine's order: best known underlying, nearest expiry."""

    underlying: str = ""
    label: str = ""
    """``w0``, ``m1`` …; empty for the nearest, unless ``expiry`` says which."""
    key: ChainKey | None = None


class ChainWatch:
    """Holds exactly one watch at the engine and moves it to what is wished for."""

    def __init__(self, context: DeskContext) -> None:
        """Nothing is watched yet."""
        self._context = context
        self._wish: ChainWish | None = None
        self._held: ChainKey | None = None
        self._running = False
        self.trouble = ""
        """Why there is no chain; empty when there is."""

    def wish(self, wish: ChainWish) -> None:
        """Look at something else; a wish not begun is replaced."""
        self._wish = wish
        if not self._running:
            self._running = True
            self._context.run(self._settle, "chain", False)

    def step_expiry(self, step: int) -> None:
        """The expiry ``step`` places further, counted from the one last wished for; stops at the ends."""
        state = self._context.state
        days = [item.expiry for item in state.expiries]
        current = self._wish.key if self._wish is not None and self._wish.key is not None else state.key
        if current is None or current.expiry not in days:
            return
        place = min(max(days.index(current.expiry) + step, 0), len(days) - 1)
        self.wish(ChainWish(underlying=current.underlying, key=ChainKey(current.underlying, days[place])))

    def step_underlying(self, step: int) -> None:
        """The underlying ``step`` places further, round the list."""
        state = self._context.state
        names = [item.name for item in state.underlyings]
        current = self._wish.underlying if self._wish is not None and self._wish.underlying else ""
        current = current or (state.key.underlying if state.key is not None else "")
        if names:
            place = names.index(current) if current in names else 0
            self.wish(ChainWish(underlying=names[(place + step) % len(names)]))

    async def close(self) -> None:
        """Give the watch up."""
        held, self._held = self._held, None
        if held is not None:
            try:
                await self._context.engine.unwatch_chain(held)
            except WorkstationError:
                self.trouble = "the watch of the chain could not be given up"

    async def _settle(self) -> None:
        try:
            while self._wish is not None:
                wish = self._wish
                try:
                    await self._go(wish)
                except WorkstationError as error:
                    await self._failed(wish, error)
                else:
                    self.trouble = ""
                    if self._wish is wish:
                        self._wish = None
        finally:
            self._running = False

    async def _failed(self, wish: ChainWish, error: WorkstationError) -> None:
        """Without any chain the first wish is tried again; with one, the old chain stays and the reason is said."""
        self.trouble = str(error)
        if self._held is None:
            await self._context.clock.sleep(self._context.settings.retry_s)
            return
        self._context.notify(str(error), "attention")
        if self._wish is wish:
            self._wish = None

    async def _go(self, wish: ChainWish) -> None:
        context = self._context
        engine, state = context.engine, context.state
        if not state.underlyings:
            state.underlyings = await engine.underlyings()
            if not state.underlyings:
                raise InvalidInput("No underlying with options is listed yet.")
        name = wish.underlying or context.settings.underlying or state.underlyings[0].name
        expiries = await engine.expiries(name)
        key = wish.key if wish.key is not None else ChainKey(name, _chosen(name, wish.label, expiries).expiry)
        if key != self._held:
            await engine.watch_chain(key)
            before, self._held = self._held, key
            if before is None or before.underlying != key.underlying:
                state.strike = None
            state.key = key
            if before is not None:
                await engine.unwatch_chain(before)
        state.expiries = expiries


def _chosen(name: str, label: str, expiries: tuple[ExpiryLabel, ...]) -> ExpiryLabel:
    if not expiries:
        raise InvalidInput(f"{name} has no listed expiry.")
    if not label:
        return expiries[0]
    for item in expiries:
        if label in item.labels:
            return item
    listed = ", ".join(f"{'/'.join(item.labels)} {expiry_day(item.expiry)}" for item in expiries)
    raise InvalidInput(f"{name} has no {label}. Listed: {listed}.", field="expiry")
