"""Our charges beside those of an independent package, leg by leg; skipped where it is not installed.

The package keeps one set of rates, in force since 1 April 2026. It charges every option of BSE the rate of SENSEX and
BANKEX; the circular names lower rates for the other underlyings, and that is the only difference there is.
"""

from __future__ import annotations

import random
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from engine.charges.arithmetic import Charges, Fill, charges_of
from engine.charges.contracts import Contract
from engine.charges.rates import ChargeRates, read_charge_rates
from engine.core.vocabulary import Exchange, InstrumentKind, Side

LEGS = 1_000
SEED = 20260401
FIRST_DAY = date(2026, 4, 1)
TICK = Decimal("0.05")
UNDERLYINGS = {
    Exchange.NFO: (("NIFTY", 65), ("BANKNIFTY", 30), ("FINNIFTY", 60), ("RELIANCE", 500)),
    Exchange.BFO: (("SENSEX", 20), ("BANKEX", 30)),
}
KINDS = (InstrumentKind.CALL, InstrumentKind.PUT, InstrumentKind.FUTURE)


@pytest.fixture(scope="module")
def peer() -> Any:
    """The independent package."""
    return pytest.importorskip("indian_charges")


@pytest.fixture(scope="module")
def rates() -> ChargeRates:
    """The rates shipped."""
    return read_charge_rates()


def random_leg(source: random.Random, last_day: date) -> Fill:
    """One order of 1 to 60 lots on a day since the newest rates, options from a tick to 3,000 rupees."""
    exchange = source.choice((Exchange.NFO, Exchange.BFO))
    underlying, lot = source.choice(UNDERLYINGS[exchange])
    kind = source.choice(KINDS)
    most_ticks = 60_000 if kind.is_option else 1_800_000
    return Fill(
        contract=Contract(exchange=exchange, kind=kind, underlying=underlying),
        side=source.choice((Side.BUY, Side.SELL)),
        quantity=lot * source.randint(1, 60),
        price=TICK * source.randint(1, most_ticks),
        day=FIRST_DAY + timedelta(days=source.randint(0, (last_day - FIRST_DAY).days)),
    )


def charges_of_peer(peer: Any, leg: Fill) -> Charges:
    """The package's answer in our lines."""
    theirs = peer.leg(
        turnover=leg.value,
        side=leg.side.lower(),
        segment="options" if leg.contract.kind.is_option else "futures",
        exchange="NSE" if leg.contract.exchange is Exchange.NFO else "BSE",
        broker="zerodha",
    )
    ours = Charges(
        brokerage=theirs.brokerage,
        stt=theirs.stt,
        transaction=theirs.exchange_txn,
        ipft=theirs.ipft,
        sebi=theirs.sebi_fee,
        stamp=theirs.stamp_duty,
        gst=theirs.gst,
    )
    assert ours.total == theirs.total
    return ours


def test_a_thousand_random_legs_agree_line_by_line(peer: Any, rates: ChargeRates) -> None:
    """Options and futures of both exchanges, both sides: every line of every leg is the same to the paisa."""
    source = random.Random(SEED)  # noqa: S311 - a sample, not a secret
    legs = [random_leg(source, rates.last_day) for _ in range(LEGS)]
    different = [
        (leg, ours, theirs)
        for leg in legs
        if (ours := charges_of(rates, leg)) != (theirs := charges_of_peer(peer, leg))
    ]
    assert different == []


@pytest.mark.parametrize(("underlying", "rate"), [("SENSEX50", "0.00005"), ("FOCIT", "0"), ("RELIANCE", "0.00005")])
def test_other_options_of_bse_differ_by_their_transaction_rate_alone(
    peer: Any, rates: ChargeRates, underlying: str, rate: str
) -> None:
    """Only the transaction charge and the tax on it are lower, by the rates of the exchange's circular."""
    leg = Fill(
        contract=Contract(exchange=Exchange.BFO, kind=InstrumentKind.CALL, underlying=underlying),
        side=Side.SELL,
        quantity=1_000,
        price=Decimal(400),
        day=date(2026, 10, 5),
    )
    ours, theirs = charges_of(rates, leg), charges_of_peer(peer, leg)
    less = leg.value * (Decimal("0.000325") - Decimal(rate))
    assert theirs.transaction - ours.transaction == less
    assert abs(theirs.gst - ours.gst - less * Decimal("0.18")) <= Decimal("0.01")
    lines = ("brokerage", "stt", "ipft", "sebi", "stamp")
    assert [getattr(ours, line) for line in lines] == [getattr(theirs, line) for line in lines]
