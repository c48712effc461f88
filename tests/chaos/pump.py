"""Gives orders without a pause, by several seats at once, each again until it is taken or refused for good."""

from __future__ import annotations

import asyncio
import json
import random
import time
from typing import Any

from tests.chaos.door import Door, DoorClosed, DoorRefused
from tests.chaos.errands import Errands
from tests.chaos.faults import FaultKeeper
from tests.chaos.intents import Kind
from tests.chaos.orders import OrderBook
from tests.chaos.plan import Plan, Tally
from tests.chaos.program import Program, ProgramError
from tests.chaos.seats import LATER_CHECKS, RETRIES_MAX, RETRY_S, Seats

WORKERS_PER_ACCOUNT = 5
COMMAND_EVERY = 100
"""Every so many orders one goes by the ``order`` command."""
TWIN_SHARE = 0.1
"""Orders given by two seats at the same moment under one key."""
CANCEL_SHARE, MODIFY_SHARE, BLIND_SHARE = 0.36, 0.12, 0.04


class Pump:
    """Gives the orders of a run.

    Args:
        program: The program under test.
        plan: The run.
        tally: What is counted.
        seats: Connections.
        books: What each account orders.
        faults: Told of each order before it is given.
        chance: Source of choices.
    """

    def __init__(
        self,
        *,
        program: Program,
        plan: Plan,
        tally: Tally,
        seats: Seats,
        books: list[OrderBook],
        faults: FaultKeeper,
        chance: random.Random,
    ) -> None:
        self._program = program
        self._plan = plan
        self._tally = tally
        self._seats = seats
        self._books = books
        self._faults = faults
        self._random = chance
        self.errands: Errands | None = None
        """What is given beside the orders."""
        self._next_slot = 0.0
        self._next_number = 0
        self._bursts: set[asyncio.Task[None]] = set()
        self._limit = plan.orders
        self._finishes = False
        self._may_go_on = asyncio.Event()
        self._may_go_on.set()
        self._milestone = 0
        self._at_milestone = asyncio.Event()

    @property
    def given(self) -> int:
        """Orders begun."""
        return self._next_number

    def limit(self, number: int) -> None:
        """Begin no order from this number on, until the limit is set again; may be more than the run was asked for."""
        self._limit = number
        self._may_go_on.set()

    def finish(self) -> None:
        """Give what is left and end."""
        self._finishes = True
        self.limit(self._plan.orders)

    async def reach(self, number: int) -> None:
        """Wait until so many orders have been begun."""
        self._milestone = min(number, self._plan.orders)
        self._at_milestone.clear()
        if self._next_number < self._milestone:
            await self._at_milestone.wait()

    async def run(self) -> None:
        """Give them all."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(WORKERS_PER_ACCOUNT * self._plan.accounts):
                workers.create_task(self._work())
        while self._bursts:
            await asyncio.gather(*self._bursts)

    def burst(self, account: str, count: int) -> None:
        """Give so many orders to one account at once, whatever the limit is."""
        book = next(book for book in self._books if book.account == account)
        for _ in range(count):
            number, self._next_number = self._next_number, self._next_number + 1
            task = asyncio.create_task(self._send(number, book))
            self._bursts.add(task)
            task.add_done_callback(self._burst_over)

    def begin_errand(self, account: str, kind: Kind) -> None:
        """Begin one thing that is no order, of an account."""
        book = next(book for book in self._books if book.account == account)
        if self.errands is not None:
            self.errands.begin(book, kind)

    def _burst_over(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._bursts.discard(task)  # one that failed stays, for ``run`` to raise

    def _take_number(self) -> int | None:
        if self._next_number >= self._limit:
            return None
        number, self._next_number = self._next_number, self._next_number + 1
        if self._next_number >= self._milestone:
            self._at_milestone.set()
        return number

    async def _work(self) -> None:
        while True:
            if self._next_number >= self._limit:
                if self._finishes:
                    return
                self._may_go_on.clear()
                await self._may_go_on.wait()
                continue
            await self._wait_for_slot()
            number = self._take_number()
            if number is None:
                continue
            book = self._books[number % len(self._books)]
            await self._faults.before(number)
            await self._send(number, book)
            if self.errands is not None:
                self.errands.perhaps(book)
            await self._disturb(book)

    async def _wait_for_slot(self) -> None:
        now = time.monotonic()
        slot = max(now, self._next_slot)
        self._next_slot = slot + 1 / (self._plan.rate_per_s * self._plan.accounts)
        await asyncio.sleep(slot - now)

    async def _send(self, number: int, book: OrderBook) -> None:
        """Give one order until it is taken or refused for good; always with the same key."""
        key = f"chaos-{self._plan.seed}-{number}"
        request, sentence, is_exit = book.draw()
        self._tally.exits += is_exit
        self._tally.accounts[key] = book.account
        if sentence is not None and number % COMMAND_EVERY == COMMAND_EVERY - 1:
            await self._send_by_command(key, sentence, book)
            return
        command: dict[str, Any] = {"type": "place_order", "request": request, "idempotency_key": key}
        if self._plan.accounts > 1:
            command["account"] = book.account
        is_twin = self._random.random() < TWIN_SHARE
        for attempt in range(RETRIES_MAX):
            door = await self._seats.door(attempt)
            if door is not None:
                second = await self._seats.door(attempt + 1) if is_twin and attempt == 0 else None
                if second is not None and second is not door:
                    self._tally.twins += 1
                    answers = list(await asyncio.gather(self.submit(door, command), self.submit(second, command)))
                else:
                    answers = [await self.submit(door, command)]
                taken = [self._take_receipt(key, answer) for answer in answers if answer is not None]
                if any(taken):
                    if key in self._tally.promised:
                        book.note(self._tally.promised[key], request)
                    return
            await asyncio.sleep(RETRY_S)
        why = self._tally.refused_for_now.get(key)
        raise ProgramError(f"{key} was neither taken nor refused in {RETRIES_MAX} attempts: {why}")

    async def submit(self, door: Door, command: dict[str, Any]) -> dict[str, Any] | None:
        """The receipt, or ``None`` when the engine went away over it, or could not take it now."""
        try:
            receipt: dict[str, Any] = await door.call("submit", command=command)
        except DoorClosed:
            return None
        except DoorRefused as error:
            if key := command.get("idempotency_key"):
                self._tally.refused_for_now[key] = f"{error.kind}: {error}"
            return None
        return receipt

    async def _send_by_command(self, key: str, sentence: str, book: OrderBook) -> None:
        """The same by ``workstation order``; only while an engine runs, so that the command starts none of its own."""
        self._tally.commands += 1
        which = ["--account", book.account] if self._plan.accounts > 1 else []
        for _ in range(RETRIES_MAX):
            await self._seats.open.wait()
            code, out, _ = await self._program.command("order", sentence, "--yes", "--json", "--key", key, *which)
            receipt = json.loads(out).get("receipt") if out.strip() else None
            if receipt is not None and self._take_receipt(key, receipt):
                return
            if receipt is None and code == 2:
                raise ProgramError(f'the command does not understand "{sentence}"')
            await asyncio.sleep(RETRY_S)
        raise ProgramError(f"{key} was neither taken nor refused in {RETRIES_MAX} attempts")

    def _take_receipt(self, key: str, receipt: dict[str, Any]) -> bool:
        """Note what was promised; ``False`` when the command should be given again."""
        if receipt["accepted"]:
            number = int(receipt["orders"][0]["number"])
            if self._tally.promised.setdefault(key, number) != number:
                self._tally.broken.append(f"{key} was promised o{self._tally.promised[key]} and then o{number}")
            self._tally.repeated += bool(receipt.get("repeated"))
            self._tally.refused_for_now.pop(key, None)
            return True
        checks = {violation["check"] for violation in receipt.get("violations", [])}
        self._tally.refused_for_now[key] = str(receipt.get("message"))
        if checks & LATER_CHECKS:
            return False
        if key not in self._tally.promised:
            self._tally.refused[key] = str(receipt.get("message"))
        return True

    async def _disturb(self, book: OrderBook) -> None:
        """Cancel or modify something that was promised; the answer may be lost with the engine."""
        door = await self._seats.door(1)
        chance = self._random.random()
        if door is None:
            return
        command: dict[str, Any] | None = None
        if chance < CANCEL_SHARE and (found := book.pick_resting()) is not None:
            command = {"type": "cancel_orders", "numbers": [found.number]}
            self._tally.cancelled += 1
        elif chance < CANCEL_SHARE + MODIFY_SHARE and book.resting:
            found = self._random.choice(book.resting)
            change = {"price": book.other_price(found.price)}
            command = {"type": "modify_order", "number": found.number, "change": change}
            self._tally.modified += 1
        elif chance < CANCEL_SHARE + MODIFY_SHARE + BLIND_SHARE and book.newest:
            # Any of the newest, whatever has become of it.
            command = {"type": "cancel_orders", "numbers": [self._random.choice(book.newest)]}
            self._tally.cancelled += 1
        if command is not None:
            await self.submit(door, command)
