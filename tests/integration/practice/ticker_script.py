"""Runs the official ticker until it has seen ticks and an order update; prints what it saw as JSON lines."""

from __future__ import annotations

import json
import sys
import warnings
from typing import Any

warnings.simplefilter("ignore")

from kiteconnect import KiteTicker  # noqa: E402 - its dependencies warn at import


def main() -> None:
    """Connect to the port given, subscribe to the tokens given, and stop after the order update."""
    port, tokens = int(sys.argv[1]), json.loads(sys.argv[2])
    ticker = KiteTicker("practice", "practice", root=f"ws://127.0.0.1:{port}")

    def say(kind: str, data: Any) -> None:
        sys.stdout.write(json.dumps({"kind": kind, "data": data}, default=str) + "\n")
        sys.stdout.flush()

    def on_connect(socket: Any, _response: Any) -> None:
        socket.subscribe(tokens)
        socket.set_mode(socket.MODE_FULL, tokens)

    def on_ticks(_socket: Any, ticks: list[dict[str, Any]]) -> None:
        say("ticks", ticks)

    def on_order_update(socket: Any, data: dict[str, Any]) -> None:
        say("order", data)
        if data["status"] == "COMPLETE":
            socket.close()
            socket.stop()

    ticker.on_connect = on_connect
    ticker.on_ticks = on_ticks
    ticker.on_order_update = on_order_update
    ticker.connect()


if __name__ == "__main__":
    main()
