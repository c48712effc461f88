"""``workstation gtt`` and ``workstation convert``: what is meant is sent once, and doubt is said as doubt."""

from __future__ import annotations

import argparse
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest

from engine.core.commands import (
    Command,
    ConvertPosition,
    DeleteGtt,
    Interpretation,
    PlaceGtt,
    Preview,
    Receipt,
    Violation,
)
from engine.core.errors import EngineGone, InvalidInput
from engine.core.identifiers import AccountId
from engine.core.instructions import InstructionNumber, InstructionState
from engine.core.orders import OrderRequest
from engine.core.positions import BrokerPosition
from engine.core.standing_triggers import Gtt, GttKind, GttOrder, GttRequest, GttStatus
from engine.core.vocabulary import Product, Side
from tests.kit.plain_engine import PlainEngine
from workstation.cli.exit_codes import ExitCode
from workstation.cli.gtt import choose_position, convert, gtt
from workstation.cli.main import _parser


class TriggerEngine(PlainEngine):
    """A plain engine that keeps what it was asked, and answers as it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Command] = []
        self.violations: tuple[Violation, ...] = ()
        self.state = InstructionState.DONE
        self.trouble: EngineGone | None = None
        self.rows: tuple[BrokerPosition, ...] = ()

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        """``sell 1L SYMBOL @ 1`` too."""
        del account
        words = text.split()
        return await super().interpret(f"buy {words[1] if words[0] == 'buy' else words[-3]}")

    async def preview(self, command: Command, *, seat: str = "") -> Preview:
        """What it is told."""
        return Preview(sentence="Leaves a trigger.", violations=self.violations)

    async def submit(self, command: Command, *, seat: str = "") -> Receipt:
        """Keep it."""
        if self.trouble is not None:
            raise self.trouble
        self.asked.append(command)
        return Receipt(
            accepted=self.state is not InstructionState.REFUSED,
            message="So it is.",
            instruction=InstructionNumber(1),
            instruction_state=self.state,
            trigger_id=7,
        )

    async def positions(self, account: AccountId | None = None) -> tuple[BrokerPosition, ...]:
        """What it is told."""
        del account
        return self.rows


def words(*line: str) -> argparse.Namespace:
    """A parsed command line that does not ask."""
    return _parser().parse_args([*line, "--yes", "--json"])


def sentence(engine: PlainEngine) -> str:
    """A sentence the plain engine understands."""
    return f"buy {engine.instruments[0].tradingsymbol}"


async def test_one_price_or_two(capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence is the order, the prices are exact, and of two the lower one comes first."""
    engine = TriggerEngine()
    assert await gtt(engine, words("gtt", "place", sentence(engine), "--trigger", "60.05")) is ExitCode.DONE
    line = ("gtt", "place", sentence(engine), "--trigger", "180", "--target-trigger", "60", "--target-price", "58.35")
    assert await gtt(engine, words(*line, "--key", "k")) is ExitCode.DONE
    single, oco = engine.asked
    assert isinstance(single, PlaceGtt)
    assert isinstance(oco, PlaceGtt)
    assert single.request.kind is GttKind.SINGLE
    assert single.request.orders[0].trigger_price == Decimal("60.05")
    assert single.idempotency_key != oco.idempotency_key == "k"
    assert [order.trigger_price for order in oco.request.orders] == [60, 180]
    assert oco.request.orders[0].price == Decimal("58.35")
    documents = capsys.readouterr().out
    assert json.loads(documents[: documents.index("\n}") + 2])["receipt"]["trigger_id"] == 7


async def test_half_of_a_second_price_is_refused() -> None:
    """Both or none; nothing is asked."""
    engine = TriggerEngine()
    with pytest.raises(InvalidInput, match="needs both"):
        await gtt(engine, words("gtt", "place", sentence(engine), "--trigger", "60", "--target-trigger", "180"))
    with pytest.raises(InvalidInput, match="not a number"):
        await gtt(engine, words("gtt", "place", sentence(engine), "--trigger", "low"))
    assert engine.asked == []


@pytest.mark.parametrize(
    ("state", "code", "sent"),
    [
        (InstructionState.DONE, ExitCode.DONE, True),
        (InstructionState.REFUSED, ExitCode.REFUSED, False),
        (InstructionState.UNKNOWN, ExitCode.UNKNOWN_OUTCOME, None),
        (InstructionState.PRESUMED_ABSENT, ExitCode.UNKNOWN_OUTCOME, None),
    ],
)
async def test_what_is_not_known_is_not_called_done(
    state: InstructionState, code: ExitCode, sent: bool | None, capsys: pytest.CaptureFixture[str]
) -> None:
    """The exit code and ``sent`` say it; the words say how to look."""
    engine = TriggerEngine()
    engine.state = state
    assert await gtt(engine, words("gtt", "place", sentence(engine), "--trigger", "60")) is code
    said = capsys.readouterr()
    assert json.loads(said.out)["sent"] is sent
    assert ("gtt list" in said.err) is (sent is None)


async def test_an_engine_that_goes_away_leaves_it_open(capsys: pytest.CaptureFixture[str]) -> None:
    """The key is told, so that it can be repeated without harm."""
    engine = TriggerEngine()
    engine.trouble = EngineGone("it is gone")
    assert await gtt(engine, words("gtt", "delete", "7")) is ExitCode.UNKNOWN_OUTCOME
    line = words("gtt", "place", sentence(engine), "--trigger", "60", "--key", "k")
    assert await gtt(engine, line) is ExitCode.UNKNOWN_OUTCOME
    assert "--key k" in capsys.readouterr().err


async def test_a_broken_check_or_a_dry_run_sends_nothing() -> None:
    """Refused, or looked at."""
    engine = TriggerEngine()
    assert await gtt(engine, words("gtt", "delete", "7", "--dry-run")) is ExitCode.DONE
    engine.violations = (Violation(check="lot", message="Not a lot."),)
    assert await gtt(engine, words("gtt", "modify", "7", sentence(engine), "--trigger", "60")) is ExitCode.REFUSED
    assert engine.asked == []
    engine.violations = ()
    assert await gtt(engine, words("gtt", "delete", "7")) is ExitCode.DONE
    assert engine.asked == [DeleteGtt(trigger_id=7)]


async def test_the_list_is_a_table_or_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One line for each order; what has no id yet shows none."""
    engine = TriggerEngine()
    order = GttOrder(trigger_price=Decimal(60), side=Side.SELL, quantity=65, price=Decimal(58))
    request = GttRequest(instrument=engine.instruments[0].key, kind=GttKind.SINGLE, orders=(order,))
    engine.standing = (
        Gtt(trigger_id=0, account=AccountId("AB1234"), request=request, status=GttStatus.UNKNOWN, created_at=None),
    )
    assert await gtt(engine, argparse.Namespace(step="list", json=False)) is ExitCode.DONE
    assert "unknown" in capsys.readouterr().out.splitlines()[1]
    assert await gtt(engine, argparse.Namespace(step="list", json=True)) is ExitCode.DONE
    assert json.loads(capsys.readouterr().out)[0]["status"] == "unknown"


def position(engine: PlainEngine, **fields: Any) -> BrokerPosition:
    """A long of today."""
    base = BrokerPosition(
        instrument=engine.instruments[0].key,
        token=1,
        product=Product.NRML,
        signed_quantity=130,
        average_price=Decimal(100),
        overnight_quantity=0,
        multiplier=Decimal(1),
        value=Decimal(0),
    )
    return msgspec.structs.replace(base, **fields)


async def test_a_conversion_finds_its_side_and_whether_it_was_carried() -> None:
    """From the broker's own position."""
    engine = TriggerEngine()
    symbol = engine.instruments[0].tradingsymbol
    for row, side, overnight in (
        (position(engine), Side.BUY, False),
        (position(engine, overnight_quantity=130), Side.BUY, True),
        (position(engine, signed_quantity=-130), Side.SELL, False),
    ):
        engine.rows = (row,)
        assert await convert(engine, words("convert", "1L", symbol, "mis")) is ExitCode.DONE
        command = engine.asked[-1]
        assert isinstance(command, ConvertPosition)
        assert (command.side, command.overnight) == (side, overnight)
        assert (command.from_product, command.to_product) == (Product.NRML, Product.MIS)


def test_which_position_is_meant() -> None:
    """None, or one of several that is not named, is refused in words."""
    engine = TriggerEngine()
    wanted = OrderRequest(instrument=engine.instruments[0].key, side=Side.SELL, quantity=65)
    nrml, mtf = position(engine), position(engine, product=Product.MTF)
    assert choose_position([nrml], wanted, Product.MIS, None) is nrml
    assert choose_position([nrml, mtf], wanted, Product.MIS, "mtf") is mtf
    with pytest.raises(InvalidInput, match="name one with --from"):
        choose_position([nrml, mtf], wanted, Product.MIS, None)
    with pytest.raises(InvalidInput, match="no position"):
        choose_position([nrml, position(engine, signed_quantity=0)], wanted, Product.NRML, None)
