"""``workstation chain NIFTY [EXPIRY]``: one chain, printed once."""

from __future__ import annotations

import asyncio
import math

import numpy as np

from engine.client import EngineClient
from engine.core.commands import ShowChain
from engine.core.errors import InvalidInput, UnknownInstrument
from engine.core.instruments import ExpiryLabel
from engine.core.views import ChainColumns, ChainKey, ChainView, Floats
from engine.core.vocabulary import QuoteState
from workstation.cli.chain_convention import (
    Convention,
    ConventionalColumn,
    conventional,
    with_convention,
)
from workstation.cli.exit_codes import ExitCode
from workstation.cli.output import print_json, print_table, print_words
from workstation.formatting import UNICODE
from workstation.formatting import strike as strike_text
from workstation.presenters.chain_columns import build_up_sign
from workstation.presenters.chain_header import figure_lines
from workstation.presenters.lines import text_of
from workstation.presenters.names import STATE_MARKS, STATE_WORDS

UNKNOWN = "—"
LAKH = 100_000
PERCENT = 100
FIGURES_WIDTH = 100
POLL_S = 0.05
ROWS_AROUND_ATM = 10
ENOUGH = 0.9
"""Share of the contracts that must have been heard of before the chain is printed at once."""


async def chain(
    engine: EngineClient,
    underlying: str,
    expiry: str | None,
    *,
    as_json: bool,
    everything: bool,
    wait_s: float,
    convention: Convention = Convention.FORWARD,
) -> ExitCode:
    """Print a chain as soon as its quotes are there; what is not known is ``—``.

    On another ``convention`` its volatilities stand in the IV column of the out-of-the-money sides; a document has them
    beside the desk's own.
    """
    wanted = _expiry(await engine.expiries(underlying), expiry, underlying)
    name = await _name(engine, underlying)
    key = ChainKey(name, wanted.expiry)
    await engine.watch_chain(key)
    try:
        view = await _filled(engine, key, wait_s)
        other = None
        if view is not None and convention is not Convention.FORWARD:
            other = await conventional(engine, view, convention)
    finally:
        await engine.unwatch_chain(key)
    if view is None or not _heard(view):
        print_words(f"No quotes of {name} {wanted.expiry:%d %b} arrived within {wait_s:g} s.")
        return ExitCode.UNAVAILABLE
    if other is not None:
        print_words(f"IV: {other.words}" + (f" Unknown: {other.reason}." if other.reason else ""))
    if as_json:
        print_json(view if other is None else with_convention(view, other))
    else:
        _print(view, other, everything=everything)
    return ExitCode.DONE


async def _name(engine: EngineClient, text: str) -> str:
    """The underlying as the dump spells it; the language knows the aliases."""
    names = [view.name for view in await engine.underlyings()]
    if text.upper() in names:
        return text.upper()
    wish = (await engine.interpret(f"show {text}")).wish
    if isinstance(wish, ShowChain):
        return wish.underlying
    raise UnknownInstrument(f'"{text}" is not an underlying with options today.', field="underlying")


def _heard(view: ChainView) -> int:
    """Contracts of which anything was received."""
    return sum(int(np.count_nonzero(side.state != QuoteState.UNKNOWN)) for side in (view.calls, view.puts))


def _expiry(listed: tuple[ExpiryLabel, ...], text: str | None, underlying: str) -> ExpiryLabel:
    if not listed:
        raise UnknownInstrument(f"{underlying} has no options today.")
    if text is None:
        return listed[0]
    for item in listed:
        if text.lower() in item.labels or text == item.expiry.isoformat():
            return item
    known = ", ".join(f"{'/'.join(item.labels)} {item.expiry.isoformat()}" for item in listed)
    raise InvalidInput(f"{underlying} has no {text}. Listed: {known}.", field="expiry")


async def _filled(engine: EngineClient, key: ChainKey, wait_s: float) -> ChainView | None:
    """The chain once nearly every contract has been heard of, or what there is when the time is over."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    while True:
        view = engine.chain(key)
        if view is not None and view.header.forward is not None:
            contracts = sum(int(np.count_nonzero(side.token)) for side in (view.calls, view.puts))
            if _heard(view) >= ENOUGH * contracts:
                return view
        if loop.time() >= deadline:
            return view
        await asyncio.sleep(POLL_S)


def _number(value: float, form: str) -> str:
    return UNKNOWN if math.isnan(value) else format(value, form)


def _side(side: ChainColumns, volatility: Floats, row: int) -> list[str]:
    return [
        _number(side.open_interest[row] / LAKH, ".2f"),
        _number(side.last[row], ".2f"),
        _number(side.bid[row], ".2f"),
        STATE_MARKS[QuoteState(int(side.state[row]))],
        _number(side.ask[row], ".2f"),
        _number(volatility[row] * PERCENT, ".2f"),
        _number(side.delta[row], "+.3f"),
        _number(side.gamma[row], ".5f"),
        _number(side.theta[row], "+.2f"),
        _number(side.vega[row], ".2f"),
    ]


def _value(side: ChainColumns, row: int) -> list[str]:
    """What ``--all`` adds: value against the smile, how easily it is traded, what its traders do."""
    code = int(side.build_up[row])
    return [
        _number(side.theoretical[row], ".2f"),
        _number(side.mispricing[row], "+.2f"),
        _number(side.intrinsic[row], ".2f"),
        _number(side.extrinsic[row], ".2f"),
        _number(side.spread_percent[row], ".2f"),
        _number(side.liquidity[row], ".0f"),
        build_up_sign(code, UNICODE),
    ]


def _print_figures(view: ChainView) -> None:
    """Every figure of the header, a line each, with the reasons for those that are missing."""
    for line in figure_lines(view, FIGURES_WIDTH, UNICODE):
        print_words(text_of(line).rstrip())


def _print(view: ChainView, other: ConventionalColumn | None, *, everything: bool) -> None:
    header = view.header

    def shown(value: float | None, form: str) -> str:
        return UNKNOWN if value is None else format(value, form)

    print_words(
        f"{header.underlying} {header.expiry:%d %b %Y} ({'/'.join(header.labels)})  spot {shown(header.spot, ',.2f')}  "
        f"forward {shown(header.forward, ',.2f')} {header.forward_source} {header.forward_grade}  "
        f"ATM {shown(header.atm_strike, ',.0f')}  straddle {shown(header.straddle, '.2f')}  "
        f"PCR oi {shown(header.pcr_open_interest, '.2f')} volume {shown(header.pcr_volume, '.2f')}  "
        f"max pain {shown(header.max_pain, ',.0f')}  {header.seconds_to_expiry / 86_400:.2f} days to expiry"
    )
    if everything:
        _print_figures(view)
    rows = range(len(view.strikes))
    if not everything and header.atm_strike is not None:
        middle = int(np.argmin(np.abs(view.strikes - header.atm_strike)))
        rows = range(max(0, middle - ROWS_AROUND_ATM), min(len(view.strikes), middle + ROWS_AROUND_ATM + 1))
    side = ["OI lakh", "last", "bid", "", "ask", "IV %", "delta", "gamma", "theta", "vega"]
    if everything:
        side += ["theor", "misp", "intr", "extr", "sprd %", "liq", "build-up"]

    def cells(columns: ChainColumns, row: int) -> list[str]:
        volatility = columns.implied_volatility if other is None else other.of_side(calls=columns is view.calls)
        return [*_side(columns, volatility, row), *(_value(columns, row) if everything else ())]

    headings = [*side, "strike", *reversed(side)]
    table = [
        [*cells(view.calls, row), strike_text(view.strikes[row], group=False), *reversed(cells(view.puts, row))]
        for row in rows
    ]
    print_table(headings, table, left=frozenset())
    states = {
        QuoteState(int(code))
        for chain_side in (view.calls, view.puts)
        for code in chain_side.state[rows.start : rows.stop]
    }
    legend = [f"{STATE_MARKS[state]} {STATE_WORDS[state]}" for state in sorted(states) if STATE_MARKS[state].strip()]
    if legend:
        print_words("between bid and ask: " + "  ".join(legend))
