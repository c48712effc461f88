"""``workstation kill`` and ``workstation unlock``: the kill switch as a process of its own.

The latch comes first, before anything is looked up: from then on no engine of this data folder sends new risk, also
one that is stopped and goes on later. Then the broker is spoken to directly. Neither an engine nor the database is
needed, and none is asked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import msgspec

from engine.clocks import SystemClock
from engine.core.errors import BrokerError, InvalidInput, SessionExpired, SetupError, WorkstationError
from engine.core.identifiers import AccountId
from engine.core.ports import Clock
from engine.execution.kill import unlock_phrase
from engine.execution.kill_journal import KillJournal, is_flattening, journal_path
from engine.execution.kill_report import KillReport, LegReport
from engine.execution.latch import ALL_ACCOUNTS, Latch, LatchFolder
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_words
from workstation.kill_roads import KillAccount, open_roads, venues_here
from workstation.live import LIVE
from workstation.locations import Locations
from workstation.practice_venue import is_default_market, venue_id
from workstation.settings import Configuration

BY = "workstation kill"
EVERY = "all"
MARKET_OPTIONS = ("seed", "start", "instruments", "snapshot", "tape", "paper")


class VenueKilled(msgspec.Struct, frozen=True, kw_only=True):
    """What ``--json`` prints for one venue."""

    venue: str
    latched: tuple[AccountId, ...]
    accounts: tuple[KillReport, ...] = ()
    error: str = ""
    """Why the broker could not be worked with; the latch is set all the same."""


async def run_kill(
    configuration: Configuration, locations: Locations, options: argparse.Namespace, environment: Mapping[str, str]
) -> int:
    """Latch, cancel, flatten, verify; the exit code says how far that came.

    0: what was asked is done and verified by the broker's own books. 1: it is not done within the time; what is left is
    named. 3: the broker or its session cannot be had. 5: done, but an order's outcome is unknown or was presumed. In
    every case but 2 and 4 the latch is set.
    """
    named = None if options.account.lower() == EVERY else AccountId(options.account.upper())
    clock = SystemClock()
    folders = _folders(configuration, locations, options)
    reason = "flattens" if options.flatten else "entries cancelled, positions left"
    for folder in folders.values():
        folder.set(named or ALL_ACCOUNTS, by=BY, words=f"`workstation kill`, {reason}")
    print_words(f"latched: no engine of {', '.join(folders)} sends new risk from now on")
    killed = await asyncio.gather(
        *(
            _kill_venue(venue, folder, named, configuration, locations, environment, clock, options.flatten)
            for venue, folder in folders.items()
        )
    )
    if named is not None and not any(venue.latched for venue in killed) and not any(venue.error for venue in killed):
        known = sorted(report.account for venue in killed for report in venue.accounts)
        raise InvalidInput(f"{named} is no account here{': ' + ', '.join(known) if known else ''}.", field="account")
    if options.json:
        print_json(killed)
    return _exit_code(killed)


def _folders(configuration: Configuration, locations: Locations, options: argparse.Namespace) -> dict[str, LatchFolder]:
    is_named = configuration.venue.kind == LIVE or not is_default_market(configuration.venue)
    is_named = is_named or any(getattr(options, name, None) is not None for name in MARKET_OPTIONS)
    venues = venues_here(venue_id(configuration.venue), locations, is_named=is_named)
    return {venue: LatchFolder(locations.latches(venue), secrets.token_bytes) for venue in venues}


async def _kill_venue(  # noqa: PLR0917 - one call of one place
    venue: str,
    folder: LatchFolder,
    named: AccountId | None,
    configuration: Configuration,
    locations: Locations,
    environment: Mapping[str, str],
    clock: Clock,
    flatten: bool,
) -> VenueKilled:
    async with contextlib.AsyncExitStack() as stack:
        try:
            roads = await open_roads(venue, configuration, locations, environment, stack)
        except (BrokerError, SetupError) as error:
            print_words(f"{venue}: {error}")
            print_words(f"{venue}: the latch is set; positions and resting orders are as they were.")
            return VenueKilled(venue=venue, latched=folder.accounts(), error=str(error))
        chosen = tuple(road for road in roads if named in {None, road.account})
        if not chosen:
            latch = folder.read(named) if named is not None else None
            if named is not None and latch is not None:
                folder.clear(named, latch)  # nobody of that name trades here
            return VenueKilled(venue=venue, latched=())
        if named is None:
            _latch_each(folder, roads)
        reports = await asyncio.gather(
            *(_kill_account(road, folder, configuration, clock, flatten=flatten) for road in chosen),
            return_exceptions=True,
        )
        done = tuple(report for report in reports if isinstance(report, KillReport))
        errors = [report for report in reports if isinstance(report, BaseException)]
        for failure in errors:
            if not isinstance(failure, WorkstationError):
                raise failure
            print_words(f"{venue}: {failure}")
        return VenueKilled(
            venue=venue, latched=folder.accounts(), accounts=done, error=" ".join(str(failure) for failure in errors)
        )


def _latch_each(folder: LatchFolder, roads: Sequence[KillAccount]) -> None:
    """Give each account a latch of its own in place of the one of all, so that each can be unlocked by itself."""
    latch = folder.read(ALL_ACCOUNTS)
    if latch is None:
        return
    for road in roads:
        folder.copy(latch, road.account)
    folder.clear(ALL_ACCOUNTS, latch)


async def _kill_account(
    road: KillAccount, folder: LatchFolder, configuration: Configuration, clock: Clock, *, flatten: bool
) -> KillReport:
    with KillJournal(journal_path(folder.folder, road.account), lambda: datetime.now(UTC)) as journal:
        run = road.make_run(
            journal=journal,
            settings=configuration.kill,
            clock=clock,
            random_bytes=secrets.token_bytes,
            flatten=flatten,
            say=print_words,
        )
        try:
            report = await run.run()
        except SessionExpired as error:
            raise SessionExpired(f"{road.account}: {error} Nothing more can be done from here.") from error
        if folder.read(road.account) is None:
            # Somebody who was stopped half way through unlocking has gone on: this kill is the later wish.
            folder.set(road.account, by=BY, words="`workstation kill`")
        for line in report_lines(report):
            print_words(line)
        return report


def report_lines(report: KillReport) -> list[str]:
    """What became of an account, for a person."""
    lines = [f"{report.account}: {report.cancelled} of {report.asked} orders cancelled"]
    lines += [f"{report.account}: {_leg_words(leg)}" for leg in report.legs]
    if report.is_done:
        what = "FLAT by the broker's positions, nothing rests" if report.legs or not report.kept else "no entry rests"
        kept = f", {report.kept} stops of what is held stay" if report.kept else ""
        lines.append(f"{report.account}: {what}{kept}, after {report.elapsed_s:.1f} s")
    if report.words:
        lines.append(f"{report.account}: {report.words}")
    return lines


def _leg_words(leg: LegReport) -> str:
    head = f"{leg.signed_quantity:+d} {leg.instrument.tradingsymbol} {leg.product}"
    if leg.left:
        return f"{head}: {leg.left:+d} left"
    when = "" if leg.flat_s is None else f" in {leg.flat_s:.1f} s"
    price = "" if leg.average_price is None else f", average {leg.average_price:.2f}"
    slip = "" if leg.slippage is None else f", slippage {leg.slippage:+.2f} against {leg.decided_price}"
    return f"{head}: flat{when}{price}{slip}"


def _exit_code(killed: Sequence[VenueKilled]) -> ExitCode:
    if any(venue.error for venue in killed):
        return ExitCode.UNAVAILABLE
    reports = [report for venue in killed for report in venue.accounts]
    if not all(report.is_done for report in reports):
        return ExitCode.REFUSED
    sure = all(report.is_sure and not report.triggers for report in reports)
    return ExitCode.DONE if sure else ExitCode.UNKNOWN_OUTCOME


# -- unlocking ---------------------------------------------------------------------------------------------------------


async def run_unlock(configuration: Configuration, locations: Locations, options: argparse.Namespace) -> int:
    """End a kill switch: a wait, a typed phrase, and a line in the journal. A running engine sees it by itself.

    Raises:
        InvalidInput: nothing of that name is latched here; the sentence lists what is.
    """
    name = ALL_ACCOUNTS if options.account.lower() == EVERY else AccountId(options.account.upper())
    folders = _folders(configuration, locations, options)
    found = {venue: latch for venue, folder in folders.items() if (latch := folder.read(name)) is not None}
    if not found:
        latched = sorted({account for folder in folders.values() for account in folder.accounts()})
        rest = f"; latched are {', '.join(latched)}" if latched else "; no kill switch is on"
        raise InvalidInput(f"{name} is not latched{rest}.", field="account")
    phrase = unlock_phrase(name)
    for venue, latch in found.items():
        print_words(
            f"{venue}: latched {latch.since:%Y-%m-%d %H:%M:%S} UTC by {latch.by or 'nobody known'}: {latch.words}"
        )
    wait_s = configuration.locks.unlock_wait_s
    if wait_s > 0:
        print_words(f"Look at positions and orders first. The phrase is asked for in {wait_s:g} s.")
        await SystemClock().sleep(wait_s)
    print_words(f"Type: {phrase}")
    if (await asyncio.to_thread(sys.stdin.readline)).strip() != phrase:
        print_words("That is not the phrase; the kill switch stays on.")
        return ExitCode.REFUSED
    return _unlock(found, folders, name)


def _unlock(found: Mapping[str, Latch], folders: Mapping[str, LatchFolder], name: AccountId) -> ExitCode:
    code = ExitCode.DONE
    for venue, latch in found.items():
        folder = folders[venue]
        path = journal_path(folder.folder, name)
        if is_flattening(path):
            print_words(f"{venue}: `workstation kill` is at work on {name}; unlock when it has ended.")
            code = ExitCode.REFUSED
            continue
        with KillJournal(path, lambda: datetime.now(UTC)) as journal:
            journal.write("unlock", f"by `workstation unlock`; it was set by {latch.by}: {latch.words}")
            cleared = folder.clear(name, latch)
        if cleared:
            print_words(f"{venue}: {name} is unlocked; an engine stays in READ until somebody arms.")
        else:
            print_words(f"{venue}: the latch of {name} has changed meanwhile; look again.")
            code = ExitCode.REFUSED
    return code
