"""Carries out a command that a plan works: shows what it would do, asks, sends it once, follows its plans until they
are over, and tells scripts how it ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from engine.client import EngineClient
from engine.core.commands import ExitPositions, PlaceBasket, Preview, Receipt, SentenceError
from engine.core.errors import EngineGone, OutcomeUnknown, StorageError, WorkstationError
from engine.core.plans import PlanState, PlanView
from workstation.cli.exit_codes import ExitCode
from workstation.cli.order import confirmed, make_key
from workstation.cli.output import print_json, print_words

POLL_S = 0.2
SEEN_S = 10.0
"""How long the plans of a receipt may take to show up before the outcome counts as unknown."""
NOT_REACHED = frozenset({PlanState.FAILED, PlanState.CANCELLED, PlanState.DROPPED})


class WorkedResult(msgspec.Struct, frozen=True, kw_only=True):
    """What such a command prints with ``--json``."""

    text: str
    sent: bool | None
    """``None`` when it cannot be told: look before doing it again, or repeat with the same key."""
    key: str | None = None
    error: SentenceError | None = None
    preview: Preview | None = None
    receipt: Receipt | None = None
    plans: tuple[PlanView, ...] = ()
    """How far they came; one for each account."""


async def carry_out(
    engine: EngineClient,
    sentence: str,
    command: ExitPositions | PlaceBasket,
    *,
    show: Callable[[Preview], None],
    dry_run: bool,
    yes: bool,
    key: str | None,
    as_json: bool,
    wait_s: float | None,
    new_key: Callable[[], str] = make_key,
) -> ExitCode:
    """Preview, confirm, submit under a key, and wait until it is over or asks, or for ``wait_s``.

    0: it reached its goal. 1: refused, or it ended with something left. 5: it is under way, it asks, or it cannot be
    told: repeat it with the same key.
    """
    known_key, key = key, key or new_key()
    command = msgspec.structs.replace(command, idempotency_key=key)
    preview = await engine.preview(command)
    show(preview)

    def result(sent: bool | None, receipt: Receipt | None = None, plans: Sequence[PlanView] = ()) -> WorkedResult:
        return WorkedResult(text=sentence, sent=sent, key=key, preview=preview, receipt=receipt, plans=tuple(plans))

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
    return _code_of(receipt, plans, key)


async def _until_over(engine: EngineClient, key: str, receipt: Receipt, wait_s: float | None) -> tuple[PlanView, ...]:
    """Follow the plans of a receipt, saying what they do, until all are over or ask a person, or the time is."""
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
            if found and all(view.record.state.is_over or view.record.state is PlanState.PAUSED for view in found):
                return found
            if (not found and (receipt.plan is None or waited > SEEN_S)) or (wait_s is not None and waited > wait_s):
                return found
            await asyncio.sleep(POLL_S)
    except WorkstationError as error:
        print_words(f"It cannot be followed any further: {error}")
        return found


def _is_meant(view: PlanView, key: str, receipt: Receipt) -> bool:
    return view.record.idempotency_key == key or view.record.number == receipt.plan


def _code_of(receipt: Receipt, plans: Sequence[PlanView], key: str) -> ExitCode:
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
    for view in plans:
        if view.record.state is PlanState.PAUSED:
            name = view.record.name
            print_words(f'{name} asks: `workstation order "resume {name}"` goes on, `... "cancel {name}"` ends it.')
    print_words(f"It is not over yet. Look with `workstation plans`, or repeat it with --key {key}: never twice so.")
    return ExitCode.UNKNOWN_OUTCOME
