"""What is written down about those who come: enough to find out who did what, never a secret, never a flood."""

from __future__ import annotations

import logging
import stat
from pathlib import Path

import msgspec
import pytest

from engine.core.commands import CancelOrders, PlaceOrder
from engine.server.access import Scope
from tests.kit.plain_engine import PlainEngine
from tests.kit.web_door import SETTINGS, Site, opened_site
from tests.security.test_web_scopes import submit

pytestmark = pytest.mark.usefixtures("bystander")


async def test_the_story_of_a_client(site: Site, engine: PlainEngine) -> None:
    """Who attached from where, what was refused and that it left can be read in order, by the token's name and id."""
    async with await site.attach(site.token(Scope.READ, name="curious")) as client:
        await submit(client, PlaceOrder(request=engine.request(engine.instruments[0].tradingsymbol)))
        await submit(client, CancelOrders(everything=True))
    await site.refusal(None)
    lines = [line for line in site.audited() if line.get("name") == "curious"]
    kinds = [line["kind"] for line in lines]
    assert kinds[:3] == ["attached", "forbidden", "forbidden"]
    assert {line["token_id"] for line in lines} == {site.token_id("curious")}
    assert len({line["seat"] for line in lines}) == 1
    assert lines[0]["address"] == "127.0.0.1"
    assert site.audited()[0]["kind"] == "door_opened"


async def test_nothing_secret_is_written(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """After good, bad and misplaced tokens neither the audit log nor the program's holds one, or the key of one."""
    good = site.token(Scope.READ)
    forged = ".".join([*good.split(".")[:2], "AAAA"])
    with caplog.at_level(logging.DEBUG):
        async with await site.attach(good) as client:
            await client.call("funds")
            await client.say(good)
            await client.call("search", text=good)
            await client.call(good)
        await site.refusal(forged)
        await site.get(f"/v1?token={good}")
        await site.get(f"/{good}")
        await site.get("/v1", headers={"Cookie": f"token={good}", "Origin": f"https://{good}"})
        await site.get("/health", headers={"Host": good})
    secret = msgspec.json.decode((site.audit_file.parent / "tokens" / "keys.json").read_bytes())["keys"][0]["secret"]
    ours = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("engine."))
    for text in (site.audit_file.read_text(), ours):
        for part in (good, forged, good.split(".")[1], good.split(".")[2], secret):
            assert part not in text


async def test_what_is_written_is_closed_to_others(site: Site) -> None:
    """The audit log is this user's alone."""
    assert stat.S_IMODE(site.audit_file.stat().st_mode) == 0o600


async def test_control_characters_cannot_forge_a_line(site: Site) -> None:
    """What a stranger sends cannot look like another line, or move the cursor of whoever reads."""
    await site.get("/health", headers={"Host": 'x"}{"kind":"attached'})
    await site.refusal(site.token(), headers={"Origin": "https://\x80\x9b2J.example"})
    for line in site.audit_file.read_bytes().splitlines():
        assert line.isascii() or line.decode().isprintable()
        assert isinstance(msgspec.json.decode(line), dict)
    assert site.audited_kinds().count("origin_refused") == 2


async def test_a_flood_is_not_written_down(tmp_path: Path, site: Site) -> None:
    """A thousand refusals of any kind leave as many lines as the limit says, and one that stands for the rest."""
    settings = msgspec.structs.replace(SETTINGS, failed_max=5)
    async with opened_site(PlainEngine(), tmp_path / "flood", settings) as flooded:
        for number in range(200):
            await flooded.get("/v1?x=1")
            await flooded.get("/health", headers={"Host": "evil.example"})
            await flooded.get("/metrics", headers={"Origin": f"https://{number}.example"})
            await flooded.get("/metrics")
            await flooded.get(f"/{number}")
        kinds = flooded.audited_kinds()
        assert len(kinds) == 1 + 5 + 1
        assert kinds[-1] == "limit"
    assert site.door.clients == 1


async def test_a_full_disk_does_not_close_the_door(
    site: Site, engine: PlainEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When nothing can be written down an exit still passes; what is missing is counted in the next line."""

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("engine.server.audit.os.write", full)
    async with await site.attach(site.token(Scope.KILL)) as client:
        answer = await submit(client, CancelOrders(everything=True))
        assert answer["result"]["accepted"]
    assert len(engine.submitted) == 1
    monkeypatch.undo()
    await site.refusal(None)
    assert "gap" in site.audited_kinds()
