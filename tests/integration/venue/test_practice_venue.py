"""The practice exchange as a venue: started, joined, kept up, let go. Against the real process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.clocks import SystemClock
from engine.core.errors import SetupError
from tests.kit.local_door import until
from workstation.practice_venue import ERROR_LOG, STATE_FILE, ExchangeAddress, PracticeSource, PracticeVenue

SOURCE = PracticeSource(seed=7, start="2026-11-19T11:00:00+05:30")
START_S = 60.0


def is_running(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def venue(
    folder: Path, *, source: PracticeSource = SOURCE, port: int = 0, linger_s: float = 0.3, start_s: float = START_S
) -> PracticeVenue:
    """A venue in a folder of the test, on a market that stands still."""
    return PracticeVenue(source, folder, SystemClock(), port=port, speed=0.0, linger_s=linger_s, start_s=start_s)


@contextlib.asynccontextmanager
async def opened(held: PracticeVenue) -> AsyncIterator[ExchangeAddress]:
    """An open venue; at the end its exchange is gone."""
    address = await held.open()
    try:
        yield address
    finally:
        held.close()
        await until(lambda: not is_running(address.pid), "the end of the exchange")


@contextlib.asynccontextmanager
async def kept_up(held: PracticeVenue, address: ExchangeAddress) -> AsyncIterator[None]:
    """The keeper runs beside the test."""
    keeper = asyncio.create_task(held.keep_up(address, 0.05))
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


def answers(port: int) -> bool:
    """Whether somebody listens on loopback."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_it_starts_and_ends_with_its_last_desk(tmp_path: Path) -> None:
    """The exchange answers at its address while it is held, and ends by itself when nobody holds it."""
    async with opened(venue(tmp_path)) as address:
        assert answers(address.port)
        assert is_running(address.pid)
    assert not answers(address.port)
    assert not (tmp_path / STATE_FILE).exists()


async def test_a_second_desk_joins_the_running_one(tmp_path: Path) -> None:
    """Both see the same process, and it outlives the first of them to leave."""
    first, second = venue(tmp_path), venue(tmp_path)
    mine = await first.open()
    async with opened(second) as theirs:
        assert theirs == mine
        first.close()
        await asyncio.sleep(0.8)  # longer than it lingers without a holder
        assert is_running(mine.pid)


async def test_desks_that_start_at_once_share_one_exchange(tmp_path: Path) -> None:
    """One process wins the folder, the others find it."""
    desks = [venue(tmp_path) for _ in range(3)]
    addresses = await asyncio.gather(*(desk.open() for desk in desks))
    assert len(set(addresses)) == 1
    for desk in desks:
        desk.close()
    await until(lambda: not is_running(addresses[0].pid), "the end of the exchange")


async def test_it_is_kept_up_on_the_same_port_after_a_kill(tmp_path: Path) -> None:
    """After kill -9 the exchange is back at the address that everybody knows, and no zombie is left."""
    held = venue(tmp_path)
    async with opened(held) as address, kept_up(held, address):
        os.kill(address.pid, signal.SIGKILL)
        await until(lambda: not is_running(address.pid), "the kill")
        await until(lambda: answers(address.port), "the exchange back on its port")
    await until(lambda: not answers(address.port), "the end of the second exchange")
    await until(lambda: not Path(f"/proc/{address.pid}").exists(), "the end of the zombie")


async def test_a_restart_that_fails_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While the exchange cannot start the keeper says so and goes on; when it can the exchange is back."""
    held = venue(tmp_path)
    book = tmp_path / "book.journal"
    async with opened(held) as address:
        os.kill(address.pid, signal.SIGKILL)
        await until(lambda: not is_running(address.pid), "the kill")
        book.rename(tmp_path / "aside")
        book.mkdir()
        async with kept_up(held, address):
            await until(lambda: "could not be started again" in caplog.text, "a word in the log")
            book.rmdir()
            (tmp_path / "aside").rename(book)
            await until(lambda: answers(address.port), "the exchange back on its port")
    await until(lambda: not answers(address.port), "the end of the second exchange")


async def test_a_state_file_of_a_dead_exchange_is_not_believed(tmp_path: Path) -> None:
    """Even when another program listens at the port it names, a new exchange is started elsewhere."""
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        state = f'{{"port": {port}, "pid": {os.getpid()}}}'
        (tmp_path / STATE_FILE).write_text(state, encoding="utf-8")
        async with opened(venue(tmp_path)) as address:
            assert address.port != port
            assert address.pid != os.getpid()


async def test_a_spoilt_state_file_is_ignored(tmp_path: Path) -> None:
    """What cannot be read names no exchange."""
    (tmp_path / STATE_FILE).write_text('["port"]', encoding="utf-8")
    async with opened(venue(tmp_path)) as address:
        assert answers(address.port)


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    """A port asked for by the settings is not silently replaced by another one."""
    with socket.socket() as thief:
        thief.bind(("127.0.0.1", 0))
        thief.listen()
        port = thief.getsockname()[1]
        with pytest.raises(SetupError, match=f"Port {port}.*in use"):
            await venue(tmp_path, port=port).open()


async def test_the_last_words_are_those_of_this_run(tmp_path: Path) -> None:
    """What an earlier run wrote to the log does not explain why this one failed."""
    (tmp_path / ERROR_LOG).write_text("an old complaint\n", encoding="utf-8")
    with pytest.raises(SetupError) as caught:
        await venue(tmp_path, source=PracticeSource(seed=7, start="the day after tomorrow")).open()
    assert "an old complaint" not in str(caught.value)
    assert "the day after tomorrow" in str(caught.value)


async def test_a_missing_snapshot_is_named(tmp_path: Path) -> None:
    """Nothing is started for a file that is not there."""
    source = PracticeSource(seed=7, start="auto", snapshot=tmp_path / "gone.json")
    with pytest.raises(SetupError, match=r"--snapshot: there is no file .*gone\.json"):
        await venue(tmp_path / "venue", source=source).open()
    assert not (tmp_path / "venue").exists()


async def test_a_snapshot_that_is_none_is_refused_in_the_exchanges_words(tmp_path: Path) -> None:
    """The sentence of the exchange reaches the person."""
    source = PracticeSource(seed=7, start="auto", snapshot=tmp_path / "odd.json")
    (tmp_path / "odd.json").write_text("{}", encoding="utf-8")
    with pytest.raises(SetupError, match="did not start: "):
        await venue(tmp_path / "venue", source=source).open()


async def test_a_start_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """The process is ended and the person is told where to look."""
    with pytest.raises(SetupError, match=r"did not start within 0\.01 s"):
        await venue(tmp_path, start_s=0.01).open()


async def test_a_place_that_cannot_be_is_refused_in_words(tmp_path: Path) -> None:
    """A file where the folder should be."""
    (tmp_path / "venue").write_text("", encoding="utf-8")
    with pytest.raises(SetupError, match="folder of the practice exchange"):
        await venue(tmp_path / "venue").open()


async def test_a_failed_open_holds_nothing(tmp_path: Path) -> None:
    """The clients lock is free again, so that no exchange would wait for a desk that is not there."""
    held = venue(tmp_path, source=PracticeSource(seed=7, start="never"))
    with pytest.raises(SetupError):
        await held.open()
    assert held._lock is None
