"""``why``: what decided an order and how it went, or how sending goes; ``letters``: orders that were given up."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from engine.client import EngineClient
from engine.core.commands import CloseDeadLetter, Command, Preview, Receipt, ReplayDeadLetter
from engine.core.errors import EngineGone, InvalidInput, StorageError
from engine.core.identifiers import OrderNumber
from workstation.cli.exit_codes import ExitCode
from workstation.cli.order import confirmed
from workstation.cli.output import print_json, print_text, print_words
from workstation.presenters.why import health_lines, letter_lines, why_lines


class LetterResult(msgspec.Struct, frozen=True, kw_only=True):
    """What acting on dead letters prints with ``--json``."""

    sent: bool | None
    """Whether it was done; ``None`` when it cannot be told. Doing it again never makes a second order."""
    preview: Preview | None = None
    receipt: Receipt | None = None


def order_number(text: str) -> OrderNumber:
    """Read ``o40`` or ``40``.

    Raises:
        InvalidInput: it is neither.
    """
    digits = text[1:] if text[:1] in {"o", "O"} else text
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidInput(f'"{text}" is not an order: o40, as `workstation orders` shows them.', field="order")
    return OrderNumber(int(digits))


async def why(engine: EngineClient, order: str | None, *, as_json: bool) -> ExitCode:
    """Explain one order, or show the executor's health.

    Raises:
        InvalidInput: no such order.
    """
    if order is not None:
        explained = await engine.why(order_number(order))
        if as_json:
            print_json(explained)
        else:
            print_text("\n".join(why_lines(explained)))
        return ExitCode.DONE
    health = await engine.execution_health()
    if as_json:
        print_json(health)
    elif not health:
        print_words("This engine can only look: another one sends, or none runs. `workstation why o40` explains one.")
    else:
        for one in health:
            if len(health) > 1:
                print_text(f"account  {one.account}")
            print_text("\n".join(health_lines(one)))
    return ExitCode.DONE


async def letters(
    engine: EngineClient,
    *,
    replay: Sequence[str],
    close: Sequence[str],
    reason: str,
    yes: bool,
    as_json: bool,
) -> ExitCode:
    """List dead letters, send some again as new orders, or close some.

    Raises:
        InvalidInput: replaying and closing at once, or something that is no order.
    """
    if replay and close:
        raise InvalidInput("Either --replay or --close, not both at once.")
    if replay:
        command: Command = ReplayDeadLetter(numbers=tuple(map(order_number, replay)))
    elif close:
        command = CloseDeadLetter(numbers=tuple(map(order_number, close)), reason=reason)
    else:
        return await _list(engine, as_json=as_json)
    preview = await engine.preview(command)
    print_words(preview.sentence)
    for words in (*preview.notes, *(violation.message for violation in preview.violations)):
        print_words(f"  {words}")
    if replay and not yes and not await confirmed():
        print_words("Nothing was sent.")
        if as_json:
            print_json(LetterResult(sent=False, preview=preview))
        return ExitCode.REFUSED
    try:
        receipt = await engine.submit(command)
    except (EngineGone, StorageError) as error:
        print_words(f"{error} Repeating the command never makes a second order.")
        if as_json:
            print_json(LetterResult(sent=None, preview=preview))
        return ExitCode.UNKNOWN_OUTCOME
    print_words(receipt.message)
    if as_json:
        print_json(LetterResult(sent=receipt.accepted, preview=preview, receipt=receipt))
    return ExitCode.DONE if receipt.accepted else ExitCode.REFUSED


async def _list(engine: EngineClient, *, as_json: bool) -> ExitCode:
    found = await engine.dead_letters()
    if as_json:
        print_json(found)
        return ExitCode.DONE
    for letter in found:
        print_text("\n".join(letter_lines(letter)))
    print_words(f"{len(found)} dead letters" if found else "No dead letters.")
    return ExitCode.DONE
