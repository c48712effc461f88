"""``workstation headless``: the engine without a screen, until told to stop or until it is idle and alone."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable

from engine.client import EngineClient
from engine.core.orders import OrderState
from workstation.assembly import Host, open_host
from workstation.cli.exit_codes import ExitCode
from workstation.cli.logs import log_to_file
from workstation.cli.output import print_json_line
from workstation.locations import Locations
from workstation.settings import Configuration

LOOK_S = 0.5
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def run_headless(
    configuration: Configuration,
    locations: Locations,
    *,
    until_idle: bool,
    opened: Callable[[EngineClient], Awaitable[None]] | None = None,
) -> int:
    """Run until SIGTERM; with ``until_idle`` also until no order works, no plan is left and nobody is attached.

    A hang-up does not end it. ``opened`` is called with the engine first; then one line of JSON says that it is ready.
    """
    log_to_file(configuration.log, locations, "engine")
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    async with open_host(configuration, locations, read_only=False, with_door=True) as host:
        if opened is not None:
            await opened(host.client)
        if host.door is not None:
            print_json_line(
                {
                    "ready": True,
                    "pid": os.getpid(),
                    "socket": str(host.door.path),
                    "exchange_root": host.address.root if host.address is not None else None,
                    "account": host.engine.account,
                    "accounts": host.engine.desks.accounts,
                }
            )
        await serve(host, stopping, idle_exit_s=configuration.door.idle_exit_s if until_idle else None)
    return ExitCode.DONE


async def serve(host: Host, stopping: asyncio.Event, *, idle_exit_s: float | None) -> None:
    """Wait until ``stopping`` is set, or until the engine has been idle and alone for ``idle_exit_s``."""
    clock = host.engine.clock
    busy_at = clock.monotonic()
    while not stopping.is_set():
        try:
            await asyncio.wait_for(stopping.wait(), LOOK_S)
        except TimeoutError:
            if is_busy(host) or is_recording(host):
                busy_at = clock.monotonic()
            elif idle_exit_s is not None and clock.monotonic() - busy_at >= idle_exit_s:
                return


def is_busy(host: Host) -> bool:
    """Whether an order may still trade, a plan is not over, an answer is looked for, or somebody is attached."""
    attached = host.door is not None and host.door.clients > 0
    has_plans = any(desk.plans.is_busy for desk in host.engine.desks)
    is_looking = any(
        desk.executor is not None and desk.executor.instructions is not None and desk.executor.instructions.is_open
        for desk in host.engine.desks
    )
    return attached or has_plans or is_looking or any(may_trade(record.state) for record in host.engine.orders())


def is_recording(host: Host) -> bool:
    """Whether a tape is written."""
    recorder = host.engine.data.recorder
    return recorder is not None and recorder.is_recording


def may_trade(state: OrderState) -> bool:
    """Whether an order in this state still needs an engine that watches it."""
    return state.is_working
