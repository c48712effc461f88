"""The practice exchange as a venue: its identity, its process, and keeping it up while a desk needs it.

A venue is (source, seed, start), or a tape, or paper trading: each has its own folder, its own book and its own desk
database, so that nothing of one enters the history of another. The process is started on loopback, outlives a killed
desk for a while, and ends when no desk holds its clients lock.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
from pathlib import Path

import msgspec

from engine.core.errors import SetupError
from engine.core.ports import Clock
from workstation.exchange_process import (
    EXCHANGE_LOCK,
    HOST,
    LOG_BYTES_MAX,
    POLL_S,
    first_line,
    is_locked,
    is_running,
    last_words,
    listens,
    seed_at,
    try_share,
)
from workstation.live import LIVE
from workstation.settings import PracticeSettings, VenueSettings

logger = logging.getLogger(__name__)

STATE_FILE = "exchange.json"
CLIENTS_LOCK = "clients.lock"
ERROR_LOG = "exchange.log"
DEFAULT_VENUE_ID = "practice"
AUTOMATIC_START = "auto"
PRACTICE, REPLAY, PAPER = "practice", "replay", "paper"
KINDS = (PRACTICE, REPLAY, PAPER, LIVE)
TAPE_HEADER = "header.json"
DIGEST_CHARACTERS = 10
EXIT_ALREADY_RUNNING = 3
EXIT_PORT_TAKEN = 4
ACCOUNTS_MAX = 20
FOLDER_MODE = 0o700
FILE_MODE = 0o600


class Relay(msgspec.Struct, frozen=True):
    """A live feed: REST and ticker of a broker's interface."""

    root: str
    stream: str


class PracticeSource(msgspec.Struct, frozen=True, kw_only=True):
    """What makes one practice market another one."""

    seed: int
    start: str
    """``auto`` or an ISO moment."""
    instruments: Path | None = None
    snapshot: Path | None = None
    tape: Path | None = None
    """A recording to play instead of a made-up market: its folder, or a file in it."""
    relay: Relay | None = None
    """A live feed to trade against on paper."""

    def venue_id(self, *, default: PracticeSource) -> str:
        """A short name, the same for the same source: ``practice`` for the default market.

        A tape is named by what its header says, wherever it lies; all paper trading is one venue.

        Raises:
            SetupError: one of its files is not there.
        """
        if self == default:
            return DEFAULT_VENUE_ID
        self.check()
        if self.relay is not None:
            return PAPER
        if self.tape is not None:
            return f"{REPLAY}-{hashlib.sha256(_tape_header(self.tape)).hexdigest()[:DIGEST_CHARACTERS]}"
        files = (self.instruments, self.snapshot)
        parts = [
            str(self.seed),
            self.start,
            *(hashlib.sha256(path.read_bytes()).hexdigest() if path else "" for path in files),
        ]
        digest = hashlib.sha256("|".join(parts).encode()).hexdigest()[:DIGEST_CHARACTERS]
        return f"{DEFAULT_VENUE_ID}-{digest}"

    def check(self) -> None:
        """Refuse files that are not there.

        Raises:
            SetupError: names the file.
        """
        for option, path in (("--instruments", self.instruments), ("--snapshot", self.snapshot)):
            if path is not None and not path.is_file():
                raise SetupError(f"{option}: there is no file {path}.")
        if self.tape is not None:
            _tape_header(self.tape)


class ExchangeAddress(msgspec.Struct, frozen=True):
    """Where an exchange answers."""

    port: int
    pid: int

    @property
    def root(self) -> str:
        """Root of its HTTP interface."""
        return f"http://{HOST}:{self.port}"

    @property
    def stream_root(self) -> str:
        """Root of its WebSocket."""
        return f"ws://{HOST}:{self.port}"


def practice_source(settings: VenueSettings) -> PracticeSource:
    """What the exchange's market is made of, as the settings say.

    Raises:
        SetupError: another kind of venue is asked for, or what it needs is not named.
    """
    if settings.kind not in KINDS or settings.kind == LIVE:
        raise SetupError(f'[venue] kind: "{settings.kind}" is none of {", ".join(KINDS)}.')
    if settings.kind == REPLAY:
        if not settings.tape:
            raise SetupError(
                "[venue] tape: a replay needs the folder of a tape; `workstation record --list` names them."
            )
        return PracticeSource(seed=settings.seed, start=AUTOMATIC_START, tape=Path(settings.tape).expanduser())
    if settings.kind == PAPER:
        return PracticeSource(
            seed=settings.seed, start=AUTOMATIC_START, relay=Relay(settings.relay_root, settings.relay_stream)
        )
    return PracticeSource(
        seed=settings.seed,
        start=settings.start,
        instruments=Path(settings.instruments).expanduser() if settings.instruments else None,
        snapshot=Path(settings.snapshot).expanduser() if settings.snapshot else None,
    )


def practice_accounts(settings: PracticeSettings) -> int:
    """How many accounts the exchange has.

    Raises:
        SetupError: there cannot be so many.
    """
    if not 1 <= settings.accounts <= ACCOUNTS_MAX:
        raise SetupError(f"[practice] accounts: {settings.accounts} is not between 1 and {ACCOUNTS_MAX}.")
    return settings.accounts


def is_default_market(settings: VenueSettings) -> bool:
    """Whether the settings name the market that is used when nothing is said.

    Raises:
        SetupError: the kind of venue is not known.
    """
    return settings.kind != LIVE and practice_source(settings) == practice_source(VenueSettings())


def venue_id(settings: VenueSettings) -> str:
    """The short name of the venue: ``practice`` for the built-in market, with a digest for any other."""
    if settings.kind == LIVE:
        return LIVE
    source = practice_source(settings)
    source.check()
    return source.venue_id(default=practice_source(VenueSettings()))


class PracticeVenue:
    """Starts the exchange of a source, or joins the one that runs, and holds it while this object is open."""

    def __init__(
        self,
        source: PracticeSource,
        folder: Path,
        clock: Clock,
        *,
        port: int,
        speed: float,
        linger_s: float,
        start_s: float,
        accounts: int = 1,
    ) -> None:
        """Of the exchange as it is started: ``accounts`` is how many it has, ``linger_s`` how long it waits for another
        desk after the last; ``start_s`` is the longest start.
        """
        self._source = source
        self._folder = folder.absolute()
        self._clock = clock
        self._port = port
        self._speed = speed
        self._linger_s = linger_s
        self._start_s = start_s
        self._accounts = accounts
        self._lock: int | None = None

    async def open(self) -> ExchangeAddress:
        """Make sure that the exchange runs.

        Raises:
            SetupError: it did not start; the sentence carries its own words.
        """
        self._source.check()
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            await self._hold()
            return await self._start(self._port)
        except OSError as error:
            self.close()
            raise SetupError(f"The folder of the practice exchange, {self._folder}: {error.strerror}.") from error
        except BaseException:
            # Cancelled while it starts: an exchange that is held would never end by itself.
            self.close()
            raise

    def close(self) -> None:
        """Let go; the exchange ends by itself when nobody holds it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    async def keep_up(self, address: ExchangeAddress, every_s: float) -> None:
        """Start the exchange again on the same port whenever it has gone, until cancelled.

        A start that fails is logged and tried again: the exchange may come back without us.
        """
        while True:
            await self._clock.sleep(every_s)
            if await listens(address.port):
                continue
            logger.warning("the practice exchange has gone; starting it again")
            try:
                await self._start(address.port)
            except (SetupError, OSError) as error:
                logger.error("the practice exchange could not be started again: %s", error)  # noqa: TRY400 - in words

    async def _hold(self) -> None:
        """Take our share of the clients lock; an exchange that is just ending may hold it until it has ended."""
        if self._lock is not None:
            return
        self._lock = os.open(self._folder / CLIENTS_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        deadline = self._clock.monotonic() + self._start_s
        while not try_share(self._lock):
            if self._clock.monotonic() >= deadline:
                raise SetupError(f"The practice exchange in {self._folder} is ending and does not end; stop it.")
            await self._clock.sleep(POLL_S)

    async def _start(self, port: int) -> ExchangeAddress:
        deadline = self._clock.monotonic() + self._start_s
        last = self._known()
        wanted = port or (last.port if last is not None else 0)
        while True:
            running = await self._running()
            if running is not None:
                return running
            line, code, words = await self._run(wanted)
            if line:
                return _address(json.loads(line))
            if code == EXIT_PORT_TAKEN and not port and wanted:
                wanted = 0  # the port of last time belongs to somebody else now: any free one does
            elif code != EXIT_ALREADY_RUNNING or self._clock.monotonic() >= deadline:
                raise SetupError(f"The practice exchange did not start: {words}")
            else:
                # Another desk was faster, and its exchange writes its address when it is ready.
                await self._clock.sleep(POLL_S)

    async def _run(self, port: int) -> tuple[bytes, int, str]:
        """Start the process; its ready line, or its exit code and last words."""
        log = self._folder / ERROR_LOG
        too_long = log.exists() and log.stat().st_size > LOG_BYTES_MAX
        with log.open("wb" if too_long else "ab") as errors:
            begin = errors.tell()
            process = subprocess.Popen(  # noqa: ASYNC220 - a spawn is short; asyncio's child would end with our loop
                self._words(port),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                start_new_session=True,
            )
        # It outlives us when we end first; when it ends first it must not stay behind as a zombie.
        threading.Thread(target=process.wait, name="reaper of the practice exchange", daemon=True).start()
        try:
            async with asyncio.timeout(self._start_s):
                line = await first_line(process)
        except TimeoutError:
            process.terminate()
            raise SetupError(f"The practice exchange did not start within {self._start_s:g} s; see {log}.") from None
        if line:
            return line, 0, ""
        code = await asyncio.to_thread(process.wait, self._start_s)
        return b"", code, last_words(log, begin)

    def _words(self, port: int) -> list[str]:
        # -P: never a package that happens to lie in the current folder.
        words = [sys.executable, "-P", "-m", "engine.practice", "--state", str(self._folder), "--port", str(port)]
        words += ["--seed", str(self._source.seed), "--start", self._source.start, "--speed", repr(self._speed)]
        words += ["--accounts", str(self._accounts)]
        words += ["--clients-lock", str(self._folder / CLIENTS_LOCK), "--linger", repr(self._linger_s)]
        for option, path in (
            ("--instruments", self._source.instruments),
            ("--snapshot", self._source.snapshot),
            ("--tape", self._source.tape),
        ):
            if path is not None:
                words += [option, str(path.absolute())]
        if self._source.relay is not None:
            words += ["--relay", "--relay-root", self._source.relay.root, "--relay-stream", self._source.relay.stream]
        return words

    async def _running(self) -> ExchangeAddress | None:
        """The exchange that has this folder now.

        A killed one leaves its address behind, and its port may be anybody's by now, another market's exchange above
        all: the address counts only while the folder is locked, the process that wrote it lives, and our seed is told
        at its port.
        """
        known = self._known()
        if known is None or not is_locked(self._folder / EXCHANGE_LOCK) or not is_running(known.pid):
            return None
        return known if await seed_at(known.port) == self._source.seed else None

    def _known(self) -> ExchangeAddress | None:
        try:
            return _address(json.loads((self._folder / STATE_FILE).read_text(encoding="utf-8")))
        except (OSError, KeyError, TypeError, ValueError):
            return None


def _tape_header(tape: Path) -> bytes:
    """What tells a tape from others.

    Raises:
        SetupError: there is no tape.
    """
    folder = tape.parent if tape.is_file() else tape
    try:
        return (folder / TAPE_HEADER).read_bytes()
    except FileNotFoundError:
        if folder.is_dir() and any(folder.glob("*.tape")):
            return folder.name.encode()  # its header is lost; what it holds can still be played
        raise SetupError(
            f"There is no tape at {tape}; `workstation record --list` names those of this machine."
        ) from None
    except OSError as error:
        raise SetupError(f"The tape {tape} cannot be read: {error.strerror}.") from error


def _address(state: dict[str, object]) -> ExchangeAddress:
    return ExchangeAddress(int(str(state["port"])), int(str(state["pid"])))
