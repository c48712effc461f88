"""Pumps orders through the engine's socket and through commands, and kills the engine while they are in flight."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from tests.chaos.door import Door, DoorClosed, DoorRefused
from tests.chaos.exchange import TICK, Contract, Exchange, on_tick
from tests.chaos.program import Program, ProgramError
from tests.chaos.verdict import Evidence

WORKERS = 6
RATE_PER_S = 6.0
"""Below the account's 8 entries a second and 380 a minute, so that orders wait little."""
RETRY_S = 0.3
RETRIES_MAX = 300
QUOTES_S = 2.0
SETTLE_S = 120.0
COMMAND_EVERY = 25
"""Every so many orders one goes by the ``order`` command."""
LATER_CHECKS = frozenset({"book", "breaker", "engine", "journal", "queue", "quote", "writer", "login", "session"})
"""Refusals that pass: the same command is given again."""
FAULTS = (("drop_answer", 0.0), ("error_503", 0.0), ("html_502", 0.0), ("hold", 9.0), ("delay", 1.5))
OPEN_STATES = frozenset(
    {"QUEUED", "SENDING", "UNKNOWN", "ACCEPTED", "OPEN", "TRIGGER_PENDING", "MODIFYING", "CANCELLING"}
)


def say(words: str) -> None:
    """Tell the person at the terminal; standard output is for the result."""
    sys.stderr.write(f"{words}\n")


@dataclass
class Plan:
    """How much of what."""

    orders: int
    kills: int
    faults: int
    seed: int


@dataclass
class Tally:
    """What has happened so far."""

    promised: dict[str, int] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    repeated: int = 0
    kills: int = 0
    deaths: int = 0
    """The engine ended without being killed."""
    faults: int = 0
    modified: int = 0
    cancelled: int = 0
    commands: int = 0


class Driver:
    """One run.

    Args:
        program: The program under test.
        plan: How much of what.
    """

    def __init__(self, program: Program, plan: Plan) -> None:
        self._program = program
        self._plan = plan
        self._random = random.Random(plan.seed)  # noqa: S311 - a test's choices, repeatable by seed
        self._door: Door | None = None
        self._door_open = asyncio.Event()
        self._next_slot = 0.0
        self._contracts: list[Contract] = []
        self.exchange: Exchange
        self.tally = Tally()

    async def run(self) -> Evidence:
        """Start, pump, kill, settle, and gather the evidence."""
        await self._program.start_engine()
        self.exchange = Exchange(self._program.exchange_root)
        self._contracts = await self.exchange.contracts()
        await self.exchange.refresh(self._contracts)
        numbers = list(range(self._plan.orders))
        kill_at = set(self._random.sample(numbers[1:], min(self._plan.kills, max(0, len(numbers) - 1))))
        fault_at = set(self._random.sample(numbers, min(self._plan.faults, len(numbers))))
        todo = asyncio.Queue[int]()
        for number in numbers:
            todo.put_nowait(number)
        # One group: a helper that dies must end the run at once, or the workers wait for its door for ever.
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(self._keep_door_open()), group.create_task(self._keep_quotes())]
            async with asyncio.TaskGroup() as workers:
                for _ in range(WORKERS):
                    workers.create_task(self._work(todo, kill_at, fault_at))
            await self.exchange.clear_faults()
            await self._settle()
            for helper in helpers:
                helper.cancel()
        return await self._gather()

    # ---- pumping

    async def _work(self, todo: asyncio.Queue[int], kill_at: set[int], fault_at: set[int]) -> None:
        while not todo.empty():
            number = todo.get_nowait()
            await self._wait_for_slot()
            if number in fault_at:
                await self._arm_fault()
            sending = asyncio.ensure_future(self._send(number))
            if number in kill_at:
                # Anywhere between "not yet read" and "answered and journalled".
                await asyncio.sleep(self._random.choice([0.0, 0.002, 0.005, 0.01, 0.03, 0.1, 0.3]))
                await self._kill()
            await sending
            if number % 5 == 4:
                await self._disturb()

    async def _wait_for_slot(self) -> None:
        now = time.monotonic()
        slot = max(now, self._next_slot)
        self._next_slot = slot + 1 / RATE_PER_S
        await asyncio.sleep(slot - now)

    async def _send(self, number: int) -> None:
        """Give one order until it is taken or refused for good; always with the same key."""
        key = f"chaos-{self._plan.seed}-{number}"
        contract = self._random.choice([item for item in self._contracts if item.is_quoted])
        request, sentence = self._order(contract)
        if number % COMMAND_EVERY == COMMAND_EVERY - 1:
            await self._send_by_command(key, sentence)
            return
        command = {"type": "place_order", "request": request, "idempotency_key": key}
        for _ in range(RETRIES_MAX):
            await self._door_open.wait()
            door = self._door
            if door is not None:
                with contextlib.suppress(DoorClosed, DoorRefused):
                    if self._take_receipt(key, await door.call("submit", command=command)):
                        return
            await asyncio.sleep(RETRY_S)
        raise ProgramError(f"{key} was neither taken nor refused in {RETRIES_MAX} attempts")

    async def _send_by_command(self, key: str, sentence: str) -> None:
        """The same by ``workstation order``; only while an engine runs, so that the command starts none of its own."""
        self.tally.commands += 1
        for _ in range(RETRIES_MAX):
            await self._door_open.wait()
            code, out, _ = await self._program.command("order", sentence, "--yes", "--json", "--key", key)
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
            if self.tally.promised.setdefault(key, number) != number:
                raise ProgramError(f"{key} was promised o{self.tally.promised[key]} and then o{number}")
            self.tally.repeated += bool(receipt.get("repeated"))
            return True
        checks = {violation["check"] for violation in receipt.get("violations", [])}
        if checks & LATER_CHECKS:
            return False
        self.tally.refused[key] = str(receipt.get("message"))
        return True

    def _order(self, contract: Contract) -> tuple[dict[str, Any], str]:
        side = self._random.choice(["BUY", "SELL"])
        lots = self._random.randint(1, 3)
        quantity = contract.lot * lots
        chance = self._random.random()
        touch = contract.ask if side == "BUY" else contract.bid
        sign = 1 if side == "BUY" else -1
        if chance < 0.55:
            price = touch + sign * 0.10
        elif chance < 0.92:
            price = touch * (1 - sign * 0.15)
        else:
            price, quantity = touch, quantity + 1
        request = {
            "instrument": {"exchange": contract.exchange, "tradingsymbol": contract.symbol},
            "side": side,
            "quantity": quantity,
            "order_type": "LIMIT",
            "product": "NRML",
            "price": on_tick(price),
        }
        words = f"{side.lower()} {lots}L nifty {contract.strike} {contract.kind.lower()} w0 @ {on_tick(price)}"
        return request, words

    async def _disturb(self) -> None:
        """Cancel or modify something that was promised; the answer may be lost with the engine."""
        door = self._door
        if door is None or not self.tally.promised:
            return
        try:
            rows = await door.call("orders")
            resting = [row for row in rows if row["state"] == "OPEN"]
            if self._random.random() < 0.5 or not resting:
                # Any of the newest, whatever has become of it.
                number = self._random.choice(list(self.tally.promised.values())[-20:])
                await door.call("submit", command={"type": "cancel_orders", "numbers": [number]})
                self.tally.cancelled += 1
            else:
                row = self._random.choice(resting)
                price = on_tick(float(row["request"]["price"]) + self._random.choice([-TICK, TICK]))
                change = {"type": "modify_order", "number": row["number"], "change": {"price": price}}
                await door.call("submit", command=change)
                self.tally.modified += 1
        except (DoorClosed, DoorRefused):
            return

    # ---- kills and faults

    async def _arm_fault(self) -> None:
        kind, seconds = self._random.choice(FAULTS)
        await self.exchange.arm(kind, seconds=seconds)
        self.tally.faults += 1

    async def _kill(self) -> None:
        await self._door_open.wait()
        self._door_open.clear()
        self.tally.kills += 1
        await self._program.kill_engine()

    async def _keep_door_open(self) -> None:
        """Start an engine whenever there is none, and keep one connection to it."""
        while True:
            if not self._program.is_running:
                await self._program.start_engine()
            try:
                async with Door(self._program.socket) as door:
                    self._door = door
                    self._door_open.set()
                    await door.closed()
            except DoorClosed:
                await asyncio.sleep(RETRY_S)
            finally:
                self._door = None
                self._door_open.clear()
            if not self._program.is_running and not self._program.may_end:
                self.tally.deaths += 1
                say(f"the engine ended by itself: {self._program.last_words()}")

    async def _keep_quotes(self) -> None:
        while True:
            await asyncio.sleep(QUOTES_S)
            with contextlib.suppress(OSError):
                await self.exchange.refresh(self._contracts)

    # ---- the end

    async def _settle(self) -> None:
        """Cancel what rests, and wait until nothing is on its way any more."""
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            await self._door_open.wait()
            door = self._door
            if door is None:
                continue
            try:
                rows = await door.call("orders")
                if not any(row["state"] in OPEN_STATES for row in rows) and await self._fills_agree(door, rows):
                    return
                await door.call("submit", command={"type": "cancel_orders", "everything": True})
            except (DoorClosed, DoorRefused) as error:
                say(f"settling: {error}")
            await asyncio.sleep(1.0)

    async def _fills_agree(self, door: Door, rows: list[dict[str, Any]]) -> bool:
        trades = await door.call("trades")
        return bool(sum(row["filled_quantity"] for row in rows) == sum(row["quantity"] for row in trades))

    async def _gather(self) -> Evidence:
        strategies = await self._program.listing("strategies")
        return Evidence(
            ours=await self._program.listing("orders"),
            our_trades=await self._program.listing("trades"),
            our_legs=[value["leg"] for strategy in strategies for value in strategy["legs"]],
            theirs=await self.exchange.orders(),
            their_trades=await self.exchange.trades(),
            posts_by_tag=await self.exchange.posts_by_tag(),
            their_net=await self.exchange.net_positions(),
            promised=dict(self.tally.promised),
            refused=frozenset(self.tally.refused),
        )
