"""``workstation exit STRATEGY|all``: leave, wait until flat, and print the time and the slippage it took."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from engine.client import EngineClient
from engine.core.commands import ExitPositions, Preview
from engine.core.identifiers import AccountId
from workstation.cli.exit_codes import ExitCode
from workstation.cli.order import make_key, point_at
from workstation.cli.output import print_json, print_words
from workstation.cli.plan_following import WorkedResult, carry_out


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
            print_json(WorkedResult(text=sentence, sent=False, error=interpretation.error))
        return ExitCode.USAGE
    command = msgspec.structs.replace(command, account=account, slippage_max=slippage_max)
    return await carry_out(
        engine,
        sentence,
        command,
        show=_show,
        dry_run=dry_run,
        yes=yes,
        key=key,
        as_json=as_json,
        wait_s=wait_s,
        new_key=new_key,
    )


def _show(preview: Preview) -> None:
    print_words(preview.sentence)
    for note in preview.notes:
        print_words(f"  note    {note}")
    for violation in preview.violations:
        print_words(f"  {violation.check:<8} {violation.message}")


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
