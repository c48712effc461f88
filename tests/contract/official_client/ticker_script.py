"""Drives every public method of the official ticker against an exchange and prints what it saw, one JSON a line.

Arguments: port, a JSON list of tokens (an index, then options), how many tokens are too many. The script ends by itself
after the order update that its parent brings about once it has read ``ready``.
"""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")

from kiteconnect import KiteTicker  # noqa: E402 - its dependencies warn at import

FIRST_UNKNOWN_TOKEN = 1_000_002


class Session:
    """One connection, step by step: each mode in turn, then less, then all again, then too many, then an order."""

    def __init__(self, port: int, tokens: list[int], too_many: int) -> None:
        self.tokens = tokens
        self.too_many = too_many
        self.mode = ""
        self.is_ready = False
        self.ticker = KiteTicker("practice", "practice", root=f"ws://127.0.0.1:{port}")
        self.ticker.on_connect = self.on_connect
        self.ticker.on_ticks = self.on_ticks
        self.ticker.on_error = self.on_error
        self.ticker.on_order_update = self.on_order_update

    def say(self, kind: str, data: Any) -> None:
        """Print what happened."""
        sys.stdout.write(json.dumps({"kind": kind, "data": data}, default=str) + "\n")
        sys.stdout.flush()

    def on_connect(self, ticker: Any, _response: Any) -> None:
        """Begin with the smallest mode."""
        self.say("connected", ticker.is_connected())
        ticker.subscribe(self.tokens)
        self.change(ticker.MODE_LTP)

    def change(self, mode: str) -> None:
        """Ask for another mode."""
        self.mode = mode
        self.ticker.set_mode(mode, self.tokens)

    def on_ticks(self, ticker: Any, ticks: list[dict[str, Any]]) -> None:
        """Go on to the next mode once the present one has shown itself on every token."""
        if not {tick["mode"] for tick in ticks} <= {self.mode} or not self.mode:
            return
        if len(ticks) < len(self.tokens):
            return
        self.say(self.mode, ticks)
        if self.mode == ticker.MODE_LTP:
            self.change(ticker.MODE_QUOTE)
        elif self.mode == ticker.MODE_QUOTE:
            self.change(ticker.MODE_FULL)
        else:
            self.mode = ""
            ticker.unsubscribe(self.tokens[1:])
            ticker.resubscribe()
            ticker.subscribe(list(range(FIRST_UNKNOWN_TOKEN, FIRST_UNKNOWN_TOKEN + 256 * self.too_many, 256)))

    def on_error(self, _ticker: Any, code: Any, reason: Any) -> None:
        """Too many tokens were refused in words; the connection is to live on."""
        self.say("error", [code, str(reason)])
        if not self.is_ready:
            self.is_ready = True
            self.say("ready", sorted(self.ticker.subscribed_tokens))

    def on_order_update(self, ticker: Any, data: dict[str, Any]) -> None:
        """End when the parent's order is complete."""
        self.say("order", data)
        if data["status"] == "COMPLETE":
            ticker.stop_retry()
            ticker.close()
            ticker.stop()


if __name__ == "__main__":
    session = Session(int(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3]))
    session.ticker.connect()
