"""``plans``: errands of more than one order, or that wait: what they do and how far they are."""

from __future__ import annotations

from engine.client import EngineClient
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_text, print_words
from workstation.presenters.plan_lines import plan_lines


async def plans(engine: EngineClient, *, everything: bool, as_json: bool) -> ExitCode:
    """List the plans that are not over; with ``everything`` those of the day that are, too."""
    found = [view for view in await engine.plans() if everything or not view.record.state.is_over]
    if as_json:
        print_json(found)
        return ExitCode.DONE
    for view in found:
        print_text("\n".join(plan_lines(view)))
    print_words(f"{len(found)} plans" if found else "No plans.")
    return ExitCode.DONE
