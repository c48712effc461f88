"""Mutual funds: an account that is not enabled for them reads empty lists and may do nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.contract.official_client.driven import drives


@drives("mf_orders", "mf_sips", "mf_holdings", "mf_instruments")
def test_reads_are_empty(kite: Any) -> None:
    """Lists are empty, the list of instruments parses, and one order or SIP does not exist."""
    from kiteconnect import exceptions

    assert kite.mf_orders() == kite.mf_sips() == kite.mf_holdings() == kite.mf_instruments() == []
    for read in (kite.mf_orders, kite.mf_sips):
        with pytest.raises(exceptions.InputException):
            read("1")


@drives("place_mf_order", "cancel_mf_order", "place_mf_sip", "modify_mf_sip", "cancel_mf_sip")
def test_writes_are_refused(kite: Any) -> None:
    """Every write raises PermissionException with 403."""
    from kiteconnect import exceptions

    writes: tuple[Callable[[], Any], ...] = (
        lambda: kite.place_mf_order("INF000000000", "BUY", amount=1000),
        lambda: kite.cancel_mf_order("1"),
        lambda: kite.place_mf_sip("INF000000000", 1000, 12, "monthly"),
        lambda: kite.modify_mf_sip("1", amount=2000),
        lambda: kite.cancel_mf_sip("1"),
    )
    for write in writes:
        with pytest.raises(exceptions.PermissionException) as refused:
            write()
        assert refused.value.code == 403
