"""``workstation basket "buy …" "sell …"``: legs that belong together, sent by a plan, followed until it is over."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import msgspec

from engine.client import EngineClient
from engine.core.commands import PlaceBasket, Preview
from engine.core.identifiers import AccountId
from workstation.cli.exit_codes import ExitCode
from workstation.cli.order import charge_words, make_key, point_at
from workstation.cli.output import print_json, print_words
from workstation.cli.plan_following import WorkedResult, carry_out
from workstation.formatting import UNICODE, decimal_text, lots
from workstation.presenters.basket_review import margin_words
from workstation.presenters.eta import leaves_in


async def place_basket(
    engine: EngineClient,
    sentence: str,
    *,
    account: AccountId | None = None,
    dry_run: bool,
    yes: bool,
    key: str | None,
    as_json: bool,
    wait_s: float | None,
    new_key: Callable[[], str] = make_key,
) -> ExitCode:
    """Interpret, preview, confirm, submit once, and wait until the basket is on, taken back, or asks.

    0: every leg is on. 1: refused, or it was taken back. 2: the words are wrong. 5: it is under way, it asks, or it
    cannot be told: repeat it with the same key.
    """
    interpretation = await engine.interpret(sentence, account)
    command = interpretation.command
    if not isinstance(command, PlaceBasket):
        if interpretation.error is not None:
            point_at(sentence, interpretation.error)
        if as_json:
            print_json(WorkedResult(text=sentence, sent=False, error=interpretation.error))
        return ExitCode.USAGE
    if account is not None:
        command = msgspec.structs.replace(command, account=account)
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
    """The legs in the order in which they are sent, money, margin on the way, and everything that refuses."""
    print_words(preview.sentence)
    for leg in preview.legs:
        request = leg.request
        at = "at market" if request.price is None else f"@ {decimal_text(request.price, 2)}"
        size = f"{lots(request.quantity, leg.lot_size)} = {decimal_text(request.quantity, 0)} units"
        print_words(
            f"  leg {leg.index + 1:<3} {leg.role:<6} {request.side} {size} {request.instrument.tradingsymbol} {at}"
        )
    if preview.margin_paths is not None:
        for words in margin_words(preview.margin_paths, UNICODE):
            print_words(f"  margin  {words}")
    for words in charge_words(preview):
        print_words(f"  charges {words}")
    for note in preview.notes:
        print_words(f"  note    {note}")
    if leaves := leaves_in(preview.eta_s):
        print_words(f"  limits  {leaves}")
    for violation in preview.violations:
        print_words(f"  {violation.check:<8} {violation.message}")


def basket_sentence(options: argparse.Namespace) -> str:
    """The sentence of the command line's words: ``basket buy …, sell …, unwind naked 5s``."""
    plan: list[str] = []
    if options.on_failure == "chase":
        plan.append(f"chase {options.chase_ticks} ticks")
    elif options.on_failure is not None:
        plan.append(options.on_failure)
    if options.naked is not None or options.naked_units is not None:
        plan += ["naked", *(word for word in (options.naked_units, options.naked) if word is not None)]
    for word in ("timeout", "slippage", "into"):
        if getattr(options, word) is not None:
            plan += [word, getattr(options, word)]
    if options.ordered:
        plan.append("ordered")
    return f"basket {', '.join([*options.legs, *([' '.join(plan)] if plan else [])])}"
