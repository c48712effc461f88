"""Where the market comes from, day after day: made up, from a real dump, from a snapshot, or from both.

A market is (source, seed); with the instant added, every quote follows. Sessions are chained by a few numbers each,
so any later session is built without living through the earlier ones.
"""

from __future__ import annotations

import logging
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np

from engine.practice.calendar_facts import Session, TradingCalendar, common_lot, indian
from engine.practice.contracts import (
    VIX_TOKEN,
    Contract,
    TokenMint,
    generated_contracts,
    index_contracts,
    option_contract,
    token_order,
)
from engine.practice.market_source import DayMarket
from engine.practice.noise import FloatArray, generator
from engine.practice.nse_snapshot import Snapshot
from engine.practice.paths import Level, SessionPaths, next_levels
from engine.practice.session_market import SessionMarket
from engine.practice.settings import MarketSettings, UnderlyingProfile
from engine.practice.starting_quotes import nothing_known, snapshot_forwards, starting_quotes
from engine.practice.universe import Universe, near_expiries

_log = logging.getLogger(__name__)
_YEAR = 365.0 * 86_400.0
_PAISE = 100.0
_MAX_SESSIONS = 2_000
_LARGEST_CARRY = 0.25


@dataclass(frozen=True, slots=True)
class MarketDay:
    """One session with its instruments and its quotes."""

    session: Session
    universe: Universe
    market: DayMarket


class Market:
    """A market that can be asked for any session from its first one on.

    Args:
        calendar: Trading days and facts of underlyings.
        settings: How the market is shaped.
        seed: Seed; another seed is another market.
        first: First session.
        dump: Contracts of a real instruments file, if given.
        snapshot: A real option chain that the first session begins with, if given.
    """

    def __init__(
        self,
        calendar: TradingCalendar,
        settings: MarketSettings,
        *,
        seed: int,
        first: Session,
        dump: Sequence[Contract] | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        self._calendar = calendar
        self._seed = seed
        self._dump = dump
        self._snapshot = snapshot
        if snapshot is not None and snapshot.underlying not in calendar.underlyings:
            known = ", ".join(calendar.underlyings)
            raise ValueError(f"{snapshot.path}: underlying {snapshot.underlying!r} is not known; known are {known}")
        profiles = _with_snapshot(settings.profiles, calendar, snapshot)
        self.settings = replace(settings, profiles=tuple(self._based(profile) for profile in profiles))
        self.names = [profile.name for profile in self.settings.profiles]
        self._bases = np.array([profile.base_level for profile in self.settings.profiles])
        zero = [Level() for _ in self.names]
        self._chain: list[tuple[Session, list[Level]]] = [(first, zero)]
        self._snapshot_contracts = self._make_snapshot_contracts()

    @property
    def source(self) -> str:
        """What the market is made from, in a word or two."""
        parts = [
            *(["instruments"] if self._dump is not None else []),
            *(["snapshot"] if self._snapshot is not None else []),
        ]
        return "+".join(parts) or "generated"

    @property
    def first_session(self) -> Session:
        """The session the market begins with."""
        return self._chain[0][0]

    def index_tokens(self) -> list[int]:
        """Return the tokens of the simulated indices, in the order of the quotes' columns (volatility index last)."""
        return [*(self._calendar.underlyings[name].index_token for name in self.names), VIX_TOKEN]

    def told_at(self, row: int | None, column: int | None) -> int:
        """Return 0: a made-up quote is always as of now."""
        del row, column
        return 0

    def session_at(self, moment: float) -> Session:
        """Return the session that an instant belongs to: the last one that opened by then, at least the first."""
        while self._chain[-1][0].closes < moment and len(self._chain) < _MAX_SESSIONS:
            following = self.session_after(self._chain[-1][0])
            if following.opens > moment:
                break
        for session, _ in reversed(self._chain):
            if session.opens <= moment:
                return session
        return self._chain[0][0]

    def session_after(self, session: Session) -> Session:
        """Return the next session."""
        index = self._index(session)
        if index + 1 == len(self._chain):
            _, levels = self._chain[index]
            ends = next_levels(session, self.settings, self._seed, levels)
            following = self._calendar.session_after(session.day)
            if following.day > self._calendar.last_known_day:
                _log.warning("no holiday list is known for %s: every weekday is taken as a trading day", following.day)
            self._chain.append((following, ends))
        return self._chain[index + 1][0]

    def day(self, session: Session) -> MarketDay:
        """Build a session's instruments and quotes."""
        index = self._index(session)
        levels = self._chain[index][1]
        universe = self._universe(session.day, index)
        table = universe.table
        paths = SessionPaths(session, self.settings, self._seed, list(self._bases), levels)
        previous = self._chain[index - 1][0].closes if index else self._calendar.session_before(session.day).closes
        carries, forwards = self._carries(universe)
        starting = nothing_known(len(table))
        if self._snapshot is not None:
            starting = starting_quotes(
                self._snapshot,
                universe.priced,
                table,
                forwards,
                self.settings.discount_rate,
                first=index == 0,
            )
        market = SessionMarket(
            session=session,
            table=table,
            paths=paths,
            settings=self.settings,
            bases=self._bases,
            starts=levels,
            previous_close=previous,
            carries=carries,
            starting=starting,
        )
        return MarketDay(session, universe, market)

    def _index(self, session: Session) -> int:
        for index, (known, _) in enumerate(self._chain):
            if known == session:
                return index
        raise ValueError(f"the session of {session.day} is not one of this market")

    def _based(self, profile: UnderlyingProfile) -> UnderlyingProfile:
        """Give an underlying the level that the input implies: the snapshot's, or the middle of the dump's ladder."""
        if self._snapshot is not None and profile.name == self._snapshot.underlying:
            return replace(profile, base_level=self._snapshot.spot)
        strikes: dict[date, list[int]] = {}
        for contract in self._dump or ():
            if contract.name == profile.name and contract.is_option and contract.expiry:
                strikes.setdefault(contract.expiry, []).append(contract.strike)
        if not strikes:
            return profile
        nearest = min(strikes)
        return replace(profile, base_level=statistics.median(strikes[nearest]) / _PAISE)

    def _carries(self, universe: Universe) -> tuple[FloatArray, FloatArray]:
        """Return the carry of each expiry group, and each row's forward at the snapshot's moment."""
        settings, table = self.settings, universe.table
        carries = np.array(
            [
                settings.carry
                + settings.carry_spread
                * float(2.0 * generator(self._seed, "carry", self.names[number], expiry.toordinal()).random() - 1.0)
                for number, expiry in table.groups
            ]
        )
        snapshot = self._snapshot
        if snapshot is None or not len(table):
            return carries, np.ones(len(table))
        instants: dict[object, float] = {
            quote.expiry: self._calendar.expiry_instant(quote.expiry) for quote in snapshot.quotes
        }
        parity = snapshot_forwards(snapshot, instants, settings.discount_rate)
        for group, (number, expiry) in enumerate(table.groups):
            years = (self._calendar.expiry_instant(expiry) - snapshot.moment) / _YEAR
            if self.names[number] == snapshot.underlying and expiry in parity and years > 0.0:
                carry = float(np.log(parity[expiry] / snapshot.spot)) / years
                # Hours before expiry a tick of parity noise is a huge rate; the forward is kept within reason.
                carries[group] = min(max(carry, -_LARGEST_CARRY), _LARGEST_CARRY)
        years_left = np.maximum((table.expires - snapshot.moment) / _YEAR, 0.0)
        forwards = self._bases[table.underlying] * np.exp(carries[table.expiry_group] * years_left)
        return carries, forwards

    def _universe(self, day: date, index: int) -> Universe:
        facts = [self._calendar.underlyings[name] for name in self.names]
        indices = index_contracts(facts)
        own = [row for row in self._snapshot_contracts if row.expiry is not None and row.expiry >= day]
        replaced = {(row.name, row.expiry) for row in own}
        if self._dump is not None:
            listed = [row for row in self._dump if row.expiry is None or row.expiry >= day]
            present = {row.symbol for row in listed}
            tradable = [*listed, *(row for row in own if row.symbol not in present)]
            indices = [row for row in indices if row.key not in {known.key for known in listed}]
            priced = self._priced_of_dump(tradable, day)
            return Universe([*indices, *tradable], priced, self.names, self._calendar, self._seed)
        mint = TokenMint(token_order(self._calendar.underlyings))
        rows: list[Contract] = list(own)
        for number, (profile, fact) in enumerate(zip(self.settings.profiles, facts, strict=True)):
            closes = [self._bases[number] * np.exp(levels[number].log_price) for _, levels in self._chain[: index + 1]]
            width = self.settings.ladder_half_width
            made = generated_contracts(
                self._calendar,
                fact,
                day,
                low=min(closes) * (1.0 - width),
                high=max(closes) * (1.0 + width),
                weeklies=profile.weekly_expiries,
                monthlies=profile.monthly_expiries,
                mint=mint,
            )
            rows.extend(row for row in made if not (row.is_option and (row.name, row.expiry) in replaced))
        return Universe([*indices, *rows], rows, self.names, self._calendar, self._seed)

    def _priced_of_dump(self, tradable: Sequence[Contract], day: date) -> list[Contract]:
        priced: list[Contract] = []
        in_snapshot = {row.symbol for row in self._snapshot_contracts}
        for name in self.names:
            exchange = self._calendar.underlyings[name].exchange
            of_name = [row for row in tradable if row.name == name and row.exchange == exchange and row.expiry]
            near = near_expiries(of_name, day, self.settings.dump_weekly_expiries, self.settings.dump_monthly_expiries)
            priced.extend(row for row in of_name if row.expiry in near or row.symbol in in_snapshot)
        return priced

    def _make_snapshot_contracts(self) -> list[Contract]:
        """Return a contract for each option of the snapshot: the dump's own where it has one."""
        snapshot = self._snapshot
        if snapshot is None:
            return []
        facts = self._calendar.underlyings[snapshot.underlying]
        known = {
            (row.expiry, row.strike, row.kind): row
            for row in self._dump or ()
            if row.name == snapshot.underlying and row.is_option
        }
        sizes = [size for quote in snapshot.quotes for size in (quote.bid_size, quote.ask_size)]
        lot = common_lot(sizes, facts.lot_size)
        if lot != facts.lot_size:
            _log.warning(
                "%s of %s: displayed sizes are multiples of %d, so that is taken as the lot instead of %d",
                snapshot.underlying,
                indian(snapshot.moment).date(),
                lot,
                facts.lot_size,
            )
        mint = TokenMint(token_order(self._calendar.underlyings), (row.token for row in self._dump or ()))
        return [
            known.get((quote.expiry, quote.strike, quote.kind))
            or option_contract(
                facts,
                quote.expiry,
                quote.strike,
                quote.kind,
                lot=lot,
                mint=mint,
                monthly=self._calendar.is_monthly(facts, quote.expiry),
            )
            for quote in snapshot.quotes
        ]


def _with_snapshot(
    profiles: tuple[UnderlyingProfile, ...], calendar: TradingCalendar, snapshot: Snapshot | None
) -> tuple[UnderlyingProfile, ...]:
    """Add a plain profile for a snapshot's underlying that the settings do not describe."""
    if snapshot is None or any(profile.name == snapshot.underlying for profile in profiles):
        return profiles
    facts = calendar.underlyings[snapshot.underlying]
    first = profiles[0]
    weeklies = first.weekly_expiries if facts.weekly else first.monthly_expiries
    return (*profiles, replace(first, name=facts.name, base_level=snapshot.spot, weekly_expiries=weeklies))
