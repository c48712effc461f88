"""The words of ``workstation gtt`` and ``workstation convert``; read at every start, so nothing of the engine is."""

from __future__ import annotations

import argparse


def add_gtt(commands: argparse._SubParsersAction[argparse.ArgumentParser], epilog: str) -> None:
    """The words of both commands."""
    gtt = commands.add_parser(
        "gtt", help="triggers that stand at the broker: list, place, modify, delete", epilog=epilog
    )
    steps = gtt.add_subparsers(dest="step", required=True)
    listing = steps.add_parser("list", help="those that stand, and those that ended lately")
    listing.add_argument("--json", action="store_true", help="JSON on standard output")
    for name, words in (("place", "leave one at the broker"), ("modify", "replace what one says")):
        step = steps.add_parser(name, help=words)
        if name == "modify":
            step.add_argument("id", type=int, help="as gtt list shows it")
        step.add_argument("sentence", help='what is sent then, a limit: "sell 2L nifty 24000 ce w0 @ 58"')
        step.add_argument("--trigger", required=True, metavar="P", help="the last price at which it is sent")
        step.add_argument("--target-trigger", metavar="P", help="the other price; whichever comes first ends both")
        step.add_argument("--target-price", metavar="P", help="the limit that is sent at the other price")
        _add_acting(step, with_key=name == "place")
    delete = steps.add_parser("delete", help="take one back")
    delete.add_argument("id", type=int, help="as gtt list shows it")
    _add_acting(delete, with_key=False)
    convert = commands.add_parser("convert", help="change the product of a position", epilog=epilog)
    convert.add_argument("quantity", help="2L, or units")
    convert.add_argument("contract", help='such as "nifty 24000 ce w0"')
    convert.add_argument("to", choices=("nrml", "mis", "cnc", "mtf"), help="the product it is to have")
    convert.add_argument("--from", dest="product", choices=("nrml", "mis", "cnc", "mtf"), help="when both are held")
    _add_acting(convert, with_key=True)


def _add_acting(step: argparse.ArgumentParser, *, with_key: bool) -> None:
    step.add_argument("--dry-run", action="store_true", help="check and show, send nothing")
    step.add_argument("--yes", action="store_true", help="send without asking")
    step.add_argument("--account", metavar="ACCOUNT", help="whose it is (default: the first account's)")
    if with_key:
        step.add_argument("--key", help="idempotency key: repeating with the same key never asks twice")
    step.add_argument("--json", action="store_true", help="JSON on standard output")
