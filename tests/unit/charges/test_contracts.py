"""Reading a contract from its trading symbol, and refusing what has no rates."""

from __future__ import annotations

import pytest

from engine.charges.contracts import contract_of
from engine.core.errors import InvalidInput
from engine.core.identifiers import InstrumentKey
from engine.core.vocabulary import Exchange, InstrumentKind


@pytest.mark.parametrize(
    ("symbol", "underlying", "kind"),
    [
        ("NIFTY26DEC24000CE", "NIFTY", InstrumentKind.CALL),
        ("NIFTY2681824050PE", "NIFTY", InstrumentKind.PUT),
        ("NIFTY26O2024050PE", "NIFTY", InstrumentKind.PUT),
        ("BANKNIFTY26DECFUT", "BANKNIFTY", InstrumentKind.FUTURE),
        ("NIFTYNXT5026SEP74800PE", "NIFTYNXT50", InstrumentKind.PUT),
        ("SENSEX2682081000CE", "SENSEX", InstrumentKind.CALL),
        ("SENSEX5026AUG27000CE", "SENSEX50", InstrumentKind.CALL),
        ("SENSEX502682027000CE", "SENSEX50", InstrumentKind.CALL),
        ("M&M26AUG3200CE", "M&M", InstrumentKind.CALL),
        ("BAJAJ-AUTO26AUGFUT", "BAJAJ-AUTO", InstrumentKind.FUTURE),
        ("360ONE26AUG1052.5PE", "360ONE", InstrumentKind.PUT),
    ],
)
def test_a_symbol_tells_underlying_and_kind(symbol: str, underlying: str, kind: InstrumentKind) -> None:
    """Monthly and weekly spellings, underlyings that end or begin with digits, strikes with a fraction."""
    contract = contract_of(InstrumentKey(Exchange.BFO, symbol))
    assert (contract.exchange, contract.underlying, contract.kind) == (Exchange.BFO, underlying, kind)


@pytest.mark.parametrize("symbol", ["NIFTY 50", "RELIANCE", "NIFTY26DEC24000", "26DEC24000CE", "NIFTY26DEC24000CE "])
def test_other_symbols_are_no_contract(symbol: str) -> None:
    """An index, a share or half a name is refused, not read as something near it."""
    with pytest.raises(InvalidInput, match="names no option or future"):
        contract_of(InstrumentKey(Exchange.NFO, symbol))


@pytest.mark.parametrize("exchange", [Exchange.MCX, Exchange.NSE, Exchange.BSE, Exchange.CDS, Exchange.NCO])
def test_other_segments_are_refused_in_words(exchange: Exchange) -> None:
    """Commodities, shares and currencies have no rates here; the sentence says which segments have."""
    with pytest.raises(InvalidInput, match=f"Charges on {exchange} are not known.*NFO and BFO") as caught:
        contract_of(InstrumentKey(exchange, "CRUDEOIL26DEC6000CE"))
    assert caught.value.field == "exchange"
