"""``mismatches``, ``handover`` and ``housekeeping`` against a running engine."""

from __future__ import annotations

from tests.integration.commands.console import Console
from workstation.cli.exit_codes import ExitCode


def test_ord_11_mismatches_are_compared_listed_and_refused_in_words(shared_console: Console) -> None:
    """A comparison on demand counts what it looked at; what is not listed cannot be explained."""
    compared = shared_console.run("mismatches", "--now", "--json")
    assert compared.code == ExitCode.DONE, compared.words
    assert compared.data == []
    assert "no open mismatch" in compared.words
    refused = shared_console.run("mismatches", "--explain", "m123", "it is mine")
    assert refused.code == ExitCode.REFUSED
    assert "There is no open mismatch m123" in refused.words
    assert shared_console.run("mismatches", "--explain", "m123", " ").code == ExitCode.USAGE
    assert "No mismatch is known" in shared_console.run("mismatches").words


def test_n_12_the_handover_is_printed(shared_console: Console) -> None:
    """What is bought a moment before is told, as text and as JSON."""
    sent = shared_console.run("order", "buy 1L nifty 24350 ce w0 @ ask+2", "--yes", "--json")
    assert sent.code == ExitCode.DONE, sent.words
    told = shared_console.run("handover", "--json")
    assert told.code == ExitCode.DONE, told.words
    (account,) = told.data
    sentences = [line["sentence"] for line in account["lines"]]
    assert any("of NIFTY 24,350 call option of" in sentence for sentence in sentences)
    spoken = shared_console.run("handover").out
    assert all(sentence in spoken for sentence in sentences)


def test_ord_12_housekeeping_is_switched_off_and_on_for_a_strategy(shared_console: Console) -> None:
    """By number, with or without its mark; what is no strategy is refused."""
    off = shared_console.run("housekeeping", "--off", "#1", "--json")
    assert off.code == ExitCode.DONE, off.words
    assert "left alone are: #1" in off.words
    on = shared_console.run("housekeeping", "--on", "1")
    assert on.code == ExitCode.DONE
    assert "left alone are: none" in on.words
    assert shared_console.run("housekeeping", "--off", "98765").code == ExitCode.REFUSED
    assert shared_console.run("housekeeping", "--off", "main").code == ExitCode.USAGE
