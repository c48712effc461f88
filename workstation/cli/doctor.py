"""``workstation doctor``: the preflight, one line per check."""

from __future__ import annotations

from engine.client import EngineClient
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_text, print_words

BLOCK = "block"


async def doctor(engine: EngineClient, *, as_json: bool) -> ExitCode:
    """Run all checks; the exit code tells whether one blocks."""
    view = await engine.doctor()
    blocked = [check for check in view.checks if check.outcome == BLOCK]
    if as_json:
        print_json(view)
    else:
        for check in view.checks:
            print_text(f" {check.outcome:<5} {check.name:<14} {check.message}")
        counts = {word: sum(check.outcome == word for check in view.checks) for word in ("ok", "note", BLOCK)}
        print_words(f"{counts['ok']} pass  {counts['note']} note  {counts[BLOCK]} block")
    return ExitCode.REFUSED if blocked else ExitCode.DONE
