"""What an engine needs of its venue, for each kind of venue: clock, roads to the broker, logins, data connections."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from engine.brokers.feed import FeedListener, FeedMode, Ticker
from engine.brokers.kite.rest import KiteOrderRoad, KiteReads
from engine.brokers.kite.session import KiteCredentials
from engine.brokers.kite.ticker import KiteTicker, TickerSettings
from engine.brokers.kite.transport import HttpSettings, KiteTransport
from engine.brokers.routing import ReadAccount, RoutedReads
from engine.clocks import QuoteClock, StreamClock, SystemClock, VenueClock
from engine.core.errors import Refused, SessionExpired, SetupError
from engine.core.identifiers import AccountId
from engine.core.ports import Clock
from engine.core.vocabulary import Venue
from engine.feed_service import MakeTicker
from engine.market.feed_pool import FeedKey
from engine.parts import AccountParts, Playback
from engine.session_watch import StoredSessions
from engine.venue import VenueReading, VenueSource
from workstation.day_sessions import DaySession, DaySessions
from workstation.live import ROLES, LiveAccount, LiveVenueSource, live_accounts
from workstation.practice_source import PlaybackControl, PracticeVenueSource
from workstation.practice_venue import ExchangeAddress, practice_accounts
from workstation.secrets.book import API_KEY, SecretBook
from workstation.settings import Configuration

PRACTICE_KEY = "practice"
"""Key and token of the first account of a practice exchange; that of the second is ``practice2`` and so on."""
NO_TOKEN = "not-logged-in"  # noqa: S105 - stands where an account has no session yet; opens nothing
TAPE_SLOTS = 250_000
"""Instruments on the board of a replay: all that a dump may list, because nobody knows which of them were recorded."""
NOBODY = AccountId("")
"""Before the profile has said whose account the credentials open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueParts:
    """Everything an engine needs that depends on the venue."""

    clock: Clock
    quote_clock: Clock
    stream_clock: StreamClock | None
    """The clock that a tape's stream drives; ``None`` where there is no tape."""
    on_reading: Callable[[VenueReading], None]
    source: VenueSource
    first_reading: VenueReading
    reads: RoutedReads
    accounts: tuple[AccountParts, ...]
    feed_keys: tuple[FeedKey, ...]
    make_ticker: MakeTicker
    sessions: StoredSessions | None
    playback: Playback | None


def http_settings(configuration: Configuration) -> HttpSettings:
    """Timeouts of the road to the broker."""
    broker = configuration.broker
    return HttpSettings(order_deadline_s=broker.order_timeout_s, read_timeout_s=broker.read_timeout_s)


def _jitter() -> random.Random:
    return random.Random(secrets.token_bytes(16))  # noqa: S311 - jitter of waits, not a secret


def _ignore(_: VenueReading) -> None:
    """The wall clock needs no reading."""


async def practice_parts(
    configuration: Configuration, address: ExchangeAddress, stack: contextlib.AsyncExitStack
) -> VenueParts:
    """The practice exchange at ``address``: its own market, a tape, or a relayed feed."""
    http = await stack.enter_async_context(httpx.AsyncClient(timeout=configuration.broker.read_timeout_s))
    source = PracticeVenueSource(address.root, http)
    reading = await source.read()
    stream_clock = StreamClock(reading.market_time) if source.venue is Venue.REPLAY else None
    clock: Clock
    quote_clock: Clock
    on_reading: Callable[[VenueReading], None]
    if stream_clock is not None:
        clock, on_reading, quote_clock = stream_clock, _ignore, QuoteClock(stream_clock)
    else:
        # Of a relayed feed too: its market time is the real one, or that of another exchange of this kind.
        venue_clock = VenueClock(reading.market_time, speed=reading.speed, run_on_s=configuration.engine.venue_run_on_s)
        clock = quote_clock = venue_clock

        def on_reading(new: VenueReading) -> None:
            venue_clock.set_reading(new.market_time, speed=new.speed)

    opened = await asyncio.gather(
        *(
            _practice_account(configuration, address, stack, place, note=source.note, clock=clock)
            for place in range(practice_accounts(configuration.practice))
        )
    )
    routed = RoutedReads(opened[0].reads, [account.reads for account in opened[1:]])
    keys = [FeedKey(account=item.account, hears_orders=True) for item in opened]
    if stream_clock is not None:
        # One connection: frames of several could not be put in one order, and a tape is played the same each time.
        keys = [
            FeedKey(
                account=item.account,
                connections_max=1,
                connection_capacity=0 if place else TAPE_SLOTS,
                hears_orders=True,
            )
            for place, item in enumerate(opened)
        ]
    return VenueParts(
        clock=clock,
        quote_clock=quote_clock,
        stream_clock=stream_clock,
        on_reading=on_reading,
        source=source,
        first_reading=reading,
        reads=routed,
        accounts=tuple(_account_parts(item, routed) for item in opened),
        feed_keys=tuple(keys),
        make_ticker=_ticker_maker(
            configuration, address.stream_root, {item.account: item.credentials for item in opened}
        ),
        sessions=None,
        playback=PlaybackControl(address.root, http) if stream_clock is not None else None,
    )


@dataclass(frozen=True, slots=True)
class OpenedAccount:
    """One account with its roads."""

    reads: ReadAccount
    transport: KiteTransport
    credentials: KiteCredentials

    @property
    def account(self) -> AccountId:
        """Whose."""
        return self.reads.account


def practice_credentials(place: int) -> KiteCredentials:
    """Key and token of the account of a place in a practice exchange, from 0."""
    key = f"{PRACTICE_KEY}{place + 1}" if place else PRACTICE_KEY
    return KiteCredentials(key, key)


async def _practice_account(
    configuration: Configuration,
    address: ExchangeAddress,
    stack: contextlib.AsyncExitStack,
    place: int,
    *,
    note: str,
    clock: Clock,
) -> OpenedAccount:
    """The account of a place in the exchange, from 0; whose it is says the exchange."""
    credentials = practice_credentials(place)
    transport = KiteTransport(address.root, credentials, settings=http_settings(configuration))
    stack.push_async_callback(transport.aclose)
    jitter = _jitter()
    try:
        profile = await KiteReads(transport, account=NOBODY, clock=clock, random=jitter).profile()
    except SessionExpired as error:
        raise SetupError(
            f"The practice exchange has no account {credentials.api_key}: it was started with fewer than [practice] "
            "accounts asks for. It ends by itself when no desk uses it; try again in a moment."
        ) from error
    reads = ReadAccount(
        profile.account_id,
        name=f"{note}, {profile.name}" if place else note,
        reads=KiteReads(transport, account=profile.account_id, clock=clock, random=jitter),
        roles=ROLES,
        token_until=lambda: None,
        monotonic=time.monotonic,
    )
    return OpenedAccount(reads, transport, credentials)


def _account_parts(opened: OpenedAccount, routed: RoutedReads) -> AccountParts:
    server_clock = opened.transport.server_clock
    reads = opened.reads.reads
    return AccountParts(
        account=opened.account,
        name=opened.reads.name,
        # The broker counts triggers and conversions together with the reads.
        road=KiteOrderRoad(opened.transport, reads.others if isinstance(reads, KiteReads) else None),
        reads=routed.of(opened.account),
        server_offset_s=lambda: server_clock.offset_s or 0.0,
        server_uncertainty_s=lambda: server_clock.uncertainty_s or 0.0,
    )


async def live_parts(
    configuration: Configuration, book: SecretBook, sessions: DaySessions, stack: contextlib.AsyncExitStack
) -> VenueParts:
    """The real market, through the accounts of ``[live]``.

    One whose session is missing waits for its login; the others work.

    Raises:
        SetupError: no accounts, no keys, or no account that orders may go to is logged in.
    """
    live, clock, jitter = configuration.live, SystemClock(), _jitter()
    accounts = live_accounts(live)
    logins = LiveSessions(sessions)
    opened: dict[AccountId, OpenedAccount] = {}
    found = {item.account: sessions.find(item.account) for item in accounts.all}
    if not any(found[item.account] for item in accounts.senders):
        owner = accounts.owner.account
        raise SetupError(f"LOGIN NEEDED: {owner} has no session today; run `workstation login {owner}`.")
    for item in accounts.all:
        session = found[item.account]
        key = session.api_key if session is not None else book.need(API_KEY, account=item.account)
        credentials = KiteCredentials(key, session.access_token if session is not None else NO_TOKEN)
        logins.hold(item.account, credentials, session)
        transport = KiteTransport(live.root, credentials, settings=http_settings(configuration))
        stack.push_async_callback(transport.aclose)
        reads = KiteReads(transport, account=item.account, clock=clock, random=jitter)
        opened[item.account] = OpenedAccount(_read_account(item, reads, logins, session), transport, credentials)
    owner_reads = opened[accounts.owner.account].reads
    routed = RoutedReads(owner_reads, [item.reads for item in opened.values() if item.reads is not owner_reads])
    return VenueParts(
        clock=clock,
        quote_clock=clock,
        stream_clock=None,
        on_reading=_ignore,
        source=LiveVenueSource(accounts.all),
        first_reading=VenueReading(market_time=datetime.now(UTC)),
        reads=routed,
        accounts=tuple(_account_parts(opened[item.account], routed) for item in accounts.senders),
        feed_keys=tuple(
            FeedKey(account=item.account, hears_orders="orders" in item.roles)
            for item in accounts.all
            if "data" in item.roles
        ),
        make_ticker=_ticker_maker(
            configuration, live.stream_root, {name: item.credentials for name, item in opened.items()}
        ),
        sessions=logins,
        playback=None,
    )


def _read_account(item: LiveAccount, reads: KiteReads, logins: LiveSessions, session: DaySession | None) -> ReadAccount:
    account = ReadAccount(
        item.account,
        name=session.name if session is not None else item.account,
        reads=reads,
        roles=item.roles,
        token_until=lambda: logins.until(item.account),
        monotonic=time.monotonic,
    )
    if session is None:
        account.refused(SessionExpired(f"{item.account} has not logged in today."))
    return account


def _ticker_maker(
    configuration: Configuration, stream_root: str, credentials: Mapping[AccountId, KiteCredentials]
) -> MakeTicker:
    """Makes the connections of each key."""
    jitter = _jitter()
    settings = TickerSettings(silence_limit_s=configuration.engine.silence_limit_s)

    def make(
        key: FeedKey,
        listener: FeedListener,
        desired: Callable[[], Mapping[int, FeedMode]],
        is_open: Callable[[], bool],
    ) -> Ticker:
        return KiteTicker(
            stream_root,
            credentials[AccountId(key.account)],
            desired=desired,
            listener=listener,
            is_open=is_open,
            random=jitter,
            settings=settings,
        )

    return make


class LiveSessions:
    """Implements ``engine.session_watch.StoredSessions``: stored logins, and the credentials that use them."""

    def __init__(self, sessions: DaySessions) -> None:
        """``sessions`` are read whenever one is taken."""
        self._sessions = sessions
        self._credentials: dict[AccountId, KiteCredentials] = {}
        self._until: dict[AccountId, datetime | None] = {}

    def hold(self, account: AccountId, credentials: KiteCredentials, session: DaySession | None) -> None:
        """Remember whose credentials these are, and the session they were made of."""
        self._credentials[account] = credentials
        self._until[account] = session.until if session is not None else None

    def until(self, account: AccountId) -> datetime | None:
        """When an account's session ends at the latest; ``None`` before its first login."""
        return self._until[account]

    def take(self, account: AccountId) -> str:
        """Put the newest stored session in force; see ``StoredSessions``."""
        session = self._sessions.find(account)
        credentials = self._credentials[account]
        if session is None or session.access_token == credentials.access_token:
            raise Refused(f"No newer session of {account} is stored; run `workstation login {account}` first.")
        if session.api_key != credentials.api_key:
            raise Refused(f"The API key of {account} is another one now; start the engine again.")
        credentials.renew(session.access_token)
        self._until[account] = session.until
        return session.access_token
