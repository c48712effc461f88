"""The engine room, the doctor, the rules and the tape of the fake engine: a state that a test sets and reads."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec

from engine.core.errors import InvalidInput, Refused, WorkstationError
from engine.core.identifiers import AccountId
from engine.core.operations import (
    AccountHealth,
    ConnectionView,
    GapView,
    OperationsView,
    QueueView,
    RecorderView,
    RefusedView,
)
from engine.core.replay import SPEED_MAX, SPEED_MIN, ReplayAction, ReplayView
from engine.core.rulebook import Certainty, Contradiction, RuleRow, RulesView
from engine.core.views import Check, DoctorView
from engine.core.vocabulary import QuoteState
from tests.kit.fake_market import FixedClock
from tests.kit.plain_market_data import CAPACITY, PlainMarketData

TAPE_START = datetime(2027, 1, 14, 3, 45, tzinfo=UTC)
"""09:15 in India."""
TAPE_END = datetime(2027, 1, 14, 10, 10, tzinfo=UTC)
FRAMES_A_SECOND = 4


def socket(number: int, **changes: Any) -> ConnectionView:
    """A healthy connection, then ``changes``."""
    view = ConnectionView(
        number=number,
        account="AB1234",
        state=QuoteState.LIVE,
        up=True,
        subscribed=(2_980, 1_240, 36)[number],
        capacity=CAPACITY,
        byte_age_s=0.2,
        packet_age_s=0.4,
        packets=1_284_300 // (number + 1),
        packets_per_s=4_120.4 / (number + 1),
        bytes=236_900_000 // (number + 1),
        bad_frames=0,
        unknown_packets=0,
        reconnects=0,
        silent_replaced=0,
        message="",
    )
    return msgspec.structs.replace(view, **changes)


def account(name: str, **changes: Any) -> AccountHealth:
    """A healthy account, then ``changes``."""
    health = AccountHealth(
        account=AccountId(name),
        name=name.lower(),
        roles=("data", "orders", "reads"),
        state="ok",
        token_until=datetime(2027, 1, 15, 0, 30, tzinfo=UTC),
        reads=1_412,
        failures=0,
        limited=3,
        last_error="",
    )
    return msgspec.structs.replace(health, **changes)


def room(at: datetime) -> OperationsView:
    """An engine room where nothing is amiss."""
    return OperationsView(
        at=at,
        connections=(socket(0), socket(1), socket(2)),
        capacity=3 * CAPACITY,
        subscribed=4_256,
        consumers=(
            ("positions and orders", 9),
            ("chain NIFTY 2027-01-19", 210),
            ("chain BANKNIFTY 2027-01-28", 184),
            ("strip", 5),
            ("strike window", 3_848),
        ),
        refused=(),
        states={"LIVE": 4_201, "ONE_SIDED": 52, "FROZEN": 1, "CROSSED": 2},
        queues=(
            QueueView(
                name="recorder",
                waiting=1_310_720,
                limit=64_000_000,
                dropped=0,
                policy="the newest frame is not recorded",
            ),
            QueueView(name="candles", waiting=12, limit=100_000, dropped=0, policy="the reader waits"),
        ),
        recorder=RecorderView(
            recording=False, path="", segments=0, bytes=0, frames=0, since=None, lag_s=0.0, dropped=0
        ),
        gaps=GapView(instruments=0, minutes=0, filled=0, waiting=0, eta_s=None),
        accounts=(account("AB1234"), account("CD5678", roles=("data",), reads=0, limited=0)),
        instruments_day=date(2027, 1, 14),
        instruments_rows=40_112,
        instruments_note="",
        loop_lag_ms=1.4,
        degraded=(),
    )


def tape(**changes: Any) -> ReplayView:
    """A day that stands at 11:02:41, paused, then ``changes``."""
    view = ReplayView(
        tape="2027-01-14-live",
        start=TAPE_START,
        end=TAPE_END,
        now=datetime(2027, 1, 14, 5, 32, 41, tzinfo=UTC),
        speed=1.0,
        state="paused",
        frames=25_841,
    )
    return msgspec.structs.replace(view, **changes)


RULE_ROWS = (
    RuleRow(
        topic="lot",
        subject="NIFTY",
        value="65 units from the contracts of January 2026 on",
        since=date(2026, 1, 6),
        source="NSE/FAOP/70616",
        certainty=Certainty.HIGH,
        checked=date(2026, 11, 1),
    ),
    RuleRow(
        topic="session",
        subject="NFO",
        value="09:15 to 15:40; closing auction of the cash market 15:15 to 15:35",
        since=date(2026, 12, 7),
        source="NSE/FAOP/74112",
        certainty=Certainty.HIGH,
        checked=date(2026, 11, 1),
    ),
    RuleRow(
        topic="budget",
        subject="orders",
        value="9 orders a second, 4,800 a day and account",
        since=None,
        source="broker's forum",
        certainty=Certainty.LOW,
        checked=date(2026, 10, 9),
    ),
    RuleRow(
        topic="charges",
        subject="STT options",
        value="0.15% of the premium, on sales",
        since=date(2026, 4, 1),
        until=date(2027, 3, 31),
        source="Finance Act 2026",
        certainty=Certainty.MEDIUM,
        checked=date(2026, 11, 1),
    ),
)


class FakeEngineRoom(PlainMarketData):
    """Answers of the moment by the fake clock; ``…_failing`` is a sentence that is raised instead."""

    clock: FixedClock

    def __init__(self) -> None:
        super().__init__()
        self.room = room(self.clock.market_now())
        self.room_calls = 0
        self.room_failing = ""
        self.room_hangs = False
        self.record_failing = ""
        self.checks: tuple[Check, ...] = (
            Check(name="login", outcome="ok", message="AB1234 main, good until Fri 06:00"),
            Check(name="clock", outcome="ok", message="+0.04s against the exchange, limit 0.50s"),
            Check(name="instruments", outcome="ok", message="40,112 rows of today; lots agree with the rule pack"),
        )
        self.doctor_calls = 0
        self.doctor_failing = ""
        self.rule_rows = RULE_ROWS
        self.unknown_rules: tuple[str, ...] = ()
        self.rules_asked: list[date | None] = []
        self.replay_asked: list[ReplayAction] = []
        self.replay_failing = ""
        self.seeks_take_time = False
        """While true a seek stays under way until ``arrive``."""

    def touch(self) -> None:
        """Publish a new picture of the Desk."""

    def set_room(self, **changes: Any) -> None:
        """Change the engine room."""
        self.room = msgspec.structs.replace(self.room, **changes)

    async def operations(self) -> OperationsView:
        """The room, as of now."""
        self.room_calls += 1
        if self.room_hangs:
            await asyncio.Event().wait()
        if self.room_failing:
            raise WorkstationError(self.room_failing)
        return msgspec.structs.replace(self.room, at=self.clock.market_now())

    async def record(self, on: bool) -> OperationsView:
        """Begin or end a tape."""
        if self.record_failing:
            raise Refused(self.record_failing)
        recorder = RecorderView(
            recording=on,
            path="tapes/2027-01-14-live" if on else "",
            segments=int(on),
            bytes=0,
            frames=0,
            since=self.clock.market_now() if on else None,
            lag_s=0.1,
            dropped=0,
        )
        self.set_room(recorder=recorder)
        self.recording = on
        return self.room

    async def renew_session(self, account: str = "") -> OperationsView:
        """The account is well again."""
        self.renewed.append(account)
        accounts = [
            msgspec.structs.replace(item, state="ok", last_error="") if item.account == account else item
            for item in self.room.accounts
        ]
        self.set_room(accounts=tuple(accounts))
        return self.room

    async def doctor(self) -> DoctorView:
        """The checks that were set."""
        self.doctor_calls += 1
        if self.doctor_failing:
            raise WorkstationError(self.doctor_failing)
        return DoctorView(at=self.clock.market_now(), checks=self.checks)

    async def rules(self, on: date | None = None) -> RulesView:
        """The rows of the day: those that have begun and not ended."""
        self.rules_asked.append(on)
        day = on or self.clock.market_now().date()
        rows = tuple(
            row
            for row in self.rule_rows
            if (row.since is None or row.since <= day) and (row.until is None or day <= row.until)
        )
        return RulesView(
            on=day,
            rows=rows,
            contradictions=self.contradictions,
            unknown=self.unknown_rules,
            at=self.clock.market_now(),
        )

    async def replay(self, action: ReplayAction | None = None) -> ReplayView:
        """Do as told; a seek is done at once unless it is to take time."""
        standing = self.tape
        if standing is None:
            raise Refused("This venue plays no tape; open one with `workstation replay TAPE`.")
        if action is None:
            return standing
        self.replay_asked.append(action)
        if self.replay_failing:
            raise Refused(self.replay_failing)
        if action.speed is not None and not SPEED_MIN <= action.speed <= SPEED_MAX:
            raise InvalidInput(f"The speed {action.speed:g} is not between {SPEED_MIN:g} and {SPEED_MAX:g}.")
        if action.seek is not None and not standing.start <= action.seek <= standing.end:
            raise InvalidInput("That moment is not on the tape.", field="seek")
        self.set_tape(**_changes(standing, action, takes_time=self.seeks_take_time))
        assert self.tape is not None
        return self.tape

    def set_tape(self, **changes: Any) -> None:
        """Put the tape there, or change where it stands."""
        self.tape = msgspec.structs.replace(self.tape if self.tape is not None else tape(), **changes)
        self.touch()

    def arrive(self, state: str = "paused") -> None:
        """The seek under way is done."""
        assert self.tape is not None
        self.set_tape(now=self.tape.target or self.tape.now, target=None, state=state)


def _changes(standing: ReplayView, action: ReplayAction, *, takes_time: bool) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if action.play is False:
        changes["state"] = "paused"
    if action.seek is not None:
        changes |= {"target": action.seek, "state": "seeking"} if takes_time else {"now": action.seek}
    if action.step_frames is not None:
        moved = timedelta(seconds=action.step_frames / FRAMES_A_SECOND)
        changes |= {"now": standing.now + moved, "frames": standing.frames + action.step_frames, "state": "paused"}
    if action.speed is not None:
        changes["speed"] = action.speed
    if action.play and "target" not in changes:
        changes["state"] = "playing"
    return changes


def amiss(at: datetime) -> OperationsView:
    """An engine room where one thing of each kind is wrong."""
    view = room(at)
    return msgspec.structs.replace(
        view,
        connections=(
            socket(0),
            socket(
                1,
                state=QuoteState.STALE,
                byte_age_s=7.2,
                packet_age_s=7.2,
                packets_per_s=0.0,
                bad_frames=3,
                unknown_packets=17,
                reconnects=2,
                silent_replaced=1,
                message="nothing was heard for 7 s; it is being replaced",
            ),
            socket(
                2,
                state=QuoteState.STALE,
                up=False,
                byte_age_s=None,
                packet_age_s=None,
                packets_per_s=float("nan"),
                message="403: the session of CD5678 has ended",
            ),
        ),
        refused=(
            RefusedView(
                consumer="strike window",
                priority=5,
                instruments=("NFO:NIFTY27FEB2524000CE", "NFO:NIFTY27FEB2524000PE", "NFO:NIFTY27FEB2524050CE"),
                count=120,
            ),
        ),
        subscribed=9_000,
        states={"LIVE": 2_980, "STALE": 1_240, "ONE_SIDED": 52, "UNKNOWN": 36},
        queues=(
            msgspec.structs.replace(
                view.queues[0], waiting=64_000_000, dropped=812, message="1,204 records; waiting and limit are bytes"
            ),
            view.queues[1],
        ),
        recorder=RecorderView(
            recording=True,
            path="tapes/2027-01-14-live",
            segments=4,
            bytes=812_400_000,
            frames=812_411,
            since=at - timedelta(minutes=108),
            lag_s=2.4,
            dropped=812,
            message="812 frames were left out because the disk did not keep up.",
        ),
        gaps=GapView(instruments=14, minutes=420, filled=180, waiting=8, eta_s=3.0),
        accounts=(
            account("AB1234", state="limited", limited=41, last_error="429: too many requests"),
            account("CD5678", roles=("data",), state="login needed", last_error="403: Incorrect `access_token`"),
        ),
        instruments_note="of yesterday: today's dump was not there at 08:30",
        loop_lag_ms=61.0,
        degraded=("feed: connection 1 is silent and is being replaced",),
    )


CONTRADICTIONS = (
    Contradiction(
        topic="lot",
        subject="BANKNIFTY",
        rule="30",
        dump="35",
        message="BANKNIFTY: the rule pack says 30 a lot, the dump of today 35; the dump wins.",
    ),
)
