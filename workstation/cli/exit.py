"""``workstation exit STRATEGY|all``: leave, wait until flat, and print the time and the slippage it took."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from engine.client import EngineClient
from engine.core.commands import ExitPositions, Preview, Receipt, SentenceError
from engine.core.errors import EngineGone, OutcomeUnknown, StorageError, WorkstationError
from engine.core.identifiers import AccountId
from engine.core.plans import PlanState, PlanView
from workstation.cli.exit_codes import ExitCode
from workstation.cli.order import confirmed, make_key, point_at
from workstation.cli.output import print_json, print_words

POLL_S = 0.2
SEEN_S = 10.0
"""How long the plans of a receipt may take to show up before the outcome counts as unknown."""
NOT_REACHED = frozenset({PlanState.FAILED, PlanState.CANCELLED, PlanState.DROPPED})


class ExitResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the command prints with ``--json``."""

    text: str
    sent: bool | None
    """``None`` when it cannot be told: look before doing it again, or repeat with the same key."""
    key: str | None = None
    error: SentenceError | None = None
    preview: Preview | None = None
    receipt: Receipt | None = None
    plans: tuple[PlanView, ...] = ()
    """How far they came; one for each account."""


async def exit_positions(
    engine: EngineClient,
    sentence: str,
    *,
    slippage_max: Decimal | None = None,
    account: AccountId | None = None,
    dry_run: bool,
    yes: bool,
    key: str | None,
    as_json: bool,
    wait_s: float | None,
    new_key: Callable[[], str] = make_key,
) -> ExitCode:
    """Interpret, preview, confirm, submit, and wait until it is flat, or for ``wait_s``.

    0: flat, or what was to go is gone. 1: refused, or it ended with something left. 2: the words are wrong. 5: it is
    under way still, or it cannot be told: repeat it with the same key.
    """
    interpretation = await engine.interpret(sentence, account)
    command = interpretation.command
    if not isinstance(command, ExitPositions):
        if interpretation.error is not None:
            point_at(sentence, interpretation.error)
        if as_json:
            print_json(ExitResult(text=sentence, sent=False, error=interpretation.error))
        return ExitCode.USAGE
    known_key, key = key, key or new_key()
    command = msgspec.structs.replace(command, idempotency_key=key, account=account, slippage_max=slippage_max)
    preview = await engine.preview(command)
    print_words(preview.sentence)
    for note in preview.notes:
        print_words(f"  note    {note}")
    for violation in preview.violations:
        print_words(f"  {violation.check:<8} {violation.message}")

    def result(sent: bool | None, receipt: Receipt | None = None, plans: Sequence[PlanView] = ()) -> ExitResult:
        return ExitResult(text=sentence, sent=sent, key=key, preview=preview, receipt=receipt, plans=tuple(plans))

    broken = bool(preview.violations) and known_key is None
    if dry_run or broken or not (yes or await confirmed()):
        if not dry_run:
            print_words("Nothing was sent.")
        if as_json:
            print_json(result(sent=False))
        return ExitCode.REFUSED if preview.violations or not dry_run else ExitCode.DONE
    try:
        receipt = await engine.submit(command)
    except (EngineGone, StorageError, OutcomeUnknown) as error:
        print_words(f"{error} It may have begun. Repeat it with --key {key}: never twice so.")
        if as_json:
            print_json(result(sent=None))
        return ExitCode.UNKNOWN_OUTCOME
    print_words(receipt.message)
    plans: tuple[PlanView, ...] = ()
    if receipt.accepted:
        plans = await _until_over(engine, key, receipt, wait_s)
    if as_json:
        print_json(result(receipt.accepted, receipt, plans))
    return _code(receipt, plans, key)


async def _until_over(engine: EngineClient, key: str, receipt: Receipt, wait_s: float | None) -> tuple[PlanView, ...]:
    """Follow the plans of a receipt, saying what they do, until all are over or the time is."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    said: dict[int, str] = {}
    found: tuple[PlanView, ...] = ()
    try:
        while True:
            found = tuple(view for view in await engine.plans() if _is_meant(view, key, receipt))
            for view in found:
                note = f"{view.record.name} {view.record.state}: {view.record.progress.note}"
                if said.get(view.record.number) != note:
                    said[view.record.number] = note
                    print_words(note)
            waited = loop.time() - began
            if found and all(view.record.state.is_over for view in found):
                return found
            if (not found and (receipt.plan is None or waited > SEEN_S)) or (wait_s is not None and waited > wait_s):
                return found
            await asyncio.sleep(POLL_S)
    except WorkstationError as error:
        print_words(f"It cannot be followed any further: {error}")
        return found


def _is_meant(view: PlanView, key: str, receipt: Receipt) -> bool:
    return view.record.idempotency_key == key or view.record.number == receipt.plan


def _code(receipt: Receipt, plans: Sequence[PlanView], key: str) -> ExitCode:
    if not receipt.accepted:
        return ExitCode.REFUSED
    if any(view.record.state in NOT_REACHED for view in plans):
        return ExitCode.REFUSED
    if all(view.record.state is PlanState.DONE for view in plans) and (plans or receipt.plan is None):
        for view in plans:
            slippage = "not known" if view.slippage is None else f"{view.slippage:+f}"
            elapsed = "at once" if view.elapsed_s is None else f"{view.elapsed_s:.1f} s"
            print_words(f"{view.record.name} done: {elapsed}, slippage {slippage}")
        return ExitCode.DONE
    print_words(f"It is not over yet. Look with `workstation orders`, or repeat it with --key {key}: never twice so.")
    return ExitCode.UNKNOWN_OUTCOME


def exit_sentence(words: Sequence[str], *, now: bool, patient: bool, by: str | None) -> str:
    """The sentence of the command line's words: ``exit 3 50% now``."""
    parts = ["exit", *words]
    if words and words[-1].isdigit() and len(words) > 1:
        parts[-1] += "%"
    if now:
        parts.append("now")
    elif patient:
        parts.append("patient")
    elif by is not None:
        parts += ["flat", "by", by]
    return " ".join(parts)
