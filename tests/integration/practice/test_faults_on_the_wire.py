"""Every fault as a client meets it, with the process, its book and its log as the judges."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.integration.practice.conftest import DEADLINE_SECONDS, eventually
from tests.kit.practice_process import PracticeProcess

PATIENCE_SECONDS = 10.0
EXIT_RESTART = 5
INDEX = 256265
ORDER_SECONDS: deque[int] = deque(maxlen=8)
"""The calendar seconds of the last orders; fewer than the limit of ten, because changes count too."""


class Client:
    """A client without opinions: what was answered, or how the connection ended."""

    def __init__(self, exchange: PracticeProcess, api_key: str = "practice") -> None:
        self.exchange = exchange
        self.key = api_key
        spot = self.get(f"/quote/ltp?{urllib.parse.urlencode({'i': 'NSE:NIFTY 50'})}")["NSE:NIFTY 50"]["last_price"]
        rows = [line.split(",") for line in self.text("/instruments/NFO").splitlines()[1:]]
        calls = [row for row in rows if row[3] == '"NIFTY"' or row[3] == "NIFTY"]
        calls = [row for row in calls if row[9] == "CE"]
        nearest = min(row[5] for row in calls)
        self.symbol = min((row for row in calls if row[5] == nearest), key=lambda row: abs(float(row[6]) - spot))[2]

    def ask(
        self, method: str, path: str, form: dict[str, str] | None = None, seconds: float = PATIENCE_SECONDS
    ) -> tuple[int, dict[str, str], bytes]:
        """Return (status, headers, body); OSError or HTTPException when there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.exchange.port, timeout=seconds)
        try:
            connection.request(
                method,
                path,
                urllib.parse.urlencode(form) if form is not None else None,
                {
                    "Authorization": f"token {self.key}:{self.key}",
                    "Content-Type": "application/x-www-form-urlencoded",
                },
            )
            answer = connection.getresponse()
            return answer.status, dict(answer.headers), answer.read()
        finally:
            connection.close()

    def text(self, path: str) -> str:
        """Return the body of a read."""
        return self.ask("GET", path)[2].decode()

    def get(self, path: str) -> Any:
        """Return the data of a read."""
        return json.loads(self.text(path))["data"]

    def quote(self) -> dict[str, Any]:
        """Return the quote of the at-the-money call."""
        key = f"NFO:{self.symbol}"
        return dict(self.get(f"/quote?{urllib.parse.urlencode({'i': key})}")[key])

    def form(self, tag: str, price: float | None = None, **more: str) -> dict[str, str]:
        """Return the form of a resting buy (or at a price)."""
        if price is None:
            price = round(self.quote()["depth"]["buy"][0]["price"] - 10, 2)
        order = {
            "exchange": "NFO",
            "tradingsymbol": self.symbol,
            "transaction_type": "BUY",
            "order_type": "LIMIT",
            "product": "NRML",
            "quantity": "65",
            "price": f"{price:.2f}",
            "tag": tag,
        }
        return order | more

    def place(self, tag: str, price: float | None = None, **more: str) -> tuple[int, dict[str, str], bytes] | str:
        """Place an order; the answer, or the name of what happened instead."""
        form = self.form(tag, price, **more)
        self._keep_within_the_limit()
        try:
            return self.ask("POST", "/orders/regular", form)
        except (OSError, http.client.HTTPException) as error:
            return type(error).__name__

    def _keep_within_the_limit(self) -> None:
        """Wait for the next calendar second when this one has had its orders: the limit is not what is tested here."""
        if len(ORDER_SECONDS) == ORDER_SECONDS.maxlen:
            eventually(lambda: int(time.time()) > ORDER_SECONDS[0], "the next second")
        ORDER_SECONDS.append(int(time.time()))

    def tags(self) -> list[str]:
        """Return the tags in the book."""
        return [row["tag"] for row in self.get("/orders")]

    def fault(self, kind: str, **fields: Any) -> None:
        """Register a fault."""
        self.exchange.request("POST", "/practice/faults", {"kind": kind} | fields)

    def events(self, after: int = 0, wait: float = 0.0) -> list[dict[str, Any]]:
        """Return the events after a number."""
        return list(self.exchange.request("GET", f"/practice/events?after={after}&wait={wait}")["events"])

    def saw(self, what: str, tag: str) -> dict[str, Any]:
        """Wait for an event and return it."""
        return dict(
            eventually(
                lambda: next((e for e in self.events() if (e["what"], e["tag"]) == (what, tag)), None),
                f"{what} of {tag}",
            )
        )

    def logged(self, tag: str) -> list[dict[str, Any]]:
        """Return what the request log says of a tag."""
        rows = self.exchange.request("GET", "/practice/log?after=0")["rows"]
        return [row for row in rows if row.get("tag") == tag]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeProcess]:
    """One exchange for tests that leave it as it was."""
    with PracticeProcess(tmp_path_factory.mktemp("practice") / "state") as process:
        yield process
        assert "Traceback" not in process.errors


@pytest.fixture
def client(shared: PracticeProcess) -> Iterator[Client]:
    """A client of the shared exchange, which is well again afterwards."""
    yield Client(shared)
    shared.request("DELETE", "/practice/faults")


@pytest.mark.parametrize(
    ("kind", "status", "carried_out", "outcome"),
    [
        ("error_429", 429, False, "refused"),
        ("error_500", 500, False, "refused"),
        ("error_502", 502, False, "refused"),
        ("error_503", 503, False, "refused"),
        ("error_504", 504, False, "refused"),
        ("html_502", 502, False, "refused"),
        ("timeout_400", 400, False, "refused"),
        ("reset_before", "ConnectionResetError", False, "refused"),
        ("accepted_500", 500, True, "answer_altered"),
        ("accepted_502", 502, True, "answer_altered"),
        ("accepted_503", 503, True, "answer_altered"),
        ("accepted_504", 504, True, "answer_altered"),
        ("accepted_html_502", 502, True, "answer_altered"),
        ("accepted_timeout_400", 400, True, "answer_altered"),
        ("drop_answer", "RemoteDisconnected", True, "answer_dropped"),
        ("reset_after", "ConnectionResetError", True, "answer_dropped"),
        ("delay", 200, True, "answered"),
        ("hold", 200, True, "answered"),
    ],
)
def test_what_the_client_sees_and_what_is_true(
    client: Client, kind: str, status: int | str, carried_out: bool, outcome: str
) -> None:
    """The answer of each fault, whether the order is in the book all the same, and the log that knows both."""
    tag = kind.replace("_", "")
    client.fault(kind, method="POST", path="/orders", tag=tag, seconds=0.2)
    begun = time.monotonic()
    seen = client.place(tag)
    assert (seen if isinstance(seen, str) else seen[0]) == status
    assert (tag in client.tags()) is carried_out
    (row,) = client.logged(tag)
    assert row["outcome"] == outcome
    assert row["fault"] == kind
    assert row.get("status") == (None if isinstance(status, str) else status)
    assert client.exchange.request("GET", "/practice/log")["by_tag"][tag] == 1
    if kind in {"delay", "hold"}:
        assert time.monotonic() - begun >= 0.2
    if kind == "accepted_timeout_400" and not isinstance(seen, str):
        assert "timed out" in json.loads(seen[2])["message"]
        assert row["order_id"]
    again = client.place(f"{tag}2")
    assert not isinstance(again, str)
    assert again[0] == 200, "used up"


def test_a_fault_meets_changes_too(client: Client) -> None:
    """A cancellation whose answer is lost is carried out, and logged with the tag of its order."""
    placed = client.place("change")
    assert not isinstance(placed, str)
    order_id = json.loads(placed[2])["data"]["order_id"]
    client.fault("drop_answer", method="DELETE", tag="change")
    with pytest.raises((OSError, http.client.HTTPException)):
        client.ask("DELETE", f"/orders/regular/{order_id}")
    eventually(
        lambda: next(row for row in client.get("/orders") if row["order_id"] == order_id)["status"] == "CANCELLED",
        "the cancellation",
    )
    assert [(row["method"], row["outcome"]) for row in client.logged("change")] == [
        ("POST", "answered"),
        ("DELETE", "answer_dropped"),
    ]


def test_a_trigger_whose_answer_is_lost_is_logged_too(client: Client) -> None:
    """Requests of triggers are logged and met by faults like those of orders; no limit of orders counts them."""
    client.fault("accepted_502", method="POST", path="/gtt/triggers")
    assert client.ask("POST", "/gtt/triggers", {"type": "nonsense"})[0] == 400, "refused before it could be accepted"
    rows = client.exchange.request("GET", "/practice/log?after=0")["rows"]
    (row,) = [row for row in rows if row["path"] == "/gtt/triggers"]
    assert (row["method"], row["outcome"], row["status"]) == ("POST", "refused", 400)


def test_an_imposed_rejection(client: Client) -> None:
    """An order is accepted and then rejected in the book."""
    client.fault("reject", tag="reject")
    assert not isinstance(client.place("reject"), str)
    event = client.saw("rejected", "reject")
    row = next(row for row in client.get("/orders") if row["order_id"] == event["order_id"])
    assert (row["status"], row["cancelled_quantity"]) == ("REJECTED", 65)


def test_sliced_orders_and_their_answers(tmp_path: Path) -> None:
    """Seeds differ in the shape of the answer; a slice that fails is told where the shape has room; the book has the
    rest.
    """
    shapes = set()
    for seed in range(1, 9):
        with PracticeProcess(tmp_path / str(seed), seed=seed) as exchange:
            client = Client(exchange)
            client.fault("slice_failure", tag="sliced")
            seen = client.place("sliced", quantity="3900", autoslice="true")
            assert not isinstance(seen, str)
            data = json.loads(seen[2])["data"]
            assert client.tags() == ["sliced", "sliced"], "two of three slices"
            children = data if isinstance(data, list) else data.get("children")
            shapes.add("list" if isinstance(data, list) else "children" if children else "alone")
            if children:
                assert ["order_id" in child for child in children] == [True, False, True]
                assert children[1]["error"]["error_type"] == "MarginException"
        if len(shapes) == 3:
            break
    assert shapes == {"list", "children", "alone"}


def test_a_stale_book_does_not_know_the_newest_order(client: Client) -> None:
    """Frozen, it shows what was there; with a tag, it hides that tag; afterwards it is true again."""
    client.place("before")
    client.fault("stale_book")
    client.place("after")
    assert "before" in client.tags()
    assert "after" not in client.tags()
    client.exchange.request("DELETE", "/practice/faults")
    assert "after" in client.tags()
    client.fault("stale_book", tag="after")
    assert "before" in client.tags()
    assert "after" not in client.tags()
    order_id = client.saw("accepted", "after")["order_id"]
    assert client.ask("GET", f"/orders/{order_id}")[0] == 400


def in_background(client: Client, tag: str, seen: list[Any], price: float | None = None) -> threading.Thread:
    """Place an order in a thread that keeps what it saw."""
    thread = threading.Thread(target=lambda: seen.append(client.place(tag, price)))
    thread.start()
    return thread


def test_a_gate_before_acceptance(client: Client) -> None:
    """Nothing is in the book while the request is stopped; released to be discarded, it never will be."""
    for then, carried_out in (("go_on", True), ("discard", False)):
        tag = then.replace("_", "")
        client.fault("pause_at", point="received", tag=tag, then=then)
        seen: list[Any] = []
        thread = in_background(client, tag, seen)
        client.saw("paused", tag)
        assert tag not in client.tags()
        assert seen == []
        assert client.exchange.request("POST", "/practice/release", {"tag": tag}) == 1
        thread.join()
        assert (tag in client.tags()) is carried_out
        assert isinstance(seen[0], str) is not carried_out
        assert client.logged(tag)[0]["outcome"] == ("answered" if carried_out else "discarded")


def test_a_gate_between_the_answer_and_the_action(client: Client) -> None:
    """The client has its answer; the order stays as it was received until the gate opens."""
    client.fault("pause_at", point="answered", tag="answered")
    assert not isinstance(client.place("answered"), str)
    event = client.saw("paused", "answered")

    def status() -> str:
        return str(next(row for row in client.get("/orders") if row["order_id"] == event["order_id"])["status"])

    assert status() == "PUT ORDER REQ RECEIVED"
    client.exchange.request("POST", "/practice/release")
    eventually(lambda: status() == "OPEN", "the order to open")


async def heard(socket: aiohttp.ClientWebSocketResponse, tag: str, count: int) -> list[dict[str, Any]]:
    """Return so many order updates of a tag."""
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(DEADLINE_SECONDS):
        while len(found) < count:
            message = await socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                data = json.loads(message.data)["data"]
                if data.get("tag") == tag:
                    found.append(data)
    return found


QUERY = "/?api_key=practice&access_token=practice"


async def test_a_gate_on_the_updates_of_a_fill(client: Client) -> None:
    """The book and the trades tell of the fill; the socket hears of it after the release."""
    client.fault("pause_at", point="filled", tag="gated")
    ask = client.quote()["depth"]["sell"][4]["price"]
    async with aiohttp.ClientSession(client.exchange.websocket) as session, session.ws_connect(QUERY) as socket:
        await asyncio.to_thread(client.place, "gated", ask)
        filled = await asyncio.to_thread(client.saw, "filled", "gated")
        await asyncio.to_thread(client.saw, "paused", "gated")
        trades = await asyncio.to_thread(client.get, "/trades")
        assert filled["order_id"] in {row["order_id"] for row in trades}
        assert not [event for event in client.events() if (event["what"], event["tag"]) == ("update_sent", "gated")]
        client.exchange.request("POST", "/practice/release")
        (update,) = await heard(socket, "gated", 1)
        assert update["status"] == "COMPLETE"


async def test_updates_twice(client: Client) -> None:
    """A duplicated update comes twice, the same."""
    client.fault("duplicate_update", tag="twice")
    ask = client.quote()["depth"]["sell"][4]["price"]
    async with aiohttp.ClientSession(client.exchange.websocket) as session, session.ws_connect(QUERY) as socket:
        await asyncio.to_thread(client.place, "twice", ask)
        first, second = await heard(socket, "twice", 2)
        assert first == second


async def test_damaged_frames_and_half_dead_sockets(client: Client) -> None:
    """A doubled frame comes twice; a half-dead socket gives heartbeats where data were; a handshake is refused once."""
    async with aiohttp.ClientSession(client.exchange.websocket) as session:
        client.fault("refuse_handshake")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(QUERY)
        assert refused.value.status == 403
        async with session.ws_connect(QUERY) as socket, asyncio.timeout(DEADLINE_SECONDS):
            client.fault("duplicate_frame")
            await socket.send_json({"a": "subscribe", "v": [INDEX]})
            frames = [b""]
            while len(frames) < 2 or frames[-1] != frames[-2]:
                data = await socket.receive_bytes()
                if len(data) > 1:
                    frames.append(data)
            client.fault("half_dead_socket")
            quiet = 0
            while quiet < 4:
                quiet = quiet + 1 if await socket.receive_bytes() == b"\x00" else 0
            client.exchange.request("DELETE", "/practice/faults")
            while len(await socket.receive_bytes()) <= 1:
                pass


async def test_sockets_are_struck_by_chance(client: Client) -> None:
    """A plan with a rate for sockets closes them while the market steps."""
    async with aiohttp.ClientSession(client.exchange.websocket) as session, session.ws_connect(QUERY) as socket:
        client.exchange.request("POST", "/practice/faults/plan", {"rates": {"close_sockets": 1.0}})
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not socket.closed:
                await socket.receive()


async def test_tokens_that_expire(client: Client) -> None:
    """Everything is 403 TokenException, sockets are closed and refused; when it is over, all is well again."""
    async with aiohttp.ClientSession(client.exchange.websocket) as session, session.ws_connect(QUERY) as socket:
        client.fault("expire_tokens")
        for method, path in (("GET", "/user/profile"), ("GET", "/orders"), ("DELETE", "/orders/regular/1")):
            status, _, body = client.ask(method, path)
            assert (status, json.loads(body)["error_type"]) == (403, "TokenException")
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not socket.closed:
                await socket.receive()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await session.ws_connect(QUERY)
    client.exchange.request("DELETE", "/practice/faults")
    assert client.ask("GET", "/user/profile")[0] == 200


@pytest.mark.parametrize(("kind", "carried_out"), [("restart_before", False), ("restart_after", True)])
def test_a_restart_in_the_middle_of_a_request(tmp_path: Path, kind: str, carried_out: bool) -> None:
    """The process ends with its own exit code; started again it has the order, or has not, and its log says it died
    over it.
    """
    with PracticeProcess(tmp_path / "state") as exchange:
        client = Client(exchange)
        client.fault(kind, method="POST")
        assert isinstance(client.place("dies"), str)
        eventually(lambda: exchange.exit_code is not None, "the end of the process")
        assert exchange.stop() == EXIT_RESTART
        exchange.start()
        again = Client(exchange)
        assert (again.tags() == ["dies"]) is carried_out
        (row,) = again.logged("dies")
        assert row["outcome"] == "died"
        assert exchange.request("GET", "/practice/log")["by_tag"] == {"dies": 1}


def test_a_kill_while_the_answer_is_stopped(tmp_path: Path) -> None:
    """Accepted and unanswered, aimed: the exchange is killed at the gate, and acts on the order when it is back."""
    with PracticeProcess(tmp_path / "state") as exchange:
        client = Client(exchange)
        client.fault("pause_at", point="accepted", tag="gate")
        ask = client.quote()["depth"]["sell"][4]["price"]
        seen: list[Any] = []
        thread = in_background(client, "gate", seen, ask)
        accepted = client.saw("accepted", "gate")
        client.saw("paused", "gate")
        exchange.kill()
        thread.join()
        assert isinstance(seen[0], str)
        exchange.start()
        row = eventually(
            lambda: next((r for r in Client(exchange).get("/orders") if r["status"] == "COMPLETE"), None), "the fill"
        )
        assert (row["order_id"], row["tag"]) == (accepted["order_id"], "gate")


def test_faults_by_chance(tmp_path: Path) -> None:
    """A plan from a file strikes about as often as it says, and the log accounts for every request."""
    plan = tmp_path / "plan.json"
    plan.write_text(json.dumps({"seed": 4, "rates": {"drop_answer": 0.3, "error_503": 0.2, "duplicate_update": 0.5}}))
    with PracticeProcess(tmp_path / "state", arguments=["--faults", str(plan)]) as exchange:
        client = Client(exchange)
        price = round(client.quote()["depth"]["buy"][0]["price"] - 10, 2)
        for number in range(30):
            client.place(f"p{number}", price)
        met = exchange.request("GET", "/practice/faults/met")
        assert 3 <= met["drop_answer"] <= 15
        assert 1 <= met["error_503"] <= 12
        exchange.request("DELETE", "/practice/faults")
        log = exchange.request("GET", "/practice/log")
        assert log["by_tag"] == {f"p{number}": 1 for number in range(30)}
        assert len(client.tags()) == 30 - met["error_503"]


@pytest.mark.parametrize("body", [{"rates": {"nonsense": 1}}, {"seed": "x"}])
def test_a_senseless_plan_is_refused(client: Client, body: dict[str, Any]) -> None:
    """Over HTTP as 400; as a file it is one sentence and exit code 2."""
    connection = http.client.HTTPConnection("127.0.0.1", client.exchange.port, timeout=PATIENCE_SECONDS)
    try:
        connection.request("POST", "/practice/faults/plan", json.dumps(body))
        answer = connection.getresponse()
        assert answer.status == 400
        assert b"Not a plan of faults" in answer.read()
    finally:
        connection.close()


def test_a_missing_plan_is_one_sentence(tmp_path: Path) -> None:
    """A file that is not there ends the start with 2 and is named."""
    process = PracticeProcess(tmp_path / "state", arguments=["--faults", str(tmp_path / "none.json")])
    with pytest.raises(RuntimeError, match=r"ended with 2 .*none\.json"):
        process.start()
    with suppress(FileNotFoundError):
        assert "Traceback" not in process.errors
