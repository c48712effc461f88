"""The desk on a terminal of its own: shown, resized, hung up on, ended; never a traceback on the screen."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from collections.abc import Iterator

import pytest

from engine.server.local_door import is_alive
from tests.integration.commands.console import REPOSITORY, Console, environment, wait_for
from workstation.cli.exit_codes import ExitCode


class Terminal:
    """A program on a pseudo-terminal that is read all the time."""

    def __init__(self, console: Console, *, columns: int = 120, rows: int = 36) -> None:
        """Start the desk of a console."""
        self.master, slave = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            console.words(),
            cwd=REPOSITORY,
            env={**environment(console.data.parent), "TERM": "xterm-256color"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - one call, in a test process that starts no threads there
        )
        os.close(slave)
        self._seen = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def seen(self) -> str:
        """Everything that was written to the terminal so far, control sequences included."""
        return bytes(self._seen).decode("utf-8", errors="replace")

    def resize(self, columns: int, rows: int) -> None:
        """Change the size, as a window manager does."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def hang_up(self) -> None:
        """Close the terminal: the program gets SIGHUP."""
        os.close(self.master)
        self._reader.join(5.0)

    def close(self) -> None:
        """End the program if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(15)
        with contextlib.suppress(OSError):
            os.close(self.master)

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(self.master, 65_536):
                self._seen += data


def _take_terminal() -> None:
    """Make the standard input the controlling terminal, so that its end is a hang-up."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(console: Console) -> Iterator[Terminal]:
    """A desk that shows its chain."""
    made = Terminal(console)
    try:
        wait_for(lambda: any(map(is_alive, console.desk.locations.running_sockets())), "an engine", patience_s=40)
        console.desk.note_exchange()
        wait_for(lambda: "NIFTY" in made.seen and "PRACTICE" in made.seen, "a desk on the screen")
        yield made
    finally:
        made.close()


def test_it_is_shown_and_ended(console: Console, terminal: Terminal) -> None:
    """SIGTERM ends the desk in seconds with code 0; commands use its engine meanwhile."""
    said = console.run("funds", "--json")
    assert said.code == ExitCode.DONE
    assert said.words.startswith("through the engine that runs here"), "the desk's own engine answers"
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(8) == ExitCode.DONE
    assert "Traceback" not in terminal.seen
    assert not any(map(is_alive, console.desk.locations.running_sockets()))


def test_any_size_will_do(console: Console, terminal: Terminal) -> None:
    """Resized to 40×10, to nothing nearly and back it goes on, and keys are still taken."""
    for columns, rows in ((40, 10), (80, 24), (12, 3), (200, 60), (120, 36)):
        terminal.resize(columns, rows)
        before = len(terminal.seen)
        wait_for(lambda before=before: len(terminal.seen) > before, "a repaint")
        terminal.type("j")
        assert terminal.process.poll() is None
    assert console.run("funds").code == ExitCode.DONE
    assert "Traceback" not in terminal.seen


def test_a_hang_up_leaves_the_engine(console: Console, terminal: Terminal) -> None:
    """The terminal goes, the engine stays: commands reach it, and a new desk's engine would be the same."""
    sent = console.run("order", "buy 1L nifty 24250 ce w0 @ bid-10", "--yes", "--json")
    assert sent.code == ExitCode.DONE, sent.words
    terminal.hang_up()
    said = console.run("orders", "--json")
    assert said.code == ExitCode.DONE
    assert said.words.startswith("through the engine that runs here")
    assert said.data[0]["state"] in {"ACCEPTED", "OPEN"}
    assert terminal.process.poll() is None
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(8) == ExitCode.DONE


def test_quitting_with_a_working_order_hands_it_over(console: Console, terminal: Terminal) -> None:
    """After quit and ``y`` a headless engine watches the order, and the terminal says so."""
    sent = console.run("order", "buy 1L nifty 24250 ce w0 @ bid-10", "--yes", "--json")
    assert sent.code == ExitCode.DONE, sent.words
    number = sent.data["receipt"]["orders"][0]["number"]
    terminal.type(":quit\r")
    wait_for(lambda: "goes on there" in terminal.seen or "watch" in terminal.seen, "the farewell")

    def has_gone() -> bool:
        terminal.type("y")
        return terminal.process.poll() is not None

    wait_for(has_gone, "the end of the desk", patience_s=15)
    assert terminal.process.returncode == ExitCode.DONE
    assert "headless engine watches them" in terminal.seen
    wait_for(console.engine_processes, "the headless engine")
    said = console.run("order", f"cancel o{number}", "--yes")
    assert said.code == ExitCode.DONE, said.words
    wait_for(lambda: not console.engine_processes(), "the end of the idle engine")
    assert [order["state"] for order in console.run("orders", "--json").data] == ["CANCELLED"]


def test_a_second_desk_attaches(console: Console, terminal: Terminal) -> None:
    """Another terminal on the same data folder is a window on the same engine."""
    second = Terminal(console)
    try:
        wait_for(lambda: "NIFTY" in second.seen and "PRACTICE" in second.seen, "the second desk")
        assert "Starting" not in second.seen
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(8) == ExitCode.DONE
        assert terminal.process.poll() is None
        assert console.run("funds").words.startswith("through the engine that runs here")
    finally:
        second.close()
