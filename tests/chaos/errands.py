"""Carries what the menu draws through its life: asked until it is told, then changed, taken back, asked again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

from tests.chaos.door import Door, DoorRefused
from tests.chaos.exchange import Exchange, Row
from tests.chaos.faults import FaultKeeper
from tests.chaos.intents import OUTSIDE_PREFIX, PLANS, Content, Intent, Kind, asked_content
from tests.chaos.menu import Menu
from tests.chaos.orders import OrderBook
from tests.chaos.plan import Plan, Tally
from tests.chaos.program import ProgramError
from tests.chaos.seats import LATER_CHECKS, RETRIES_MAX, RETRY_S, Seats

AT_ONCE_MAX = 12
TWIN_SHARE, CANCEL_SHARE, CHANGE_SHARE, DELETE_SHARE = 0.15, 0.12, 0.5, 0.4
PAUSES_S = (0.0, 0.2, 0.6, 1.5)
REFUSED_MAX = 60
"""After so many refusals that would pass it is let be: it was told, each time, that nothing was sent."""
NOT_DONE = frozenset({"REFUSED", "NOT_SENT"})
OPEN = frozenset({"SENDING", "UNKNOWN"})

Submit = Callable[[Door, Row], Awaitable[Row | None]]


class Errands:
    """Gives what is not a plain order, beside the pump.

    Args:
        plan: The run.
        tally: Where intents are kept.
        seats: Connections.
        faults: Told before a trigger or a conversion is sent.
        exchange: Its time, and the door of another program.
        menu: Draws.
        chance: Source of choices.
        submit: Gives a command; ``None`` when the engine went away over it.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        tally: Tally,
        seats: Seats,
        faults: FaultKeeper,
        exchange: Exchange,
        menu: Menu,
        chance: random.Random,
        submit: Submit,
    ) -> None:
        self._plan = plan
        self._tally = tally
        self._seats = seats
        self._faults = faults
        self._exchange = exchange
        self._menu = menu
        self._random = chance
        self._submit = submit
        self._under_way: dict[str, Intent] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._failed: list[BaseException] = []

    def perhaps(self, book: OrderBook) -> None:
        """Begin one, by chance; none when many are under way."""
        if self._random.random() < self._plan.errand_share and len(self._running) < AT_ONCE_MAX:
            self.begin(book, self._menu.kind())

    def begin(self, book: OrderBook, kind: Kind) -> None:
        """Begin one of a kind."""
        task = asyncio.create_task(self._carry(book, kind))
        self._running.add(task)
        task.add_done_callback(self._over)

    def waiting(self) -> list[str]:
        """What is under way, and why it was last refused."""
        return [f"{intent.key}: {intent.words or intent.state}" for intent in self._under_way.values()]

    async def finish(self) -> None:
        """Wait for all.

        Raises:
            ProgramError: one was neither taken nor refused.
        """
        while self._running:
            await asyncio.wait(set(self._running))
        if self._failed:
            raise self._failed[0]

    def _over(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed.append(error)

    async def _carry(self, book: OrderBook, kind: Kind) -> None:
        door = await self._seats.door()
        if door is None:
            return
        try:
            market_now = await self._exchange.market_now()
            strategies = await door.call("strategies") if kind is Kind.EXIT else []
        except (OSError, ValueError, DoorRefused):
            return  # nothing was asked yet
        intent = self._menu.draw(kind, book, market_now=market_now, strategies=strategies)
        if intent is None:
            return
        self._tally.intents[intent.key] = self._under_way[intent.key] = intent
        try:
            await self._live(intent, book)
        finally:
            del self._under_way[intent.key]

    async def _live(self, intent: Intent, book: OrderBook) -> None:
        match intent.kind:
            case Kind.OUTSIDE:
                await self._from_outside(intent, book)
            case Kind.TRIGGER:
                await self._trigger(intent)
            case Kind.CONVERSION:
                await self._faults.before_request("PUT", "/portfolio/positions")
                await self.tell(intent)
            case _:
                await self.tell(intent)
                if intent.plan is not None and intent.kind in PLANS and self._random.random() < CANCEL_SHARE:
                    await self._pause()
                    await self._once({"type": "cancel_plan", "number": intent.plan})

    async def tell(self, intent: Intent) -> None:
        """Give it until it is taken or refused for good; always with the same key.

        Raises:
            ProgramError: no answer came in many attempts.
        """
        command = intent.command | {"idempotency_key": intent.key, "account": intent.account}
        refused = 0
        is_twin = self._random.random() < TWIN_SHARE
        for attempt in range(RETRIES_MAX):
            door = await self._seats.door(attempt)
            answers: list[Row | None] = []
            if door is not None:
                twins = [door]
                second = await self._seats.door(attempt + 1) if is_twin and attempt == 0 else None
                if second is not None and second is not door:
                    twins.append(second)
                answers = list(await asyncio.gather(*(self._submit(twin, command) for twin in twins)))
            told = [answer for answer in answers if answer is not None]
            for answer in told:
                intent.take(answer)
            if any(answer["accepted"] or not _passes(answer) for answer in told):
                return
            refused += bool(told)
            if refused > REFUSED_MAX and not intent.is_journalled:
                return
            await asyncio.sleep(RETRY_S)
        why = intent.words or self._tally.refused_for_now.get(intent.key)
        raise ProgramError(f"{intent.key} was neither taken nor refused in {RETRIES_MAX} attempts: {why}")

    # ---- lives

    async def _trigger(self, intent: Intent) -> None:
        """Placed; then perhaps changed, and perhaps taken back."""
        await self._faults.before_request("POST", "/gtt/triggers")
        await self.tell(intent)
        if self._random.random() < CHANGE_SHARE and intent.trigger is not None:
            await self._pause()
            await self._faults.before_request("PUT", "/gtt/triggers")
            await self._change(intent)
        if self._random.random() < DELETE_SHARE and intent.trigger is not None:
            await self._pause()
            await self._faults.before_request("DELETE", "/gtt/triggers")
            await self.delete(intent)

    async def _change(self, intent: Intent) -> None:
        contract = self._menu.contract_named(intent.command["request"]["instrument"]["tradingsymbol"])
        if contract is None:
            return
        request = self._menu.trigger(contract)
        if request["kind"] != intent.command["request"]["kind"]:
            return
        wanted: Content = asked_content(request)
        certain = len(intent.contents) == 1
        intent.contents.add(wanted)
        command = {
            "type": "modify_gtt", "trigger_id": intent.trigger, "request": request, "account": intent.account,
        }  # fmt: skip
        answer = await self._once(command)
        self._tally.changed += 1
        if answer is None:
            return
        if answer.get("instruction_state") == "DONE" and certain:
            intent.contents = {wanted}
        elif not answer["accepted"] and answer.get("instruction_state") in {None, *NOT_DONE}:
            intent.contents.discard(wanted)

    async def delete(self, intent: Intent) -> None:
        """Take its trigger back."""
        answer = await self._once({"type": "delete_gtt", "trigger_id": intent.trigger, "account": intent.account})
        self._tally.taken_back += 1
        intent.is_deleted |= answer is not None and answer.get("instruction_state") == "DONE"

    async def _from_outside(self, intent: Intent, book: OrderBook) -> None:
        """Another program's order above the freeze quantity, which the broker slices."""
        request = intent.command["request"]
        tag = f"{OUTSIDE_PREFIX}{len(self._tally.outside_tags)}"
        self._tally.outside_tags.add(tag)
        intent.is_taken = await self._exchange.place_from_outside(book.account, request, tag)

    async def _once(self, command: dict[str, Any]) -> Row | None:
        door = await self._seats.door()
        return None if door is None else await self._submit(door, command)

    async def _pause(self) -> None:
        await asyncio.sleep(self._random.choice(PAUSES_S))


def _passes(receipt: Row) -> bool:
    """Whether a refusal passes by itself, so that the same is asked again; never one that the broker was asked for."""
    checks = {violation["check"] for violation in receipt.get("violations", [])}
    return receipt.get("instruction") is None and bool(checks & LATER_CHECKS)
