"""``why`` and ``letters`` against a running engine: orders explained, the executor's health, what is no dead letter."""

from __future__ import annotations

from tests.integration.commands.console import Console
from workstation.cli.exit_codes import ExitCode


def test_ord_15_an_order_is_explained_with_its_quote_and_its_times(shared_console: Console) -> None:
    """Decision, history and measured times, as lines and as JSON; the health counts the same order."""
    sent = shared_console.run("order", "buy 1L nifty 24250 ce w0 @ ask+2", "--yes", "--json")
    assert sent.code == ExitCode.DONE, sent.words
    number = sent.data["receipt"]["orders"][0]["number"]
    said = shared_console.run("why", f"o{number}", "--json")
    assert said.code == ExitCode.DONE, said.words
    why = said.data
    assert why["order"]["number"] == number
    assert why["decision"]["by"] == "person"
    assert why["decision"]["lane"] in {"ENTRY", "EXIT"}
    assert why["decision"]["quotes"][-1]["ask"] is not None
    assert why["timings"]["acknowledge_s"] > 0
    assert [event["trigger"] for event in why["history"]][:2] == ["SEND", "ANSWERED"]
    words = shared_console.run("why", str(number))
    assert words.out.startswith(f"o{number} BUY")
    assert "took     queue" in words.out
    (health,) = shared_console.run("why", "--json").data
    assert {latency["step"]: latency["count"] for latency in health["latencies"]}["acknowledge"] >= 1
    assert health["budget"]["day_used"] >= 1
    assert "budget   second" in shared_console.run("why").out


def test_ord_14_no_letters_and_no_such_order_are_said_in_words(shared_console: Console) -> None:
    """An empty list is a list; what is no order, or no dead letter, is refused with its reason."""
    assert shared_console.run("letters", "--json").data == []
    assert "No dead letters" in shared_console.run("letters").words
    assert shared_console.run("why", "o987654").code == ExitCode.USAGE
    assert shared_console.run("why", "the weather").code == ExitCode.USAGE
    both = shared_console.run("letters", "--replay", "o1", "--close", "o1")
    assert both.code == ExitCode.USAGE
    refused = shared_console.run("letters", "--close", "o987654", "--json")
    assert refused.code == ExitCode.REFUSED
    assert refused.data["sent"] is False
    unconfirmed = shared_console.run("letters", "--replay", "o987654")
    assert unconfirmed.code == ExitCode.REFUSED
    assert "Nothing was sent" in unconfirmed.words
