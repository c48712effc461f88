"""Runs the official ticker for some seconds and prints, as one JSON line, what it noticed of its connection."""

from __future__ import annotations

import json
import sys
import threading
import time
import warnings
from typing import Any

warnings.simplefilter("ignore")

from kiteconnect import KiteTicker  # noqa: E402 - its dependencies warn at import


def main() -> None:
    """Connect to the port given, and look for so many seconds after the first tick."""
    port, token, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    ticker = KiteTicker("practice", "practice", root=f"ws://127.0.0.1:{port}")
    noticed: list[str] = []
    timer: list[threading.Timer] = []

    def say(words: str, **more: Any) -> None:
        sys.stdout.write(json.dumps({"words": words, **more}) + "\n")
        sys.stdout.flush()

    def on_connect(socket: Any, _response: Any) -> None:
        noticed.append("connect")
        socket.subscribe([token])
        socket.set_mode(socket.MODE_LTP, [token])

    def end(started: float) -> None:
        say("end", noticed=noticed, connected=ticker.is_connected(), waited_s=time.monotonic() - started)
        ticker.stop_retry()
        ticker.close()
        ticker.stop()

    def on_ticks(_socket: Any, _ticks: list[dict[str, Any]]) -> None:
        noticed.append("ticks")
        if not timer:
            timer.append(threading.Timer(seconds, end, [time.monotonic()]))
            timer[0].start()
            say("ticks")

    ticker.on_connect = on_connect
    ticker.on_ticks = on_ticks
    ticker.on_close = lambda *_: noticed.append("close")
    ticker.on_error = lambda *_: noticed.append("error")
    ticker.on_reconnect = lambda *_: noticed.append("reconnect")
    ticker.on_noreconnect = lambda *_: noticed.append("noreconnect")
    ticker.connect()


if __name__ == "__main__":
    main()
