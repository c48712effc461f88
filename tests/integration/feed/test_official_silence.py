"""The official client does not notice a silent socket; ours replaces it."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from engine.core.vocabulary import QuoteState
from engine.market.feed_pool import FeedKey
from tests.integration.feed.rig import SILENCE_S, Rig, running, token_of, until
from tests.kit.practice_process import REPOSITORY
from tests.kit.small_exchange import DEADLINE_S, SmallExchange

SCRIPT = Path(__file__).with_name("official_silence_script.py")
TOKEN = token_of(1)
LIMITS = 4
"""The silence lasts so many of our limits."""


async def test_the_official_ticker_never_notices_a_silence_that_ours_ends() -> None:
    """After four limits of silence theirs still believes to be connected; ours marked its quote and moved on."""
    async with SmallExchange(beat_s=SILENCE_S / 4) as exchange:
        exchange.prices = {TOKEN: 12_345}
        official = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SCRIPT),
            str(exchange.port),
            str(TOKEN),
            str(LIMITS * SILENCE_S),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=REPOSITORY,
        )
        try:
            assert official.stdout is not None
            async with asyncio.timeout(DEADLINE_S):
                assert json.loads(await official.stdout.readline())["words"] == "ticks"
            (theirs,) = exchange.here
            async with running(Rig({"AB1234": exchange.root}, [FeedKey(account="AB1234")])) as rig:
                rig.want("chain", [TOKEN])
                await rig.live([TOKEN])
                exchange.snapshots = False
                for client in exchange.here:
                    client.is_muted = True
                await until(lambda: rig.state(TOKEN) is QuoteState.STALE, "our quote is marked")
                await until(lambda: len(exchange.clients) == 3, "our connection was replaced")
                await until(lambda: TOKEN in exchange.clients[2].subscribed, "and told what is desired")
                exchange.clients[2].is_muted = False
                await exchange.publish({TOKEN: 12_346})
                await rig.live([TOKEN])
                async with asyncio.timeout(DEADLINE_S):
                    end = json.loads(await official.stdout.readline())
            assert end["connected"] is True
            assert end["noticed"] == ["connect", "ticks"]
            assert end["waited_s"] >= 2 * SILENCE_S
            assert exchange.attempts == 3
            assert theirs.token == "practice"
        finally:
            if official.returncode is None:
                official.kill()
            await official.wait()
            official._transport.close()  # type: ignore[attr-defined]
