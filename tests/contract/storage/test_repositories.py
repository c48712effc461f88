"""What two engines on one database see of each other's chain minutes, through the port an engine is given."""

from __future__ import annotations

from tests.contract.storage.conftest import TwoEngines
from tests.contract.storage.test_chain_series import KEY, WHOLE_DAY, minute


async def test_chain_minutes_are_of_the_database(engines: TwoEngines) -> None:
    """A minute that one engine stored is there for the other one."""
    await engines.first.chain_series.save([minute(0), minute(3)])
    found = await engines.second.chain_series.between(KEY, *WHOLE_DAY)
    assert found.minute.size == 2
    assert (await engines.second.chain_series.daily_atm_volatility(KEY.underlying, 5)).day.size == 1
