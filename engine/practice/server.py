"""The process: one exchange per state folder, on loopback, until it is told to end or its last desk is gone.

Crash-only: a start after a kill is the same code as any other start. The step loop drives market time; everything
runs on one event loop and one thread.
"""

from __future__ import annotations

import asyncio
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
from typing import Any, TextIO

from aiohttp import web

from engine.practice import http_market, http_orders, http_practice, http_user
from engine.practice.accounts import Accounts
from engine.practice.book import Book, BookError
from engine.practice.exchange import Exchange
from engine.practice.faults import Faults
from engine.practice.http_common import SERVICES, Services, envelope, faulty, guarded, refusal
from engine.practice.http_market import FILES, InstrumentFiles
from engine.practice.limits import Limits
from engine.practice.packets import PacketTable
from engine.practice.settings import ExchangeSettings
from engine.practice.stream import StreamHub
from engine.practice.venue import open_exchange
from engine.practice.wire import ErrorType, KiteError

_log = logging.getLogger(__name__)
HOST = "127.0.0.1"
LOCK_NAME, INFO_NAME = "exchange.lock", "exchange.json"
EXIT_OK, EXIT_UNUSABLE, EXIT_ALREADY_RUNNING, EXIT_PORT_TAKEN = 0, 2, 3, 4
_SHUTDOWN_SECONDS = 0.3
_FILE_MODE = 0o600


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
        settings = self._settings
        updates: list[dict[str, Any]] = []
        exchange, book = open_exchange(settings, updates.append)
        try:
            packets = PacketTable(exchange.floor.day.universe, exchange.index_tokens)
            packets.update(exchange.floor.quotes)
            hub = StreamHub(settings.service, packets)
            exchange.changes.redirect(hub.order_update)
            return await self._run(listener, exchange, book, hub)
        finally:
            book.close()

    async def _run(self, listener: socket.socket, exchange: Exchange, book: Book, hub: StreamHub) -> int:
        del book
        settings, stop = self._settings, asyncio.Event()
        loop = asyncio.get_running_loop()
        services = Services(
            settings=settings,
            exchange=exchange,
            accounts=Accounts(settings.service, time.monotonic),
            limits=Limits(settings.service, time.time),
            faults=Faults(settings.service.max_faults),
            hub=hub,
            stop=stop.set,
        )
        runner = web.AppRunner(
            application(services), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS, handle_signals=False
        )
        await runner.setup()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        tasks = [loop.create_task(self._step(exchange, hub), name="practice-steps")]
        if settings.clients_lock is not None:
            tasks.append(loop.create_task(self._watch_clients(settings.clients_lock, stop), name="practice-clients"))
        stopping = loop.create_task(stop.wait(), name="practice-stop")
        try:
            await web.SockSite(runner, listener).start()
            gc.freeze()
            self._announce(exchange, listener.getsockname()[1])
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, stopping):
                task.cancel()
            await asyncio.gather(*tasks, stopping, return_exceptions=True)
            await hub.close_all()
            await runner.cleanup()
            exchange.write_clock()
            (settings.state / INFO_NAME).unlink(missing_ok=True)
        return EXIT_OK

    async def _step(self, exchange: Exchange, hub: StreamHub) -> None:
        """Drive market time: step, send; close at the end of a session and open the next after a pause."""
        loop = asyncio.get_running_loop()
        pace = self._settings.service.step_seconds
        due = loop.time()
        while True:
            exchange.step()
            if exchange.session_is_over:
                exchange.close_session()
                hub.packets.update(exchange.floor.quotes)
                hub.publish()
                await asyncio.sleep(self._settings.service.closed_pause_seconds)
                exchange.open_next_session()
                hub.packets = PacketTable(exchange.floor.day.universe, exchange.index_tokens)
                due = loop.time()
            hub.packets.update(exchange.floor.quotes)
            hub.publish()
            due = max(due + pace, loop.time())
            await asyncio.sleep(due - loop.time())

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
    app.router.add_get("/", _root)
    for module in (http_user, http_market, http_orders, http_practice):
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
