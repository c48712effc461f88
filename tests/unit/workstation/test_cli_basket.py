"""``workstation basket``: one sentence from the legs given, shown whole, sent once, followed until it is over."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.core.commands import Command, Interpretation, PlaceBasket, Preview, Receipt, SentenceError, Violation
from engine.core.errors import EngineGone
from engine.core.identifiers import AccountId, InstrumentKey
from engine.core.margin import MarginPath, MarginPaths
from engine.core.orders import OrderRequest
from engine.core.plans import (
    BasketPlan,
    LegPreview,
    LegRole,
    PlanNumber,
    PlanProgress,
    PlanRecord,
    PlanState,
    PlanView,
)
from engine.core.vocabulary import Exchange, Side
from tests.kit.plain_engine import PlainEngine
from workstation.cli.basket import basket_sentence, place_basket
from workstation.cli.exit_codes import ExitCode
from workstation.cli.main import _parser
from workstation.cli.order import order

NOW = datetime(2026, 11, 19, 5, 30, tzinfo=UTC)
SENTENCE = "basket sell 1L nifty 24800 ce @ 90, buy 1L nifty 25000 ce @ 40, unwind"
SHORT = OrderRequest(
    instrument=InstrumentKey(Exchange.NFO, "NIFTY26D0124800CE"), side=Side.SELL, quantity=65, price=Decimal(90)
)
HEDGE = OrderRequest(
    instrument=InstrumentKey(Exchange.NFO, "NIFTY26D0125000CE"), side=Side.BUY, quantity=65, price=Decimal(40)
)
BASKET = PlaceBasket(legs=(SHORT, HEDGE))
PREVIEW = Preview(
    sentence="Sells 65 and buys 65 units in 2 legs, 65 of them as cover.",
    legs=(
        LegPreview(index=1, role=LegRole.HEDGE, request=HEDGE, lot_size=65),
        LegPreview(index=0, role=LegRole.SHORT, request=SHORT, lot_size=65),
    ),
    margin_paths=MarginPaths(
        chosen=MarginPath(order=(1, 0), after=(Decimal(2600), Decimal(13_000))),
        shorts_first=MarginPath(order=(0, 1), after=(Decimal(130_000), Decimal(13_000))),
    ),
    notes=("plan: hedges first; each short waits for its hedge to fill, 2 s at most",),
    charges=Decimal("61.20"),
    eta_s=3.2,
)


class BasketEngine(PlainEngine):
    """Takes baskets; their plan goes through ``states``, one a look."""

    def __init__(self, *states: PlanState, violations: tuple[Violation, ...] = ()) -> None:
        super().__init__()
        self.states = list(states) or [PlanState.DONE]
        self.violations = violations
        self.is_gone = False
        self.asked: list[PlaceBasket] = []

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        """Every sentence that begins with ``basket``."""
        if text.startswith("basket"):
            return Interpretation(text=text, command=BASKET)
        return Interpretation(text=text, error=SentenceError(message="No basket.", place=0))

    async def preview(self, command: Command, **_: object) -> Preview:
        """The same for all."""
        return Preview(
            **{name: getattr(PREVIEW, name) for name in PREVIEW.__struct_fields__} | {"violations": self.violations}
        )

    async def submit(self, command: Command, *, seat: str = "") -> Receipt:
        """Begins p7, or is gone."""
        assert isinstance(command, PlaceBasket)
        self.asked.append(command)
        if self.is_gone:
            raise EngineGone("The engine does not answer.")
        return Receipt(accepted=True, message="p7: two legs.", plan=PlanNumber(7))

    async def plans(self) -> tuple[PlanView, ...]:
        """The plan as it stands at this look."""
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        record = PlanRecord(
            number=PlanNumber(7),
            account=AccountId("AB1234"),
            spec=BasketPlan(legs=BASKET.legs),
            state=state,
            idempotency_key=self.asked[-1].idempotency_key or "",
            sentence="two legs",
            progress=PlanProgress(note=f"It is {state}."),
            created_at=NOW,
            updated_at=NOW,
        )
        return (PlanView(record=record, slippage=Decimal("-3.25"), elapsed_s=1.5),)


async def run(engine: BasketEngine, text: str = SENTENCE, **options: object) -> ExitCode:
    """The command with nothing asked."""
    defaults: dict[str, object] = {"dry_run": False, "yes": True, "key": "k1", "as_json": True, "wait_s": 5.0}
    return await place_basket(engine, text, **(defaults | options))  # type: ignore[arg-type]


async def test_a_dry_run_shows_all_and_sends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Legs as they are sent, margin on the way, charges, plan and wait; the document is the preview."""
    engine = BasketEngine()
    assert await run(engine, dry_run=True) is ExitCode.DONE
    said = capsys.readouterr()
    lines = said.err.splitlines()
    hedge = next(place for place, line in enumerate(lines) if "hedge" in line and "leg 2" in line)
    assert "leg 1" in lines[hedge + 1]
    assert "SELL 1L = 65 units NIFTY26D0124800CE @ 90.00" in lines[hedge + 1]
    assert "2,600.00 > 13,000.00, peak 13,000.00, as the broker says" in said.err
    assert "shorts first would peak at 1,30,000.00" in said.err
    assert "61.20" in said.err
    assert "leaves in ~3 s" in said.err
    assert "plan: hedges first" in said.err
    assert json.loads(said.out)["preview"]["legs"][0]["role"] == "hedge"
    assert not engine.asked


async def test_it_waits_until_every_leg_is_on() -> None:
    """Three looks later it is done: code 0, one submission under the key given."""
    engine = BasketEngine(PlanState.RUNNING, PlanState.RUNNING, PlanState.DONE)
    assert await run(engine, account=AccountId("AB1234")) is ExitCode.DONE
    (asked,) = engine.asked
    assert (asked.idempotency_key, asked.account) == ("k1", "AB1234")


@pytest.mark.parametrize(
    ("state", "code"),
    [
        (PlanState.FAILED, ExitCode.REFUSED),
        (PlanState.CANCELLED, ExitCode.REFUSED),
        (PlanState.PAUSED, ExitCode.UNKNOWN_OUTCOME),
    ],
)
async def test_scripts_see_by_the_code_how_it_ended(
    state: PlanState, code: ExitCode, capsys: pytest.CaptureFixture[str]
) -> None:
    """Taken back is no success; a basket that asks is not waited for, and says how to answer."""
    assert await run(BasketEngine(state), wait_s=None) is code
    assert ("resume p7" in capsys.readouterr().err) == (state is PlanState.PAUSED)


async def test_refusals_and_wrong_words_send_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """Each leg's violation is told by its number; a wrong sentence has its own code."""
    engine = BasketEngine(violations=(Violation(check="leg 2 tick", message="Leg 2: 40.01 is off the tick."),))
    assert await run(engine, key=None) is ExitCode.REFUSED
    assert await run(engine, "baskt") is ExitCode.USAGE
    assert not engine.asked
    assert "Leg 2: 40.01 is off the tick." in capsys.readouterr().err


async def test_a_lost_answer_names_the_key(capsys: pytest.CaptureFixture[str]) -> None:
    """The engine went away: it may have begun."""
    engine = BasketEngine()
    engine.is_gone = True
    assert await run(engine, key=None, new_key=lambda: "made-1") is ExitCode.UNKNOWN_OUTCOME
    assert "--key made-1" in capsys.readouterr().err


async def test_an_order_sentence_may_be_a_basket() -> None:
    """``workstation order "basket …"`` is the same road: one key, followed until it is over."""
    engine = BasketEngine(PlanState.RUNNING, PlanState.DONE)
    code = await order(engine, SENTENCE, dry_run=False, yes=True, key="k2", as_json=False, wait_s=5.0)
    assert code is ExitCode.DONE
    assert [asked.idempotency_key for asked in engine.asked] == ["k2"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["buy 1L a", "sell 1L b"], "basket buy 1L a, sell 1L b"),
        (
            ["buy 1L a", "sell 1L b", "--on-failure", "unwind", "--naked", "5s"],
            "basket buy 1L a, sell 1L b, unwind naked 5s",
        ),
        (
            ["buy 1L a", "--on-failure", "chase", "--naked-units", "65", "--timeout", "10s", "--ordered"],
            "basket buy 1L a, chase 3 ticks naked 65 timeout 10s ordered",
        ),
        (["buy 1L a", "--slippage", "2.5", "--into", "3"], "basket buy 1L a, slippage 2.5 into 3"),
    ],
)
def test_the_words_of_the_command_line_are_one_sentence(words: list[str], sentence: str) -> None:
    """Legs and options become the sentence that the command bar would take."""
    assert basket_sentence(_parser().parse_args(["basket", *words])) == sentence
