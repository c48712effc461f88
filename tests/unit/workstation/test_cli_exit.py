"""``workstation exit``: waits until it is flat, says so in time and rupees, and tells scripts how it ended."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.core.commands import Command, ExitPositions, Interpretation, Preview, Receipt, SentenceError, Violation
from engine.core.errors import EngineGone
from engine.core.identifiers import AccountId
from engine.core.plans import (
    ExitPlan,
    ExitScope,
    ExitTarget,
    PlanNumber,
    PlanProgress,
    PlanRecord,
    PlanState,
    PlanView,
)
from tests.kit.plain_engine import PlainEngine
from workstation.cli.exit import exit_positions, exit_sentence
from workstation.cli.exit_codes import ExitCode

TARGET = ExitTarget(scope=ExitScope.ACCOUNT)
NOW = datetime(2026, 11, 19, 5, 30, tzinfo=UTC)


class ExitEngine(PlainEngine):
    """Takes exits; its plan goes through ``states``, one a look."""

    def __init__(self, states: list[PlanState], *, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__()
        self.states = states
        self.violations = violations
        self.is_gone = False
        self.asked_keys: list[str | None] = []
        self.asked: ExitPositions | None = None

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        """Every sentence that begins with ``exit``."""
        if not text.startswith("exit all"):
            return Interpretation(text=text, error=SentenceError(message="No strategy.", place=5))
        return Interpretation(text=text, command=ExitPositions(target=TARGET, everything=True))

    async def preview(self, command: Command, *, seat: str = "") -> Preview:
        """One sentence."""
        return Preview(sentence="Exits all: buys back 65.", violations=self.violations)

    async def submit(self, command: Command, *, seat: str = "") -> Receipt:
        """Begins p7, or is gone."""
        assert isinstance(command, ExitPositions)
        self.asked = command
        self.asked_keys.append(command.idempotency_key)
        if self.is_gone:
            raise EngineGone("The engine does not answer.")
        return Receipt(accepted=True, message="p7: exit all.", plan=PlanNumber(7))

    async def plans(self) -> tuple[PlanView, ...]:
        """The plan as it stands at this look."""
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        record = PlanRecord(
            number=PlanNumber(7),
            account=AccountId("AB1234"),
            spec=ExitPlan(target=TARGET),
            state=state,
            idempotency_key=self.asked_keys[-1] or "",
            sentence="exit all",
            progress=PlanProgress(note=f"It is {state}."),
            created_at=NOW,
            updated_at=NOW,
        )
        return (PlanView(record=record, slippage=Decimal("-130.00"), elapsed_s=3.25),)


async def run(engine: ExitEngine, text: str = "exit all", **options: object) -> ExitCode:
    """The command with nothing asked."""
    defaults: dict[str, object] = {"dry_run": False, "yes": True, "key": "k1", "as_json": True, "wait_s": 5.0}
    return await exit_positions(engine, text, **(defaults | options))  # type: ignore[arg-type]


async def test_it_waits_until_flat_and_prints_time_and_slippage(capsys: pytest.CaptureFixture[str]) -> None:
    """Three looks later it is done: code 0, the figures in words and in the document."""
    engine = ExitEngine([PlanState.RUNNING, PlanState.RUNNING, PlanState.DONE])
    assert await run(engine, slippage_max=Decimal(500)) is ExitCode.DONE
    assert engine.asked is not None
    assert (engine.asked.idempotency_key, engine.asked.slippage_max) == ("k1", Decimal(500))
    said = capsys.readouterr()
    assert "p7 done: 3.2 s, slippage -130.00" in said.err
    document = json.loads(said.out)
    assert document["plans"][0]["slippage"] == "-130.00"
    assert document["sent"] is True


@pytest.mark.parametrize("state", [PlanState.FAILED, PlanState.CANCELLED])
async def test_what_ends_with_something_left_is_no_success(state: PlanState) -> None:
    """A script sees it by the code."""
    assert await run(ExitEngine([state])) is ExitCode.REFUSED


async def test_what_is_not_over_in_time_says_how_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    """It is under way: code 5, and the key that never begins it twice."""
    assert await run(ExitEngine([PlanState.RUNNING]), wait_s=0.0) is ExitCode.UNKNOWN_OUTCOME
    assert "--key k1" in capsys.readouterr().err


async def test_a_lost_answer_names_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    """The engine went away: it may have begun."""
    engine = ExitEngine([PlanState.RUNNING])
    engine.is_gone = True
    assert await run(engine, key=None, new_key=lambda: "made-1") is ExitCode.UNKNOWN_OUTCOME
    said = capsys.readouterr()
    assert "Repeat it with --key made-1" in said.err
    assert json.loads(said.out)["sent"] is None


async def test_nothing_is_sent_for_a_dry_run_a_refusal_or_wrong_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Looking costs nothing; a refusal and a wrong sentence have their own codes."""
    engine = ExitEngine([PlanState.DONE])
    assert await run(engine, dry_run=True) is ExitCode.DONE
    assert await run(engine, "exit fly") is ExitCode.USAGE
    refusing = ExitEngine([PlanState.DONE], violations=(Violation(check="net", message="It would open the net."),))
    assert await run(refusing, key=None) is ExitCode.REFUSED
    assert not engine.asked_keys
    assert not refusing.asked_keys
    assert "It would open the net." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "options", "sentence"),
    [
        (["3"], {}, "exit 3"),
        (["3", "50"], {}, "exit 3 50%"),
        (["all", "25%"], {"now": True}, "exit all 25% now"),
        (["3.ce"], {"patient": True}, "exit 3.ce patient"),
        (["3"], {"by": "15:12"}, "exit 3 flat by 15:12"),
    ],
)
def test_the_words_of_the_shell_are_one_sentence(words: list[str], options: dict[str, object], sentence: str) -> None:
    """A bare part is a percentage."""
    asked: dict[str, object] = {"now": False, "patient": False, "by": None} | options
    assert exit_sentence(words, **asked) == sentence  # type: ignore[arg-type]
