"""``workstation order "buy 2L nifty 24000 ce w0 @ 105"``: one sentence, checked, confirmed, sent once."""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable

import msgspec

from engine.client import EngineClient
from engine.core.commands import (
    Command,
    ExitPositions,
    MakePlan,
    PlaceBasket,
    PlaceOrder,
    Preview,
    Receipt,
    SentenceError,
)
from engine.core.errors import EngineGone, OutcomeUnknown, StorageError, WorkstationError
from engine.core.identifiers import AccountId
from engine.core.orders import OrderState
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_words
from workstation.presenters.eta import leaves_in

YES = frozenset({"y", "yes"})
SETTLE_POLL_S = 0.05
KEY_BYTES = 10
UNSETTLED = frozenset({OrderState.QUEUED, OrderState.SENDING})
"""The broker has not said a word yet."""
UNKNOWN = UNSETTLED | {OrderState.UNKNOWN, OrderState.PRESUMED_ABSENT}
"""It may rest at the broker, now or later."""
REFUSED = frozenset({OrderState.REJECTED, OrderState.NOT_SENT})


class OrderResult(msgspec.Struct, frozen=True, kw_only=True):
    """What the command prints with ``--json``."""

    text: str
    sent: bool | None
    """``None`` when it cannot be told: look before doing it again, or repeat with the same key."""
    key: str | None = None
    """The idempotency key, given or made here."""
    error: SentenceError | None = None
    preview: Preview | None = None
    receipt: Receipt | None = None


def make_key() -> str:
    """A fresh idempotency key."""
    return f"cli-{secrets.token_hex(KEY_BYTES)}"


async def order(
    engine: EngineClient,
    sentence: str,
    *,
    account: str | None = None,
    dry_run: bool,
    yes: bool,
    key: str | None,
    as_json: bool,
    wait_s: float,
    new_key: Callable[[], str] = make_key,
) -> ExitCode:
    """Interpret, preview, confirm, submit, and wait up to ``wait_s`` for the broker's first word.

    ``account`` is whose the order is, and whose strategies and orders the sentence means; the first one's without it.
    ``key`` is the idempotency key: repeating the command with the same key never makes a second order. Without one a
    fresh key is made, and told when the outcome is not known. A sentence that breaks a check is not sent; with a given
    key it still goes to the engine, which may know the order that the key made.
    """
    interpretation = await engine.interpret(sentence, None if account is None else AccountId(account))
    command = interpretation.command
    if command is None:
        if interpretation.error is not None:
            point_at(sentence, interpretation.error)
        else:
            print_words("That sentence concerns a screen; there is none here.")
        if as_json:
            print_json(OrderResult(text=sentence, sent=False, error=interpretation.error))
        return ExitCode.USAGE
    if isinstance(command, PlaceBasket):
        from workstation.cli.basket import place_basket

        return await place_basket(
            engine,
            sentence,
            account=None if account is None else AccountId(account),
            dry_run=dry_run,
            yes=yes,
            key=key,
            as_json=as_json,
            wait_s=wait_s,
            new_key=new_key,
        )
    known_key = key
    if isinstance(command, PlaceOrder | MakePlan | ExitPositions):
        key = key or new_key()
        command = msgspec.structs.replace(command, idempotency_key=key)
    preview = await engine.preview(command)
    print_words(preview.sentence)
    for words in charge_words(preview):
        print_words(f"  charges {words}")
    for note in preview.notes:
        print_words(f"  note    {note}")
    if leaves := leaves_in(preview.eta_s):
        print_words(f"  limits  {leaves}")
    for violation in preview.violations:
        print_words(f"  {violation.check:<7} {violation.message}")

    def result(sent: bool | None, receipt: Receipt | None = None) -> OrderResult:
        return OrderResult(text=sentence, sent=sent, key=key, preview=preview, receipt=receipt)

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
        print_words(str(error))
        print_words(_advice(command, key))
        if as_json:
            print_json(result(sent=None))
        return ExitCode.UNKNOWN_OUTCOME
    receipt = await _first_word(engine, receipt, wait_s)
    if as_json:
        print_json(result(receipt.accepted, receipt))
    print_words(receipt.message)
    if not receipt.accepted:
        return ExitCode.REFUSED
    states = {record.state for record in receipt.orders}
    if states & UNKNOWN:
        print_words(_advice(command, key))
        return ExitCode.UNKNOWN_OUTCOME
    return ExitCode.REFUSED if states & REFUSED else ExitCode.DONE


def charge_words(preview: Preview) -> tuple[str, ...]:
    """What the order would pay, what getting out again adds, or why that is not known."""
    known = []
    if preview.charges is not None:
        known.append(f"{preview.charges:f} when it fills wholly")
    if preview.round_trip_charges is not None:
        known.append(f"{preview.round_trip_charges:f} for the round trip, leaving at the present touch")
    return (*((", ".join(known),) if known else ()), *preview.charge_notes)


async def _first_word(engine: EngineClient, receipt: Receipt, wait_s: float) -> Receipt:
    """Follow the orders of a receipt until the broker has said something about each, or the time is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    records = receipt.orders
    message = receipt.message
    try:
        while any(record.state in UNSETTLED for record in records) and loop.time() < deadline:
            await asyncio.sleep(SETTLE_POLL_S)
            newest = {record.number: record for record in await engine.orders()}
            records = tuple(newest.get(record.number, record) for record in records)
    except WorkstationError as error:  # it is under way all the same: what is known of it is told
        message += f" {error}"
    for record in records:
        message += f" o{record.number} {record.state}" + (f": {record.message}" if record.message else "") + "."
    return msgspec.structs.replace(receipt, orders=records, message=message)


def _advice(command: Command, key: str | None) -> str:
    if isinstance(command, PlaceOrder | MakePlan | ExitPositions):
        return f"It may have been sent. Look with `workstation orders`, or repeat it with --key {key}: never twice so."
    return "It may have been done. Look with `workstation orders` before doing it again."


def point_at(text: str, error: SentenceError) -> None:
    """Show where a sentence is wrong, why, and what fits there."""
    print_words(text)
    print_words(" " * error.place + "^" * max(error.length, 1))
    print_words(error.message)
    if error.choices:
        print_words("fits here: " + "  ".join(error.choices))


async def confirmed() -> bool:
    """Ask on the terminal. An interrupt ends the question at once: no thread is left waiting for a line."""
    if not sys.stdin.isatty():
        print_words("No terminal to confirm on: add --yes to send, or --dry-run to look.")
        return False
    print_words("Send?  y sends, anything else does not.")
    loop = asyncio.get_running_loop()
    line: asyncio.Future[str] = loop.create_future()

    def read() -> None:
        loop.remove_reader(sys.stdin)
        if not line.done():
            line.set_result(sys.stdin.readline())

    loop.add_reader(sys.stdin, read)
    try:
        return (await line).strip().lower() in YES
    finally:
        loop.remove_reader(sys.stdin)
