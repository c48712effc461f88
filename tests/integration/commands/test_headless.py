"""The headless engine: who starts it, who may, when it ends, and what signals do to it."""

from __future__ import annotations

import os
import signal
import time

import pytest

from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import Console, Headless, wait_for
from tests.kit.desk_host import new_desk
from workstation.cli.exit_codes import ExitCode

RESTING = "buy 1L nifty 24250 ce w0 @ bid-10"


def test_two_commands_at_once_start_one_engine(console: Console) -> None:
    """Both orders are taken by one engine, whichever command was faster."""
    sentences = ("buy 1L nifty 24200 ce w0 @ ask+2", "buy 1L nifty 24300 pe w0 @ ask+2")
    started = [console.start("order", sentence, "--yes", "--json") for sentence in sentences]
    wait_for(lambda: len(console.engine_processes()) >= 1, "an engine")
    said = [console.finish(process) for process in started]
    assert [item.code for item in said] == [ExitCode.DONE, ExitCode.DONE], said
    assert len(console.engine_processes()) == 1
    assert {item.data["receipt"]["orders"][0]["number"] for item in said} == {1, 2}
    orders = console.run("orders", "--json").data
    assert len(orders) == 2
    assert len({order["tag"] for order in orders}) == 2


def test_it_ends_when_idle_and_not_before(console: Console) -> None:
    """While an order works the engine stays; when it is cancelled the engine ends by itself, and its exchange."""
    sent = console.run("order", RESTING, "--yes", "--json")
    assert sent.code == ExitCode.DONE, sent.words
    assert "started a headless engine" in sent.words
    number = sent.data["receipt"]["orders"][0]["number"]
    (engine,) = console.engine_processes()
    console.desk.note_exchange()
    # Three times as long as an idle engine would stay.
    began = time.monotonic()
    wait_for(lambda: time.monotonic() - began > 3 * console.desk.configuration.door.idle_exit_s, "a while")
    assert console.engine_processes() == [engine]
    cancelled = console.run("order", f"cancel o{number}", "--yes")
    assert cancelled.code == ExitCode.DONE, cancelled.words
    wait_for(lambda: not console.engine_processes(), "the end of the idle engine")
    assert not list(console.desk.locations.run.glob("*.sock"))
    # What it left is all there for one that only looks.
    looked = console.run("orders", "--json")
    assert "to look" in looked.words
    assert [order["state"] for order in looked.data] == ["CANCELLED"]


def test_sigterm_drains_quickly(console: Console, headless: Headless) -> None:
    """SIGTERM with a working order: ended within five seconds, code 0, the order is kept and still rests."""
    sent = console.run("order", RESTING, "--yes", "--json")
    assert sent.code == ExitCode.DONE, sent.words
    began = time.monotonic()
    assert headless.end(signal.SIGTERM) == ExitCode.DONE
    assert time.monotonic() - began < 5.0
    (order,) = console.run("orders", "--json").data
    assert order["state"] in {"OPEN", "ACCEPTED"}


def test_a_hang_up_leaves_it_running(console: Console, headless: Headless) -> None:
    """SIGHUP does not end a headless engine."""
    headless.process.send_signal(signal.SIGHUP)
    said = console.run("funds", "--json")
    assert said.code == ExitCode.DONE
    assert said.words.startswith("through the engine that runs here")
    assert headless.process.poll() is None


def test_a_second_engine_says_so(console: Console, headless: Headless) -> None:
    """Another headless engine on the data folder ends with code 4 and names what to do; the first goes on."""
    said = console.run("headless")
    assert said.code == ExitCode.SETUP
    assert "already" in said.words
    assert str(console.data) in said.words
    assert headless.process.poll() is None
    assert console.run("funds").code == ExitCode.DONE


def test_an_engine_that_is_ending_is_waited_for(console: Console) -> None:
    """A new engine that starts while the old one drains takes over from it."""
    first = console.headless()
    first.process.send_signal(signal.SIGTERM)
    second = console.headless()
    assert first.end() == ExitCode.DONE
    assert console.run("funds").code == ExitCode.DONE
    status = console.run("doctor", "--json").data
    assert {"name": "writer", "outcome": "ok"}.items() <= {check["name"]: check for check in status["checks"]}[
        "writer"
    ].items()
    assert second.end() == ExitCode.DONE


def test_data_folders_are_apart(
    console: Console, headless: Headless, postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest
) -> None:
    """Orders of one data folder are not seen in another, and each has its own engine."""
    del headless
    assert console.run("order", RESTING, "--yes").code == ExitCode.DONE
    with new_desk(postgres_server, f"{request.node.nodeid} other") as other:
        elsewhere = Console(other)
        assert elsewhere.run("orders", "--json").data == []
        assert not elsewhere.engine_processes()
    assert len(console.run("orders", "--json").data) == 1


def test_killed_leftovers_do_not_stand_in_the_way(console: Console) -> None:
    """After kill -9 the socket file is there and nobody listens; the next command starts an engine."""
    first = console.headless()
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait(5)
    first.end()
    assert list(console.desk.locations.run.glob("*.sock"))
    sent = console.run("order", RESTING, "--yes", "--json")
    assert sent.code == ExitCode.DONE, sent.words
    number = sent.data["receipt"]["orders"][0]["number"]
    console.run("order", f"cancel o{number}", "--yes")


def test_a_venue_that_nobody_knows(console: Console) -> None:
    """It is refused in words, with what there is; nothing falls back to practice."""
    odd = console.data.parent / "odd.toml"
    odd.write_text('[venue]\nkind = "moon"\n', encoding="utf-8")
    for command in (("headless",), ("funds",), ("order", RESTING, "--yes")):
        said = console.run("--config", str(odd), *command)
        assert said.code == ExitCode.SETUP, said
        assert "practice, replay, paper, live" in said.words
    assert not console.engine_processes()
