"""Price alerts: kept, told when their condition begins to hold, remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from engine.practice.alerts import AlertDesk
from engine.practice.settings import ServiceSettings
from engine.practice.wire import KiteError
from tests.unit.practice.conftest import Venue


def desk(venue: Venue) -> AlertDesk:
    """Return the alerts of a venue."""
    return venue.exchange.waiting.alerts


def form(level: float = 1.0, operator: str = ">=", **changes: str) -> dict[str, str]:
    """Return the form of an alert on the index."""
    return {
        "name": "level",
        "type": "simple",
        "lhs_exchange": "INDICES",
        "lhs_tradingsymbol": "NIFTY 50",
        "lhs_attribute": "LastTradedPrice",
        "operator": operator,
        "rhs_type": "constant",
        "rhs_constant": str(level),
    } | changes


def test_an_alert_is_told_once_while_its_condition_holds(venue: Venue) -> None:
    """It is told at the step at which the condition begins to hold, and again only after it did not hold between."""
    made = desk(venue).create(form(1.0))
    for _ in range(3):
        venue.advance(1.0)
    told = desk(venue).get(made.uuid)
    assert (told.count, told.holds) == (1, True)
    desk(venue).modify(made.uuid, {"rhs_constant": "1000000"})
    venue.advance(1.0)
    assert desk(venue).get(made.uuid).count == 1
    desk(venue).modify(made.uuid, {"operator": "<"})
    venue.advance(1.0)
    again = desk(venue).get(made.uuid)
    assert again.count == 2
    newest, oldest = desk(venue).history(again)
    assert newest["created_at"] > oldest["created_at"]
    assert newest["condition"] == 'LastTradedPrice("INDICES:NIFTY 50") < 1e+06'
    assert newest["meta"][0]["last_price"] > 1000.0


def test_instruments_may_be_compared(venue: Venue) -> None:
    """The index is above its option's price; a disabled alert is not looked at."""
    other = {"rhs_type": "instrument", "rhs_exchange": "NFO", "rhs_attribute": "LastTradedPrice"}
    other["rhs_tradingsymbol"] = venue.contract().symbol
    above, below = (desk(venue).create(form(operator=sign) | other) for sign in (">", "<="))
    asleep = desk(venue).create(form(status="disabled"))
    venue.advance(1.0)
    counts = [desk(venue).get(alert.uuid).count for alert in (above, below, asleep)]
    assert counts == [1, 0, 0]


def test_alerts_survive_a_restart_and_the_night(venue: Venue) -> None:
    """What was told stays told, what was deleted stays away, also in the compacted book of the next day."""
    kept, gone = (desk(venue).create(form(1.0)) for _ in range(2))
    venue.advance(1.0)
    desk(venue).delete([gone.uuid])
    before = desk(venue).get(kept.uuid)
    venue.restart()
    assert desk(venue).get(kept.uuid) == before
    venue.exchange.close_session()
    venue.exchange.open_next_session()
    venue.restart()
    assert desk(venue).get(kept.uuid) == before
    with pytest.raises(KiteError) as missing:
        desk(venue).get(gone.uuid)
    assert missing.value.status == 404


def test_the_cap(make_venue: Callable[..., Venue]) -> None:
    """One more than allowed is refused; deleting an unknown one removes none."""
    venue = make_venue(service=replace(ServiceSettings(), alerts=2))
    first, _ = (desk(venue).create(form()) for _ in range(2))
    with pytest.raises(KiteError, match="2"):
        desk(venue).create(form())
    with pytest.raises(KiteError):
        desk(venue).delete([first.uuid, "unknown"])
    assert len(venue.exchange.ledger.standing.alerts) == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"type": "ato"}, "simple"),
        ({"name": ""}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"status": "asleep"}, "status"),
        ({"operator": "!="}, "operator"),
        ({"rhs_type": "dream"}, "rhs_type"),
        ({"rhs_constant": "much"}, "rhs_constant"),
        ({"rhs_constant": "nan"}, "rhs_constant"),
        ({"rhs_constant": "-1"}, "rhs_constant"),
        ({"lhs_attribute": "Volume"}, "lhs_attribute"),
        ({"lhs_tradingsymbol": "NOTHING"}, "lhs_tradingsymbol"),
        ({"rhs_type": "instrument"}, "rhs_attribute"),
    ],
)
def test_ill_formed_alerts(venue: Venue, changes: dict[str, str], words: str) -> None:
    """Each wrong field is named."""
    with pytest.raises(KiteError, match=words):
        desk(venue).create(form() | changes)
