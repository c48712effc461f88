"""A desk opened on files in the layouts of the real ones: its first instant is the files', and it trades."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from engine.core.orders import OrderState
from engine.core.vocabulary import QuoteState
from examples.real_input_report import read_snapshot, report_on
from storage.embedded import EmbeddedPostgres
from tests.integration.engine import made_chain
from tests.kit.desk_host import Exchange, live_chain, new_desk, until

ZONE = ZoneInfo("Asia/Kolkata")
SAMPLES = Path(__file__).resolve().parents[4] / "shared" / "samples"
SAMPLE_DUMP = SAMPLES / "kite_instruments_nfo_bfo_2026-08-18.csv.gz"
SAMPLE_CHAIN = SAMPLES / "nse_chain_NIFTY_2026-07.json.gz"
needs_samples = pytest.mark.skipif(
    not (SAMPLE_DUMP.exists() and SAMPLE_CHAIN.exists()), reason="the real files are not on this machine"
)


@pytest.mark.parametrize("moment", [made_chain.CLOSE, made_chain.MIDDAY], ids=["close", "midday"])
@pytest.mark.parametrize("shape", made_chain.SHAPES)
async def test_a_desk_on_a_snapshot(
    postgres_server: EmbeddedPostgres, tmp_path: Path, request: pytest.FixtureRequest, shape: str, moment: str
) -> None:
    """Either shape opens at its moment, extended at the close alone, with the file's figures."""
    chain = made_chain.write_snapshot(tmp_path / "chain.json", shape, moment)
    with new_desk(postgres_server, request.node.nodeid, start="auto", snapshot=str(chain), speed=0.0) as desk:
        async with desk.opened() as host:
            found = await report_on(host.client, read_snapshot(chain))
            session = host.client.desk().status.session
            opened = session.market_time.astimezone(ZONE).replace(tzinfo=None)
            assert abs((opened - made_chain.moment_of(moment)).total_seconds()) < 1
            assert session.state == "open"
            assert session.extended is (moment == made_chain.CLOSE)
            printed = [made for made in made_chain.chain() if made.volatility > 0]
            assert found.printed == len(printed) > 30
            assert found.agreed == found.printed, found.differences
            assert found.prices_equal == found.interest_equal == found.options == 2 * len(made_chain.STRIKES)
            assert found.order.state is OrderState.COMPLETE
            assert found.order.average_price == found.order.request.price
            # Afterwards it is a market like any other.
            await Exchange(host.exchange.root).speed(30)
            view = await live_chain(host.client)
            before = view.calls.bid.copy()

            def has_moved() -> bool:
                now = host.client.chain(view.key)
                return now is not None and not np.array_equal(now.calls.bid, before, equal_nan=True)

            await until(has_moved, "a market that moves")


async def test_a_desk_on_both_files(
    postgres_server: EmbeddedPostgres, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """The dump's contracts keep their tokens, the snapshot makes those it lacks, and the rest can be found."""
    chain = made_chain.write_snapshot(tmp_path / "chain.json", "newer", made_chain.CLOSE)
    dump = made_chain.write_dump(tmp_path / "instruments.csv")
    market = {"start": "auto", "snapshot": str(chain), "instruments": str(dump), "speed": 0.0}
    with new_desk(postgres_server, request.node.nodeid, **market) as desk:
        async with desk.opened() as host:
            client = host.client
            rows = {line.split(",")[2]: int(line.split(",")[0]) for line in dump.read_text().splitlines()[1:]}
            for symbol in ("NIFTY2671424200CE", "RELIANCE26JUL3000PE", "SENSEX2671678000CE", "NIFTY26JULFUT"):
                found = await client.search(symbol, 1)
                assert (found[0].tradingsymbol, found[0].token) == (symbol, rows[symbol])
            made = await client.search("nifty 23900 pe w0", 1)
            assert made[0].tradingsymbol == "NIFTY2671423900PE"
            assert made[0].tradingsymbol not in rows
            report = await report_on(client, read_snapshot(chain))
            assert report.agreed == report.printed
            assert report.prices_equal == report.options
            assert report.order.state is OrderState.COMPLETE
            assert report.order.request.instrument.tradingsymbol in rows


@needs_samples
async def test_the_real_files(postgres_server: EmbeddedPostgres, request: pytest.FixtureRequest) -> None:
    """40,000 instruments searchable; that day's strikes as printed; all but three printed volatilities agree."""
    market = {"start": "auto", "snapshot": str(SAMPLE_CHAIN), "instruments": str(SAMPLE_DUMP), "speed": 0.0}
    with new_desk(postgres_server, request.node.nodeid, **market) as desk:
        async with desk.opened() as host:
            found = await report_on(host.client, read_snapshot(SAMPLE_CHAIN))
            assert host.engine.day.loaded.rows > 40_000
            assert (await host.client.search("reliance aug fut", 1))[0].tradingsymbol == "RELIANCE26AUGFUT"
            assert found.options == found.prices_equal == found.interest_equal == 198
            assert found.agreed >= 140
            assert {difference.option.name for difference in found.differences} == {"21900 CE", "22650 CE", "25950 PE"}
            reasons = {difference.option.name: difference.reason for difference in found.differences}
            assert "below the intrinsic value" in reasons["21900 CE"]
            assert "below the intrinsic value" in reasons["22650 CE"]
            assert "gives 84.18" in reasons["25950 PE"]
            assert found.order.state is OrderState.COMPLETE
            assert host.client.desk().status.session.extended
            states = {item.label: item.state for item in host.client.desk().strip}
            assert states["NIFTY"] is QuoteState.LIVE
