"""The embedded database, as a newcomer has it: made on the first start, brought back when it is killed."""

from __future__ import annotations

import os
import signal

from tests.integration.commands.console import Console, wait_for
from workstation.cli.exit_codes import ExitCode

RESTING = "buy 1L nifty 24250 ce w0 @ bid-10"


def server_pid(console: Console) -> int:
    """Process of the embedded server."""
    lines = (console.desk.locations.postgres / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()
    return int(lines[0])


def test_a_killed_database_comes_back(console: Console) -> None:
    """First start, kill -9 of the server under a running engine: it is started again, and orders are taken and kept."""
    console.desk.changed(database={"url": ""})
    console.write_configuration()
    with console.engine() as engine:
        first = console.run("order", RESTING, "--yes", "--json", "--key", "one")
        assert first.code == ExitCode.DONE, first.words
        killed = server_pid(console)
        os.kill(killed, signal.SIGKILL)

        def taken() -> bool:
            said = console.run("order", RESTING, "--yes", "--json", "--key", "two")
            if said.code != ExitCode.DONE:
                assert "Traceback" not in said.words
                assert "not sent" in said.words or "nothing sent" in said.words or "wait" in said.words, said.words
            return said.code == ExitCode.DONE

        wait_for(taken, "an order taken again", patience_s=30)
        assert server_pid(console) != killed
        orders = console.run("orders", "--json").data
        assert [order["idempotency_key"] for order in orders] == ["one", "two"]
        assert engine.process.poll() is None
    # Another process reads what was written before and after.
    looked = console.run("orders", "--json")
    assert [order["idempotency_key"] for order in looked.data] == ["one", "two"]


def test_money_of_an_engine_of_the_moment(console: Console) -> None:
    """``strategies`` without a running engine waits for the first quotes, so that no figure is partial."""
    with console.engine():
        sent = console.run("order", "buy 1L nifty 24250 ce w0 @ ask+2", "--yes", "--json")
        assert sent.code == ExitCode.DONE, sent.words
        wait_for(lambda: console.run("trades", "--json").data, "the fill")
    looked = console.run("strategies", "--json")
    assert "to look" in looked.words
    (main,) = looked.data
    assert len(main["legs"]) == 1
    assert main["partial"] == {} or not main["partial"].get("last")
    assert main["profit"]["last"] != "0"
