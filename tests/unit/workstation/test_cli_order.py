"""``workstation order``: nothing is sent that was not meant, and what is not known is not called done."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import sys
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from engine.core.commands import Command, Interpretation, PlaceOrder, Preview, Receipt, Violation
from engine.core.errors import EngineGone, StorageTimeout
from engine.core.identifiers import AccountId
from engine.core.orders import OrderRecord, OrderState
from tests.kit.local_door import until
from tests.kit.plain_engine import PlainEngine
from workstation.cli.exit_codes import ExitCode
from workstation.cli.order import order


class StubbornEngine(PlainEngine):
    """A plain engine whose orders stay in a chosen state."""

    def __init__(self, state: OrderState | None = None) -> None:
        super().__init__()
        self.state = state
        self.preview_breaks = False

    async def submit(self, command: Command, *, seat: str = "") -> Receipt:
        """Do it, and report the chosen state."""
        receipt = await super().submit(command, seat=seat)
        return msgspec.structs.replace(receipt, orders=self._dressed(receipt.orders))

    async def orders(self) -> tuple[OrderRecord, ...]:
        """In the chosen state too."""
        self._fail("orders")
        return self._dressed(await super().orders())

    def _dressed(self, records: tuple[OrderRecord, ...]) -> tuple[OrderRecord, ...]:
        if self.state is None:
            return records
        return tuple(msgspec.structs.replace(record, state=self.state) for record in records)

    def _violations(self, request: Any) -> tuple[Violation, ...]:
        if self.preview_breaks:
            return (Violation(check="quote", message="The quote is 9 s old; 5 s at most."),)
        return super()._violations(request)


async def run(engine: PlainEngine, text: str | None = None, **options: Any) -> ExitCode:
    """One command, with ``--yes`` unless said otherwise."""
    chosen: dict[str, Any] = {"dry_run": False, "yes": True, "key": None, "as_json": True, "wait_s": 0.0, **options}
    text = f"buy {engine.instruments[0].tradingsymbol}" if text is None else text
    return await order(engine, text, new_key=lambda: "fresh-key", **chosen)


def printed(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, Any], str]:
    """The JSON on standard output, and the words on standard error."""
    output = capsys.readouterr()
    return json.loads(output.out), output.err


async def test_an_order_is_sent_once_with_a_key_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """The key is in the command and in the result."""
    engine = PlainEngine()
    assert await run(engine) is ExitCode.DONE
    (command, _seat), result = engine.submitted[0], printed(capsys)[0]
    assert isinstance(command, PlaceOrder)
    assert command.idempotency_key == result["key"] == "fresh-key"
    assert result["sent"] is True
    assert len(engine.submitted) == 1


async def test_a_dry_run_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """It only shows."""
    engine = PlainEngine()
    assert await run(engine, dry_run=True) is ExitCode.DONE
    assert printed(capsys)[0]["sent"] is False
    assert not engine.submitted


async def test_a_dry_run_tells_the_charges(capsys: pytest.CaptureFixture[str]) -> None:
    """Of the order and of the round trip, as exact amounts in words and in the JSON; without them, why."""

    class Charging(PlainEngine):
        charges: Decimal | None = Decimal("27.35")
        back: Decimal | None = Decimal("58.53")
        told: tuple[str, ...] = ()

        async def preview(self, command: Command, *, seat: str = "") -> Preview:
            made = await super().preview(command, seat=seat)
            return msgspec.structs.replace(
                made, charges=self.charges, round_trip_charges=self.back, charge_notes=self.told
            )

    engine = Charging()
    assert await run(engine, dry_run=True) is ExitCode.DONE
    result, words = printed(capsys)
    assert "  charges 27.35 when it fills wholly, 58.53 for the round trip, leaving at the present touch\n" in words
    assert result["preview"]["round_trip_charges"] == "58.53"
    engine.back, engine.told = None, ("Nobody bids for it now.",)
    await run(engine, dry_run=True)
    _, words = printed(capsys)
    assert "  charges 27.35 when it fills wholly\n  charges Nobody bids for it now.\n" in words
    assert "round trip" not in words
    engine.charges, engine.told = None, ()
    await run(engine, dry_run=True)
    assert "charges" not in printed(capsys)[1]


async def test_a_slip_is_pointed_at(capsys: pytest.CaptureFixture[str]) -> None:
    """The place of the fault stands under the sentence, and in the JSON."""
    engine = PlainEngine()
    assert await run(engine, "bye everything") is ExitCode.USAGE
    result, words = printed(capsys)
    assert result["error"]["place"] == 0
    assert "bye everything\n^^^" in words


async def test_a_broken_check_is_never_submitted_even_with_yes(capsys: pytest.CaptureFixture[str]) -> None:
    """What the person saw was a refusal: if the check passes a moment later nothing may go out unseen."""
    engine = StubbornEngine()
    engine.preview_breaks = True
    assert await run(engine) is ExitCode.REFUSED
    assert not engine.submitted
    result, words = printed(capsys)
    assert result["sent"] is False
    assert "9 s old" in words


async def test_a_known_key_is_looked_up_in_spite_of_a_broken_check(capsys: pytest.CaptureFixture[str]) -> None:
    """Repeating after an unknown outcome finds the first order although the market has closed meanwhile."""
    engine = StubbornEngine()
    await run(engine, key="mine")
    engine.preview_breaks = True
    capsys.readouterr()
    assert await run(engine, key="mine") is ExitCode.DONE
    assert printed(capsys)[0]["receipt"]["repeated"] is True
    assert len(await engine.orders()) == 1


@pytest.mark.parametrize("error", [EngineGone("no answer in 10 s"), StorageTimeout("no commit in 5 s")])
async def test_a_lost_answer_is_an_unknown_outcome(capsys: pytest.CaptureFixture[str], error: Exception) -> None:
    """Not «not done»: the person is told how to look and how to repeat without doubling."""
    engine = PlainEngine()
    engine.failures["submit"] = error
    assert await run(engine) is ExitCode.UNKNOWN_OUTCOME
    result, words = printed(capsys)
    assert result["sent"] is None
    assert "--key fresh-key" in words


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (OrderState.QUEUED, ExitCode.UNKNOWN_OUTCOME),
        (OrderState.SENDING, ExitCode.UNKNOWN_OUTCOME),
        (OrderState.UNKNOWN, ExitCode.UNKNOWN_OUTCOME),
        (OrderState.PRESUMED_ABSENT, ExitCode.UNKNOWN_OUTCOME),
        (OrderState.REJECTED, ExitCode.REFUSED),
        (OrderState.NOT_SENT, ExitCode.REFUSED),
        (OrderState.OPEN, ExitCode.DONE),
        (OrderState.ACCEPTED, ExitCode.DONE),
        (OrderState.COMPLETE, ExitCode.DONE),
        (OrderState.CANCELLED, ExitCode.DONE),
    ],
)
async def test_the_exit_code_says_what_is_known(state: OrderState, code: ExitCode) -> None:
    """For a script, each state after the wait has one meaning."""
    assert await run(StubbornEngine(state)) is code


async def test_an_engine_lost_after_accepting_leaves_the_outcome_open(capsys: pytest.CaptureFixture[str]) -> None:
    """The order is under way; that is not an error of the command and not «done» either."""
    engine = StubbornEngine(OrderState.QUEUED)
    engine.failures["orders"] = EngineGone("the engine has ended")
    assert await run(engine, wait_s=5.0) is ExitCode.UNKNOWN_OUTCOME
    assert "the engine has ended" in printed(capsys)[1]


async def test_a_refusal_of_the_engine_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """The reasons are on standard error, the receipt in the JSON."""
    engine = PlainEngine()
    assert await run(engine, "buy NOSUCH", key="k") is ExitCode.REFUSED
    result, words = printed(capsys)
    assert result["receipt"]["accepted"] is False
    assert "not listed" in words


async def test_without_a_terminal_nothing_is_sent_unasked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A script must say ``--yes``."""
    with open(os.devnull, encoding="utf-8") as nothing:  # noqa: ASYNC230, PTH123 - opens at once
        monkeypatch.setattr(sys, "stdin", nothing)
        engine = PlainEngine()
        assert await run(engine, yes=False) is ExitCode.REFUSED
    assert "--yes" in printed(capsys)[1]
    assert not engine.submitted


@pytest.mark.parametrize(("typed", "sent"), [("y\n", 1), ("Yes\n", 1), ("\n", 0), ("n\n", 0), ("yy\n", 0)])
async def test_only_a_yes_on_the_terminal_sends(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], typed: str, sent: int
) -> None:
    """Enter alone never sends."""
    master, slave = pty.openpty()
    with os.fdopen(slave, encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        os.write(master, typed.encode())
        engine = PlainEngine()
        await run(engine, yes=False)
    os.close(master)
    assert len(engine.submitted) == sent


async def test_an_interrupt_at_the_question_ends_it_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is sent, and nobody has to press Enter first."""
    master, slave = pty.openpty()
    with os.fdopen(slave, encoding="utf-8") as terminal:
        monkeypatch.setattr(sys, "stdin", terminal)
        engine = PlainEngine()
        asking = asyncio.create_task(run(engine, yes=False))
        words = ""

        def asked() -> bool:
            nonlocal words
            words += capsys.readouterr().err
            return "Send?" in words

        await until(asked, "the question")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    os.close(master)
    assert not engine.submitted


async def test_the_sentence_is_read_for_the_named_account() -> None:
    """The engine is asked what it means for this one, and the command is for it."""
    engine = PlainEngine()
    asked: list[AccountId | None] = []
    plain = engine.interpret

    async def interpret(text: str, account: AccountId | None = None) -> Interpretation:
        asked.append(account)
        return await plain(text, account)

    engine.interpret = interpret  # type: ignore[method-assign]
    await run(engine, account="CD5678", dry_run=True)
    await run(engine, dry_run=True)
    assert asked == ["CD5678", None]
