"""A broker's day: keys kept, logged in through the page, ended by the broker, logged in again — the engine goes on."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import pytest

from engine.core.errors import SessionExpired
from engine.core.identifiers import AccountId
from engine.practice.changes import ACCOUNT
from engine.server.remote_client import RemoteClient
from storage.embedded import EmbeddedPostgres
from tests.integration.commands.console import Console, new_console, wait_for
from tests.kit.desk_host import eventually
from tests.kit.practice_process import PracticeProcess
from workstation.settings import LiveSettings, SecretSettings

ANSWER_S = 30.0
LATER = "PR0002"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[PracticeProcess]:
    """An exchange that stands for the live broker."""
    with PracticeProcess(tmp_path / "broker") as process:
        yield process


@pytest.fixture
def live(broker: PracticeProcess, postgres_server: EmbeddedPostgres) -> Iterator[Console]:
    """A console whose venue is live, at that broker; no key of the secrets yet."""
    with new_console(postgres_server, "live broker", kind="live") as console:
        console.desk.configuration = msgspec.structs.replace(
            console.desk.configuration,
            live=LiveSettings(
                accounts=(ACCOUNT,),
                root=broker.root,
                stream_root=broker.websocket,
                login_page=f"{broker.root}/connect/login",
            ),
            secrets=SecretSettings(keyring=False),
        )
        console.write_configuration()
        yield console


@pytest.fixture
def two_at_broker(tmp_path: Path) -> Iterator[PracticeProcess]:
    """An exchange of two accounts that stands for the live broker."""
    with PracticeProcess(tmp_path / "broker", arguments=["--accounts", "2"]) as process:
        yield process


@pytest.fixture
def two_live(two_at_broker: PracticeProcess, postgres_server: EmbeddedPostgres) -> Iterator[Console]:
    """A console whose venue is live, with two accounts at that broker."""
    with new_console(postgres_server, "live broker of two", kind="live") as console:
        console.desk.configuration = msgspec.structs.replace(
            console.desk.configuration,
            live=LiveSettings(
                accounts=(ACCOUNT, LATER),
                root=two_at_broker.root,
                stream_root=two_at_broker.websocket,
                login_page=f"{two_at_broker.root}/connect/login",
            ),
            secrets=SecretSettings(keyring=False),
        )
        console.write_configuration()
        yield console


def log_in(console: Console, broker: PracticeProcess, *, by: str, account: str = "") -> dict[str, object]:
    """Log in as a person does: open the page; the browser comes back, or its address is pasted."""
    options = [*([account] if account else []), "--json", *(["--paste"] if by == "paste" else [])]
    process = console.start("login", *options, stdin=subprocess.PIPE)
    assert process.stderr is not None
    page = ""
    while not page:
        line = process.stderr.readline()
        assert line, f"the login ended with {process.wait(ANSWER_S)}"
        page = line.strip() if "/connect/login" in line else ""
    assert page.startswith(broker.root)
    query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(page).query))
    assert query["v"] == "3"
    address = str(httpx.get(page, follow_redirects=True, timeout=ANSWER_S).url)
    out, words = process.communicate(f"{address}\n", timeout=ANSWER_S)
    assert process.returncode == 0, words
    assert "access_token" not in out + words
    return {**json.loads(out), "words": words}


def checks(console: Console) -> dict[str, str]:
    """The preflight: name and outcome."""
    said = console.run("doctor", "--json")
    return {check["name"]: f"{check['outcome']}: {check['message']}" for check in said.data["checks"]}


def test_a_live_engine_survives_the_end_of_its_session(live: Console, broker: PracticeProcess) -> None:
    """Keys are kept encrypted; a day's session comes by the page, is never shown, and is replaced under way."""
    made = live.run("secrets", "init", "--print")
    assert made.code == 0, made.words
    live.environment["WORKSTATION_SECRETS_KEY"] = made.out.strip()
    for name in ("kite_api_key", "kite_api_secret"):
        process = live.start("secrets", "set", f"{name}.{ACCOUNT}", stdin=subprocess.PIPE)
        process.communicate("practice\n", timeout=ANSWER_S)
        assert process.returncode == 0
    early = live.run("positions", "--json")
    assert (early.code, f"workstation login {ACCOUNT}" in early.words) == (4, True), early.words

    first = log_in(live, broker, by="paste")
    assert (first["account"], first["engines"]) == (ACCOUNT, 0)
    vault = live.data / "secrets" / "secrets.json"
    assert b"practice" not in vault.read_bytes()

    with live.engine() as engine:
        assert engine.ready["account"] == ACCOUNT
        found = checks(live)
        assert found["login"].startswith("ok: ")
        assert "live" in found["login"]
        assert found["session"].startswith(f"ok: {ACCOUNT}: good until")
        assert found["order road"].startswith("ok: margin call answered")
        assert found["entitlement"].startswith("ok")

        httpx.post(
            f"{broker.root}/practice/faults",
            json={"kind": "expire_tokens"},
            headers={"Authorization": "token practice:practice"},
            timeout=ANSWER_S,
        )
        wait_for(lambda: "LOGIN NEEDED" in json.dumps(checks(live)), "the engine's word that a login is needed")

        second = log_in(live, broker, by="paste")
        assert second["engines"] == 1, second["words"]
        wait_for(lambda: checks(live)["login"].startswith("ok"), "a login that counts")
        wait_for(lambda: "LOGIN NEEDED" not in json.dumps(checks(live)), "the end of the alarm")
        wait_for(lambda: checks(live)["feed"].startswith("ok"), "market data with the new session")
        assert os.waitpid(engine.process.pid, os.WNOHANG) == (0, 0), "it is the same engine"
    log = "".join(path.read_text(encoding="utf-8") for path in (live.data / "log").glob("*.log"))
    assert "token practice:" not in log


def test_acc_1_an_account_without_its_login_leaves_the_other_working(
    two_live: Console, two_at_broker: PracticeProcess
) -> None:
    """The engine starts on the one session there is, says whose login is missing, and takes it over when it comes."""
    made = two_live.run("secrets", "init", "--print")
    two_live.environment["WORKSTATION_SECRETS_KEY"] = made.out.strip()
    for account, key in ((ACCOUNT, "practice"), (LATER, "practice2")):
        for name in ("kite_api_key", "kite_api_secret"):
            process = two_live.start("secrets", "set", f"{name}.{account}", stdin=subprocess.PIPE)
            process.communicate(f"{key}\n", timeout=ANSWER_S)
            assert process.returncode == 0
    log_in(two_live, two_at_broker, by="paste", account=ACCOUNT)
    with two_live.engine() as engine:
        assert engine.ready["accounts"] == [ACCOUNT, LATER]
        asyncio.run(_without_login(engine.ready["socket"]))
        log_in(two_live, two_at_broker, by="paste", account=LATER)
        asyncio.run(_with_login(engine.ready["socket"]))


async def _without_login(socket: str) -> None:
    client = await RemoteClient.attach(Path(socket))
    try:
        assert [health.account for health in await client.execution_health()] == [ACCOUNT]
        login = next(check for check in (await client.doctor()).checks if f"workstation login {LATER}" in check.message)
        assert login.outcome == "block"
        assert (await client.funds(AccountId(ACCOUNT))).net > 0
        with pytest.raises(SessionExpired, match=LATER):
            await client.funds(AccountId(LATER))
    finally:
        await client.close()


async def _with_login(socket: str) -> None:
    client = await RemoteClient.attach(Path(socket))
    try:

        async def at_work() -> bool:
            return [health.account for health in await client.execution_health()] == [ACCOUNT, LATER]

        await eventually(at_work, "the second account at work", poll_s=0.1)
        assert (await client.funds(AccountId(LATER))).account == LATER
    finally:
        await client.close()
