"""The end of a run: what rests is taken back, nothing moves any more, every key is asked again, and both sides tell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tests.chaos.door import Door, DoorRefused
from tests.chaos.errands import NOT_DONE, OPEN, Errands
from tests.chaos.events import Watch
from tests.chaos.evidence import Evidence, our_positions, their_positions
from tests.chaos.exchange import Exchange, Row, effective_posts, effective_requests
from tests.chaos.intents import Intent, Kind
from tests.chaos.plan import Tally
from tests.chaos.program import Program, ProgramError
from tests.chaos.seats import Seats
from tests.chaos.verdict_plans import KEY

SETTLE_S = 300.0
SETTLE_LOOK_S = 0.6
PLANS_S = 6.0
"""How long plans may come to their end by themselves before they are cancelled."""
ASKED = frozenset({Kind.TRIGGER, Kind.CONVERSION})
"""Whose keys are asked again at the end: the answer says what became of them."""
OVER = frozenset({"DONE", "CANCELLED", "FAILED", "DROPPED"})
MOVING = frozenset({"QUEUED", "SENDING", "UNKNOWN", "ACCEPTED", "OPEN", "TRIGGER_PENDING", "MODIFYING", "CANCELLING"})
FINAL = frozenset({"COMPLETE", "REJECTED", "CANCELLED"})
ACTIVE = "active"


class Ending:
    """Ends a run.

    Args:
        program: The program under test.
        exchange: The exchange.
        seats: Connections.
        tally: What was promised.
        errands: Takes triggers back.
        watch: What the exchange has told of each order.
        say: Tells the person at the terminal.
    """

    def __init__(
        self,
        *,
        program: Program,
        exchange: Exchange,
        seats: Seats,
        tally: Tally,
        errands: Errands,
        watch: Watch,
        say: Callable[[str], None],
    ) -> None:
        self._program = program
        self._exchange = exchange
        self._seats = seats
        self._tally = tally
        self._errands = errands
        self._watch = watch
        self._say = say
        self.waits_for = ""
        """Why it is not over yet."""

    async def keep_plans(self, door: Door) -> list[Row]:
        """Take down how all plans stand that the program still lists, and which are not over."""
        rows: list[Row] = await door.call("plans")
        for row in rows:
            self._tally.plan_records[int(row["record"]["number"])] = row["record"]
        return [row["record"] for row in rows if row["record"]["state"] not in OVER]

    async def settle(self) -> None:
        """Cancel what rests, and wait until nothing is on its way any more, on either side."""
        deadline, patience = time.monotonic() + SETTLE_S, time.monotonic() + PLANS_S
        while time.monotonic() < deadline:
            door = await self._seats.door()
            if door is None:
                continue
            try:
                self.waits_for = await self._what_moves(door, may_wait=time.monotonic() < patience)
                if not self.waits_for:
                    return
            except DoorRefused as error:
                self.waits_for = str(error)
            except self._exchange.passing as error:  # the door's end is an OSError too
                self.waits_for = str(error)
            await asyncio.sleep(SETTLE_LOOK_S)
        self._say(f"not settled within {SETTLE_S:g} s: {self.waits_for}")

    async def _what_moves(self, door: Door, *, may_wait: bool) -> str:
        """Why it is not over; empty when it is. Whatever can be ended is told to end."""
        running = await self.keep_plans(door)
        if running:
            if not may_wait:
                for record in running:
                    await door.call("submit", command={"type": "cancel_plan", "number": record["number"]})
            return f"{[(record['number'], record['state'], record['progress']['note']) for record in running[:3]]} run"
        standing = [row for row in await self._exchange.triggers() if row["status"] == ACTIVE]
        for row in standing:
            await self._take_back(door, row)
        await door.call("submit", command={"type": "cancel_orders", "everything": True})
        unfinished = [row["seq"] for row in self._exchange.requests() if not row.get("outcome")]
        if unfinished or standing:
            return f"requests {unfinished[:5]} are not finished there, {len(standing)} triggers stood"
        theirs = await self._exchange.orders()
        resting = [row["order_id"] for row in theirs if row["status"] not in FINAL]
        rows = await door.call("orders")
        moving = [f"o{row['number']} {row['state']}" for row in rows if row["state"] in MOVING]
        if resting or moving:
            return f"resting there {resting[:5]}, moving here {moving[:5]}"
        there, here = _filled(theirs), sum(int(row["quantity"]) for row in await door.call("trades"))
        if here != there:
            return f"{here} units booked here, {there} traded there"
        there_held = their_positions(await self._exchange.net_positions())
        apart = there_held.items() ^ our_positions(legs_of(await door.call("strategies"))).items()
        if apart:
            return f"not held alike: {sorted(apart)[:4]}"
        if unsure := await self._ask_again(door):
            return f"not known yet: {unsure[:5]}"
        claimed = {(intent.account, intent.trigger) for intent in self._tally.intents.values()}
        triggers = await self._exchange.triggers()
        if unclaimed := [row["id"] for row in triggers if (row["account"], row["id"]) not in claimed]:
            return f"triggers {unclaimed[:5]} stand there and are nobody's here"
        found = mismatches(await door.call("execution_health"))
        return f"the engine itself finds {found[:5]}" if found else ""

    async def _take_back(self, door: Door, row: Row) -> None:
        """Delete a trigger that stands; whose it is is known when its answer was not lost."""
        owner = next(
            (
                item
                for item in self._tally.intents.values()
                if (item.account, item.trigger) == (row["account"], row["id"])
            ),
            None,
        )
        if owner is not None:
            await self._errands.delete(owner)
        else:
            await door.call(
                "submit", command={"type": "delete_gtt", "trigger_id": row["id"], "account": row["account"]}
            )

    async def _ask_again(self, door: Door) -> list[str]:
        """Give every trigger and conversion that was journalled once more, under its key; which are not known yet."""
        unsure = []
        for intent in self._tally.intents.values():
            if intent.kind not in ASKED or not intent.is_journalled or intent.state in {"DONE", *NOT_DONE}:
                continue
            answer = await self._ask(door, intent)
            if answer.get("instruction_state") in OPEN:
                unsure.append(f"{intent.key} {answer['instruction_state']}")
        return unsure

    async def _ask(self, door: Door, intent: Intent) -> Row:
        command = intent.command | {"idempotency_key": intent.key, "account": intent.account}
        answer: Row = await door.call("submit", command=command)
        if answer.get("instruction") is None:
            intent.broken.append(f"{intent.kind} {intent.key} was journalled and is not known: {answer.get('message')}")
        intent.take(answer)
        return answer

    async def gather(self) -> Evidence:
        """Both sides' listings.

        Raises:
            ProgramError: a command failed, or there is no engine any more.
        """
        door = await self._seats.door()
        if door is None:
            raise ProgramError("the engine went away at the end")
        for intent in self._tally.intents.values():
            if intent.kind in ASKED and intent.is_journalled:
                await self._ask(door, intent)
        await self.keep_plans(door)
        names = (("strategies",), ("orders",), ("trades",), ("why",), ("gtt", "list"))
        strategies, ours, our_trades, health, triggers = await asyncio.gather(
            *(self._program.listing(*name) for name in names)
        )
        requests = self._exchange.requests()
        return Evidence(
            ours=ours,
            our_trades=our_trades,
            our_legs=legs_of(strategies),
            theirs=await self._exchange.orders(),
            their_trades=await self._exchange.trades(),
            posts_by_tag=effective_posts(requests),
            mismatches=tuple(mismatches(health)),
            their_net=await self._exchange.net_positions(),
            promised=dict(self._tally.promised),
            accounts=dict(self._tally.accounts),
            refused=frozenset(self._tally.refused),
            broken=tuple(self._tally.broken),
            intents=tuple(self._tally.intents.values()),
            our_plans=list(self._tally.plan_records.values()),
            our_triggers=triggers,
            their_triggers=await self._exchange.triggers(),
            trigger_posts=effective_requests(requests, "POST", "/gtt/"),
            conversion_puts=effective_requests(requests, "PUT", "/portfolio/positions"),
            outside_tags=frozenset(self._tally.outside_tags),
            histories=await self._histories(door, ours),
            accepted_at=dict(self._watch.accepted_at),
            requests=requests,
        )

    async def _histories(self, door: Door, ours: list[Row]) -> dict[int, list[Row]]:
        """The journal's lines of the orders of exits, whose haste makes them most of the trouble."""
        exits = {item.plan for item in self._tally.intents.values() if item.kind is Kind.EXIT}
        numbers = [
            int(order["number"])
            for order in ours
            if (match := KEY.match(order.get("idempotency_key") or "")) is not None and int(match[1]) in exits
        ]
        return {number: await door.call("order_history", number=number) for number in numbers}


def mismatches(health: list[Row]) -> list[str]:
    """What the engine's own reconciliation has found and not explained, of all accounts."""
    return [str(words) for row in health for words in row["mismatches"]]


def legs_of(strategies: list[Row]) -> list[Row]:
    """Legs of all strategies, each with its account."""
    return [
        {**value["leg"], "account": strategy["strategy"]["account"]}
        for strategy in strategies
        for value in strategy["legs"]
    ]


def _filled(rows: list[dict[str, Any]]) -> int:
    return sum(int(row["filled_quantity"]) for row in rows)
