"""``record``: begins and ends the tape of a running engine, and lists the tapes on this machine."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping

from engine.core.errors import InvalidInput
from engine.core.operations import RecorderView
from engine.tape.catalogue import TapeSummary, find_tapes, tape_summary
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_table, print_words
from workstation.cli.running import engine_for, running_engine
from workstation.formatting import clock_time, india
from workstation.locations import Locations
from workstation.settings import Configuration

_BYTES_PER_MB = 1 << 20
_SECONDS_PER_MINUTE = 60


async def run_record(
    configuration: Configuration, locations: Locations, options: argparse.Namespace, environment: Mapping[str, str]
) -> ExitCode:
    """Begin, end or list.

    Raises:
        InvalidInput: options that contradict each other.
    """
    if options.list:
        if options.connect is not None:
            raise InvalidInput("`record --list` lists the tapes of this machine; --connect does not go with it.")
        summaries = await asyncio.to_thread(summarise, locations, check=options.check)
        return show_tapes(summaries, as_json=options.json)
    if options.check:
        raise InvalidInput("--check goes with --list.")
    if options.stop and options.connect is None and running_engine(configuration, locations, options) is None:
        print_words("no engine runs here, so nothing is being recorded")
        return ExitCode.DONE
    async with engine_for(configuration, locations, options, environment, acting=True) as engine:
        operations = await engine.record(not options.stop)
    return show_recorder(operations.recorder, as_json=options.json)


def summarise(locations: Locations, *, check: bool) -> list[TapeSummary]:
    """Every tape in the data folder, newest first; one that is deleted meanwhile is left out."""
    summaries = []
    for path in find_tapes(locations.tapes):
        try:
            summaries.append(tape_summary(path, check=check))
        except (InvalidInput, FileNotFoundError):
            continue
    return summaries


def show_tapes(summaries: list[TapeSummary], *, as_json: bool) -> ExitCode:
    """Print the list."""
    if as_json:
        print_json(summaries)
        return ExitCode.DONE
    rows = [
        [
            f"{india(tape.start):%Y-%m-%d} {clock_time(tape.start)}",
            f"{tape.duration_s / _SECONDS_PER_MINUTE:.1f}",
            tape.venue,
            str(tape.records),
            _megabytes(tape.bytes),
            tape.path,
            " ".join(words for words in ("Being written." if tape.is_being_written else "", tape.damage) if words),
        ]
        for tape in summaries
    ]
    print_table(["start", "minutes", "venue", "records", "MB", "tape", "remarks"], rows, left=frozenset({0, 2, 5, 6}))
    return ExitCode.DONE


def show_recorder(recorder: RecorderView | None, *, as_json: bool) -> ExitCode:
    """Print where the tape stands now."""
    if as_json:
        print_json(recorder)
        return ExitCode.DONE
    if recorder is None:
        print_words("This engine has no recorder.")
        return ExitCode.DONE
    row = [
        "recording" if recorder.recording else "stopped",
        str(recorder.frames),
        _megabytes(recorder.bytes),
        str(recorder.dropped),
        recorder.path,
        recorder.message,
    ]
    print_table(["recorder", "records", "MB", "left out", "tape", "remarks"], [row], left=frozenset({0, 4, 5}))
    return ExitCode.DONE


def _megabytes(size: int) -> str:
    return f"{size / _BYTES_PER_MB:,.1f}"
