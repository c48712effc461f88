"""``mismatches``: where our books and the broker's differ; ``handover``: what to say by telephone; ``housekeeping``."""

from __future__ import annotations

from collections.abc import Sequence
from zoneinfo import ZoneInfo

from engine.client import EngineClient
from engine.core.commands import Command, ExplainMismatch, Receipt, Reconcile, SetHousekeeping
from engine.core.errors import InvalidInput
from engine.core.handover import Handover, HandoverLine
from engine.core.identifiers import StrategyNumber
from engine.core.reconciling import Mismatch, MismatchState
from workstation.cli.exit_codes import ExitCode
from workstation.cli.listings import listed
from workstation.cli.output import print_json, print_text, print_words

IST = ZoneInfo("Asia/Kolkata")


async def mismatches(
    engine: EngineClient, account: str | None = None, *, explain: Sequence[str] | None, now: bool, as_json: bool
) -> ExitCode:
    """List differences, of one account or of all; compare first with ``now``; say why one is there with ``explain``.

    Raises:
        InvalidInput: explaining without an id and words, or the engine has no such account.
    """
    chosen = listed(engine, account)
    receipt: Receipt | None = None
    if explain is not None:
        name, words = explain
        if not words.strip():
            raise InvalidInput(f'Say why {name} is there: --explain {name} "sold on the phone".')
        receipt = await engine.submit(ExplainMismatch(mismatch=name, words=words))
    elif now:
        receipt = await engine.submit(Reconcile(account=None if account is None else chosen.accounts[0]))
    if receipt is not None:
        print_words(receipt.message)
    found = chosen.of(await engine.mismatches(), lambda item: item.account)
    if as_json:
        print_json(found)
    else:
        for item in found:
            print_text(_line(item))
        if not found:
            print_words("No mismatch is known.")
    if receipt is not None and not receipt.accepted:
        return ExitCode.REFUSED
    return ExitCode.DONE


async def handover(engine: EngineClient, *, as_json: bool) -> ExitCode:
    """Print the sentences to read to the broker's dealing desk; nothing is sent."""
    found = await engine.handover()
    if as_json:
        print_json(found)
        return ExitCode.DONE
    for item in found:
        print_text("\n".join(_handover_lines(item)))
    return ExitCode.DONE


async def housekeeping(engine: EngineClient, *, off: str | None, on: str | None, as_json: bool) -> ExitCode:
    """Leave the orders of a strategy alone, or look after them again.

    Raises:
        InvalidInput: neither or both, or no strategy.
    """
    named = off if off is not None else on
    if named is None or (off is not None and on is not None):
        raise InvalidInput("Say which strategy: --off 3, or --on 3.")
    digits = named.removeprefix("#")
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidInput(f'"{named}" is not a strategy: 3 or #3, as `workstation strategies` shows them.')
    command: Command = SetHousekeeping(strategy=StrategyNumber(int(digits)), on=on is not None)
    receipt = await engine.submit(command)
    print_words(receipt.message)
    if as_json:
        print_json(receipt)
    return ExitCode.DONE if receipt.accepted else ExitCode.REFUSED


def _line(item: Mismatch) -> str:
    since = f"{item.first_seen.astimezone(IST):%d %b %H:%M:%S}"
    seen = f"{item.last_seen.astimezone(IST):%H:%M:%S}"
    words = f"{item.mismatch_id}  {item.state:<9}  {item.account}  {item.kind:<8}  since {since}, {seen}  {item.words}"
    if item.state is MismatchState.EXPLAINED:
        words += f"  [{item.explained_by or 'engine'}: {item.explanation}]"
    return words


def _handover_lines(item: Handover) -> list[str]:
    title = f"{item.account} {item.name}, {item.at.astimezone(IST):%d %b %H:%M:%S}".rstrip()
    lines = [title, *(f"  note: {note}" for note in item.notes)]
    if not item.lines:
        return [*lines, "  Nothing is held and nothing works."]
    for line in item.lines:
        lines.append(f"  {line.sentence}")
        if remark := _remark(line):
            lines.append(f"    ({remark})")
    return lines


def _remark(line: HandoverLine) -> str:
    aged = "" if line.age_s is None else f"the broker's figure is {line.age_s:.0f} s old"
    return "; ".join(part for part in (line.subject, line.note, aged) if part)
