"""The process: one exchange per state folder, on loopback, until it is told to end or its last desk is gone.

Crash-only: a start after a kill is the same code as any other start. A drive moves the market; everything
runs on one event loop and one thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import gc
import json
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import TextIO

from aiohttp import web

from engine.practice import (
    http_gtt,
    http_history,
    http_margins,
    http_market,
    http_mf,
    http_orders,
    http_portfolio,
    http_practice,
    http_user,
)
from engine.practice.accounts import Accounts, account_rows
from engine.practice.bench import Bench
from engine.practice.book import BookError
from engine.practice.charges import Charges
from engine.practice.drives import Drive, open_drive
from engine.practice.exchange import Exchange
from engine.practice.faults import FaultPlan
from engine.practice.http_common import SERVICES, Services, envelope, faulty, guarded, refusal
from engine.practice.http_history import HISTORY, HistoryDesk
from engine.practice.http_margins import CHARGES
from engine.practice.http_market import FILES, InstrumentFiles
from engine.practice.limits import Limits
from engine.practice.seats import Seats
from engine.practice.settings import ExchangeSettings
from engine.practice.wire import ErrorType, KiteError
from engine.practice.wire_faults import FRAMES

_log = logging.getLogger(__name__)
HOST = "127.0.0.1"
LOCK_NAME, INFO_NAME = "exchange.lock", "exchange.json"
EXIT_OK, EXIT_UNUSABLE, EXIT_ALREADY_RUNNING, EXIT_PORT_TAKEN = 0, 2, 3, 4
_SHUTDOWN_SECONDS = 0.3
_FILE_MODE = 0o600
_ROUTES = (
    http_user,
    http_portfolio,
    http_history,
    http_market,
    http_margins,
    http_gtt,
    http_mf,
    http_orders,
    http_practice,
)


class Runner:
    """Runs one exchange.

    Args:
        settings: What the process was started with.
        output: Where the ready line goes.
        errors: Where sentences for people go.
    """

    def __init__(self, settings: ExchangeSettings, output: TextIO, errors: TextIO) -> None:
        self._settings = settings
        self._output = output
        self._errors = errors

    def run(self) -> int:
        """Serve until the end and return the exit code."""
        state = self._settings.state
        state.mkdir(parents=True, exist_ok=True)
        lock = os.open(state / LOCK_NAME, os.O_RDWR | os.O_CREAT, _FILE_MODE)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._say(f"A practice exchange already runs on {state}{_where(state)}.")
                return EXIT_ALREADY_RUNNING
            try:
                listener = _listen(self._settings.port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                self._say(
                    f"Port {self._settings.port} on {HOST} is in use by another program; "
                    "choose another with --port, or 0 for any free one."
                )
                return EXIT_PORT_TAKEN
            try:
                return asyncio.run(self._serve(listener))
            except (BookError, ValueError) as error:
                self._say(str(error))
                return EXIT_UNUSABLE
            finally:
                listener.close()
        finally:
            os.close(lock)

    async def _serve(self, listener: socket.socket) -> int:
        drive = await open_drive(self._settings)
        try:
            seats = Seats(self._settings, drive.exchange, time.monotonic)
            try:
                return await self._run(listener, drive, seats)
            finally:
                seats.close()
        finally:
            await drive.close()

    async def _run(self, listener: socket.socket, drive: Drive, seats: Seats) -> int:
        settings, stop = self._settings, asyncio.Event()
        loop = asyncio.get_running_loop()
        bench = Bench(settings, None if settings.faults is None else FaultPlan.read(settings.faults))
        first = Services(
            settings=settings,
            exchange=drive.exchange,
            accounts=Accounts(settings.service, time.monotonic, account_rows(settings.accounts)),
            limits=Limits(settings.service, time.time),
            faults=bench.faults,
            hub=drive.hub,
            stop=stop.set,
            bench=bench,
            drive_status=drive.status,
        )
        services = seats.services(first)
        bench.attach(services.exchanges(), services.accounts, drive.hub)
        app = application(services)
        app[FRAMES] = bench.frames
        app.cleanup_ctx.append(bench.running)
        drive.install(app)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS, handle_signals=False)
        await runner.setup()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        tasks = [loop.create_task(drive.run(), name="practice-drive")]
        if settings.clients_lock is not None:
            tasks.append(loop.create_task(self._watch_clients(settings.clients_lock, stop), name="practice-clients"))
        stopping = loop.create_task(stop.wait(), name="practice-stop")
        try:
            await web.SockSite(runner, listener).start()
            gc.freeze()
            self._announce(drive.exchange, listener.getsockname()[1])
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, stopping):
                task.cancel()
            await asyncio.gather(*tasks, stopping, return_exceptions=True)
            await drive.hub.close_all()
            await runner.cleanup()
            (settings.state / INFO_NAME).unlink(missing_ok=True)
        return EXIT_OK

    async def _watch_clients(self, path: Path, stop: asyncio.Event) -> None:
        """End the exchange when no desk has held the clients' lock for the linger time."""
        loop = asyncio.get_running_loop()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, _FILE_MODE)
        try:
            held_at = loop.time()
            while loop.time() - held_at < self._settings.linger:
                await asyncio.sleep(min(self._settings.service.clients_poll_seconds, self._settings.linger))
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held_at = loop.time()
                else:
                    fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            os.close(descriptor)
        self._say("The practice exchange ended with the last desk using it.")
        stop.set()
        await asyncio.Event().wait()

    def _announce(self, exchange: Exchange, port: int) -> None:
        """Write the information file, then print the ready line: whoever reads the line may read the file."""
        info = {"pid": os.getpid(), "port": port, "started": time.time()}
        fresh = self._settings.state / f"{INFO_NAME}.new"
        fresh.write_text(json.dumps(info), encoding="utf-8")
        fresh.replace(self._settings.state / INFO_NAME)
        ready = {"ready": True, "port": port, "pid": os.getpid(), "market_time": exchange.describe_now()}
        # Whoever started it may have been killed; the next one finds it by the file.
        with contextlib.suppress(BrokenPipeError):
            self._output.write(json.dumps(ready) + "\n")
            self._output.flush()

    def _say(self, sentence: str) -> None:
        self._errors.write(sentence + "\n")
        self._errors.flush()


def application(services: Services) -> web.Application:
    """Return the HTTP application with all routes."""
    app = web.Application(middlewares=[envelope, faulty, guarded])
    app[SERVICES] = services
    app[FILES] = InstrumentFiles()
    app[HISTORY] = HistoryDesk()
    app[CHARGES] = Charges.load()
    app.router.add_get("/", _root)
    for module in _ROUTES:
        module.add_routes(app.router)
    return app


async def _root(request: web.Request) -> web.StreamResponse:
    """Serve the ticker at ``/?api_key=..&access_token=..``."""
    own = request.app[SERVICES]
    if request.headers.get("Upgrade", "").lower() != "websocket":
        raise KiteError(404, ErrorType.GENERAL, "Route not found")
    api_key, token = request.query.get("api_key", ""), request.query.get("access_token", "")
    if not own.accounts.is_valid(api_key, token):
        return refusal(KiteError(403, ErrorType.TOKEN, "Incorrect `api_key` or `access_token`."))
    if not own.hub.has_room(api_key):
        return refusal(KiteError(429, ErrorType.NETWORK, "Too many connections for this `api_key`."))
    return await own.hub.serve(request, api_key)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen()
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _where(state: Path) -> str:
    """Return where the running exchange of a folder listens, in words; empty when it has not said yet."""
    try:
        info = json.loads((state / INFO_NAME).read_text(encoding="utf-8"))
        return f": port {info['port']}, process {info['pid']}"
    except (OSError, ValueError, KeyError):
        return ""


def run(settings: ExchangeSettings, output: TextIO = sys.stdout, errors: TextIO = sys.stderr) -> int:
    """Run an exchange in this process and return its exit code."""
    return Runner(settings, output, errors).run()
