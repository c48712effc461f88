"""``workstation login [ACCOUNT]``: the broker's own page, and the day's session kept encrypted."""

from __future__ import annotations

import argparse
import asyncio
import secrets
import sys
import webbrowser
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

from engine.brokers.kite.session import exchange_request_token
from engine.core.errors import SetupError, WorkstationError
from engine.server.local_door import is_alive
from engine.server.remote_client import RemoteClient
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_words
from workstation.day_sessions import DaySession, DaySessions
from workstation.formatting import india
from workstation.live import live_accounts
from workstation.locations import Locations
from workstation.login import callback, first_of, login_page, request_token_of
from workstation.secrets.book import API_KEY, API_SECRET
from workstation.secrets.open import open_secrets
from workstation.settings import Configuration

STATE_BYTES = 18


async def run_login(
    configuration: Configuration, locations: Locations, options: argparse.Namespace, environment: Mapping[str, str]
) -> ExitCode:
    """Log one account in and hand the session to the engines that run."""
    locations.make()
    live = configuration.live
    account = live_accounts(live).choose(options.account).account
    book = open_secrets(configuration, locations, environment)
    book.vault.read()  # a vault that cannot be opened is said before somebody logs in for nothing
    key, secret = book.need(API_KEY, account=account), book.need(API_SECRET, account=account)
    page = login_page(live.login_page, key, secrets.token_urlsafe(STATE_BYTES))
    print_words(f"Log {account} in on the broker's page:\n\n  {page.url}\n")
    request_token = await _request_token(page.url, page.state, options, live.callback_port, live.callback_wait_s)
    session = await exchange_request_token(api_key=key, api_secret=secret, request_token=request_token, root=live.root)
    if session.account_id != account:
        raise SetupError(
            f"The page logged {session.account_id} in, not {account}; log out there and begin again. Nothing was kept."
        )
    kept = DaySession(
        account=account,
        name=session.name,
        api_key=key,
        access_token=session.access_token,
        login_at=datetime.now(UTC),
    )
    DaySessions(book.vault, now=lambda: datetime.now(UTC)).keep(kept)
    told = await _tell_engines(configuration, locations, account)
    until = f"{india(kept.until):%a %d %b %H:%M} IST"
    if options.json:
        print_json({"account": account, "name": session.name, "until": kept.until, "engines": told})
    print_words(f"{account} {session.name} is logged in until {until}; {told} running engines took it.")
    return ExitCode.DONE


async def _request_token(url: str, state: str, options: argparse.Namespace, port: int, wait_s: float) -> str:
    pasted: Callable[[], Awaitable[str]] | None = None
    if options.paste or sys.stdin.isatty():
        print_words("When the browser cannot come back to this machine, paste the whole address it was sent to:")

        async def pasted() -> str:
            return request_token_of(await _line(), state)

    if options.paste:
        return await first_of(None, pasted, wait_s=wait_s)
    async with callback(state, port) as caught:
        if options.open:
            await asyncio.to_thread(webbrowser.open, url)
        return await first_of(caught, pasted, wait_s=wait_s)


async def _line() -> str:
    """One line of standard input, without a thread that could not be stopped."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    try:
        return (await reader.readline()).decode("utf-8", "replace")
    finally:
        transport.close()


async def _tell_engines(configuration: Configuration, locations: Locations, account: str) -> int:
    """Let running engines take the new session; how many did."""
    told = 0
    for socket in locations.running_sockets():
        if not is_alive(socket):
            continue
        try:
            client = await RemoteClient.attach(socket, timeout_s=configuration.door.call_timeout_s)
            try:
                await client.renew_session(account)
            finally:
                await client.close()
        except WorkstationError as error:
            print_words(f"the engine {socket.stem} did not take it: {error}")
        else:
            told += 1
    return told
