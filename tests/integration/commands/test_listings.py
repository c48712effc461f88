"""Each command with ``--json`` prints one document; exit codes and words are those of the contract with scripts."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal

import pytest

from engine.core.identifiers import OrderNumber
from engine.core.orders import OrderRequest, OrderState
from tests.integration.commands.console import REPOSITORY, Console, environment, wait_for
from tests.kit.desk_host import START
from workstation.cli.exit_codes import ExitCode

STRIKE_KEYS = {"bid", "ask", "last", "open_interest", "implied_volatility", "delta", "gamma", "theta", "vega"}


def asked_for(console: Console) -> list[tuple[OrderNumber, OrderRequest, int]]:
    """What an order is by somebody's command, and not by what the market and the broker make of it meanwhile."""
    return [(order.number, order.request, order.modifications) for order in console.orders()]


def test_every_listing_is_json(shared_console: Console) -> None:
    """After a fill, orders, trades, positions, strategies and funds tell one story, with amounts as strings."""
    console = shared_console
    sent = console.run("order", "buy 2L nifty 24250 ce w0 @ ask+2", "--yes", "--json", "--key", "listing")
    assert sent.code == ExitCode.DONE, sent.words
    (order,) = sent.data["receipt"]["orders"]
    assert sent.data["sent"] is True
    number = order["number"]

    wait_for(
        lambda: any(item.number == number and item.state is OrderState.COMPLETE for item in console.orders()),
        "the fill",
    )
    (record,) = [item for item in console.run("orders", "--json").data if item["number"] == number]
    assert record["state"] == "COMPLETE"
    fills = [
        item for item in console.run("trades", "--json").data if item["broker_order_id"] == record["broker_order_id"]
    ]
    assert sum(fill["quantity"] for fill in fills) == 130
    assert all(isinstance(fill["price"], str) for fill in fills)
    symbol = order["request"]["instrument"]["tradingsymbol"]
    (position,) = [
        item for item in console.run("positions", "--json").data if item["instrument"]["tradingsymbol"] == symbol
    ]
    assert position["signed_quantity"] >= 130
    (main,) = [item for item in console.run("strategies", "--json").data if item["strategy"]["is_default"]]
    assert symbol in {leg["leg"]["instrument"]["tradingsymbol"] for leg in main["legs"]}
    funds = console.run("funds", "--json").data
    assert Decimal(funds["net"]) > 0
    for name in ("orders", "trades", "positions", "strategies", "funds"):
        table = console.run(name)
        assert table.code == ExitCode.DONE
        assert len(table.out.splitlines()) >= 2
        assert table.words.startswith("through the engine that runs here")


def test_a_chain_as_json_and_as_a_table(shared_console: Console) -> None:
    """The chain has a header and columns of one length; the table shows the strikes around the money."""
    said = shared_console.run("chain", "nifty", "w0", "--json")
    assert said.code == ExitCode.DONE, said.words
    view = said.data
    assert view["header"]["underlying"] == "NIFTY"
    assert view["header"]["forward_source"] == "parity"
    for side in ("calls", "puts"):
        assert view[side].keys() >= STRIKE_KEYS
    table = shared_console.run("chain", "NIFTY")
    assert table.code == ExitCode.DONE
    lines = table.out.splitlines()
    assert len(lines) == 22
    assert lines[0].split().count("delta") == 2
    assert "max pain" in table.words
    assert "days to expiry" in table.words
    everything = shared_console.run("chain", "NIFTY", "--all")
    assert len(everything.out.splitlines()) > len(lines)


def test_a_chain_on_another_convention(shared_console: Console) -> None:
    """The exchange's and the broker's volatilities differ from the desk's and from each other, and are named."""
    told = {}
    for name in ("nse", "kite"):
        said = shared_console.run("chain", "nifty", "w1", "--convention", name, "--json")
        assert said.code == ExitCode.DONE, said.words
        column = said.data["convention"]
        assert column["name"] == name
        assert column["words"] in said.words
        known = [value for value in column["volatility"] if value is not None]
        assert len(known) > 10
        assert all(0.01 < value < 2.0 for value in known)
        told[name] = column["volatility"]
    assert told["nse"] != told["kite"]
    table = shared_console.run("chain", "NIFTY", "w1", "--convention", "nse")
    assert table.code == ExitCode.DONE
    assert "IV: As the exchange's website counts" in table.words
    refused = shared_console.run("chain", "NIFTY", "--convention", "bse")
    assert refused.code == ExitCode.USAGE


def test_the_preflight(shared_console: Console) -> None:
    """Doctor blocks nothing here and says so by its exit code, as JSON too."""
    said = shared_console.run("doctor", "--json")
    assert said.code == ExitCode.DONE, said.out
    assert {check["outcome"] for check in said.data["checks"]} <= {"ok", "note"}
    said = shared_console.run("doctor")
    assert said.code == ExitCode.DONE
    assert "0 block" in said.words


def test_the_schema(shared_console: Console) -> None:
    """``db status`` says which revision is there and which is needed; ``upgrade --sql`` prints statements."""
    said = shared_console.run("db", "status", "--json")
    assert said.code == ExitCode.DONE, said.words
    assert said.data["installed"] == said.data["head"]
    script = shared_console.run("db", "upgrade", "--sql")
    assert script.code == ExitCode.DONE
    assert "CREATE TABLE" in script.out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("order", "buy 2L nifti 24250 ce w0"), ExitCode.USAGE, "nifti"),
        (("order", "buy 2L nifty 24251 ce w0"), ExitCode.USAGE, "Next: 24,250 and 24,300"),
        (("order", "show nifty"), ExitCode.USAGE, "screen"),
        (("order", "buy 100 nifty 24250 ce w0 @ 1", "--yes"), ExitCode.USAGE, "lot"),
        (("order", "buy 9000L nifty 24250 ce w0 @ bid", "--yes"), ExitCode.REFUSED, "your cap for one order"),
        (("order", "buy 1L nifty 24250 ce w0 @ bid"), ExitCode.REFUSED, "No terminal to confirm on"),
        (("order", "cancel o999", "--yes"), ExitCode.USAGE, "o999"),
        (("chain", "NIFTI"), ExitCode.USAGE, "NIFTI"),
        (("chain", "NIFTY", "w9"), ExitCode.USAGE, "Listed: w0"),
        (("chain",), ExitCode.USAGE, "underlying"),
        (("frobnicate",), ExitCode.USAGE, "frobnicate"),
        ((), ExitCode.USAGE, "needs a terminal"),
        (("--seed", "seven"), ExitCode.USAGE, "seven"),
        (("--seed", "8", "practice"), ExitCode.USAGE, "workstation practice --seed 8"),
        (("--snapshot", "/nowhere/chain.json", "chain", "NIFTY"), ExitCode.SETUP, "no file /nowhere/chain.json"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_is_wrong_is_said(shared_console: Console, arguments: tuple[str, ...], code: ExitCode, words: str) -> None:
    """The exit code tells scripts and standard error tells people; nothing is printed as data, no traceback shown."""
    before = asked_for(shared_console)
    said = shared_console.run(*arguments)
    assert said.code == code, said
    assert words in said.words
    assert "Traceback" not in said.words
    assert said.out == ""
    assert asked_for(shared_console) == before


def test_a_dry_run_sends_nothing(shared_console: Console) -> None:
    """``--dry-run`` shows the consequence, in words and as JSON, and leaves no order behind."""
    before = asked_for(shared_console)
    said = shared_console.run("order", "sell 1L nifty 24250 pe w0 @ bid", "--dry-run", "--json", "--yes")
    assert said.code == ExitCode.DONE
    assert said.data["sent"] is False
    assert said.data["receipt"] is None
    assert "Sells 1L = 65 units" in said.words
    assert "sold short" in said.words
    preview = said.data["preview"]
    once, both = Decimal(preview["charges"]), Decimal(preview["round_trip_charges"])
    assert 0 < once < both
    assert f"charges {once} when it fills wholly, {both} for the round trip" in said.words
    refused = shared_console.run("order", "buy 9000L nifty 24250 pe w0 @ bid", "--dry-run", "--json")
    assert refused.code == ExitCode.REFUSED
    assert {"value"} <= {item["check"] for item in refused.data["preview"]["violations"]}
    assert asked_for(shared_console) == before


def test_a_key_makes_one_order(shared_console: Console) -> None:
    """The same command with the same key is answered with the first order and exit code 0."""
    words = ("order", "buy 1L nifty 24300 ce w0 @ bid-2", "--yes", "--json", "--key", "twice")
    first, second = shared_console.run(*words), shared_console.run(*words)
    assert first.code == second.code == ExitCode.DONE, second.words
    assert second.data["receipt"]["repeated"] is True
    assert first.data["receipt"]["orders"][0]["number"] == second.data["receipt"]["orders"][0]["number"]
    number = first.data["receipt"]["orders"][0]["number"]
    shared_console.run("order", f"cancel o{number}", "--yes")


def test_settings_that_are_wrong(shared_console: Console) -> None:
    """A missing file, a wrong key, a wrong value and a wrong variable are each named, with what is allowed."""
    odd = shared_console.data.parent / "odd.toml"
    for text, words in (
        ("[venue]\nsped = 2\n", 'no key "sped"'),
        ("[venu]\n", "no section [venu]"),
        ('[venue]\nseed = "seven"\n', "[venue] seed"),
        ("[venue\n", "not TOML"),
    ):
        odd.write_text(text, encoding="utf-8")
        said = shared_console.run("--config", str(odd), "funds")
        assert said.code == ExitCode.SETUP, said
        assert words in said.words
    odd.unlink()
    said = shared_console.run("--config", str(odd), "funds")
    assert said.code == ExitCode.SETUP
    assert "no configuration file" in said.words


def test_help_and_version(shared_console: Console) -> None:
    """Help lists every command and every exit code; the version is one line."""
    said = shared_console.run("--help")
    assert said.code == ExitCode.DONE
    commands = (
        "headless",
        "practice",
        "doctor",
        "chain",
        "order",
        "orders",
        "trades",
        "positions",
        "strategies",
        "funds",
        "db",
    )
    assert all(command in said.out for command in commands)
    assert "5 unknown outcome" in " ".join(said.out.split())
    assert shared_console.run("--version").out.startswith("workstation ")


def test_json_is_one_document(shared_console: Console) -> None:
    """Nothing but the document is on standard output."""
    said = shared_console.run("strategies", "--json")
    document, end = json.JSONDecoder().raw_decode(said.out)
    assert isinstance(document, list)
    assert said.out[end:] == "\n"


def test_the_exchange_alone(console: Console) -> None:
    """``practice`` runs the exchange in the foreground, in the data folder, until SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-m", "workstation.cli.main", "--data", str(console.data), "practice", "--start", START],
        cwd=REPOSITORY,
        env=environment(console.data.parent),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    assert ready["ready"] is True
    assert ready["market_time"].startswith("2026-11-19T11:00")
    assert (console.data / "venues" / "alone").is_dir()
    process.terminate()
    assert process.wait(10) == ExitCode.DONE
    process.stdout.close()
    said = console.run("practice", "--help")
    assert said.code == ExitCode.DONE
    assert "--no-read-limits" in said.out
