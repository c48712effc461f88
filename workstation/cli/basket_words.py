"""The words of ``workstation basket``; read at every start, so nothing of the engine is."""

from __future__ import annotations

import argparse

CHASE_TICKS = "3"


def add_basket(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The words of the command."""
    basket = commands.add_parser(
        "basket",
        help="send several orders that belong together, hedges first; waits until they are on or taken back",
        epilog="exit codes: 0 every leg is on, 1 refused or taken back, 2 wrong words, 3 no engine or broker to be "
        "had, 4 set-up, 5 not over yet, it asks, or outcome unknown (repeat it with the same --key: never twice so)",
    )
    basket.add_argument("legs", nargs="+", metavar="LEG", help='each a sentence: "buy 1L nifty 25000 ce @ ask"')
    basket.add_argument(
        "--on-failure",
        choices=("unwind", "hold", "chase"),
        help="when a leg cannot be filled: take back what is on (default), keep what is covered and ask, or follow the "
        "touch first",
    )
    basket.add_argument("--chase-ticks", metavar="N", default=CHASE_TICKS, help="with chase: how far (default 3)")
    basket.add_argument("--naked", metavar="S", help="longest time with anything uncovered, such as 5s (default)")
    basket.add_argument("--naked-units", metavar="N", help="most units uncovered at any moment (default none)")
    basket.add_argument("--timeout", metavar="S", help="how long a leg may rest before it failed, such as 2s (default)")
    basket.add_argument("--slippage", metavar="P", help="rupees a unit against the first prices; beyond it asks")
    basket.add_argument("--ordered", action="store_true", help="legs in the order given; shorts still wait for cover")
    basket.add_argument("--into", metavar="STRATEGY", help="the strategy of every leg")
    basket.add_argument("--account", metavar="ACCOUNT", help="whose it is (default: the first account's)")
    basket.add_argument("--dry-run", action="store_true", help="check and show, send nothing")
    basket.add_argument("--yes", action="store_true", help="send without asking")
    basket.add_argument("--key", help="idempotency key: repeating with the same key never makes a second basket")
    basket.add_argument("--wait", type=float, metavar="S", help="longest wait (default: as long as it takes)")
    basket.add_argument("--json", action="store_true", help="JSON on standard output")
