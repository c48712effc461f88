"""A basket in the command bar: reviewed whole, sent once by ``y``, asked again when a leg's quote does not carry it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec
from textual.pilot import Pilot

from engine.core.commands import Command, Interpretation, PlaceBasket, PlaceOrder, Preview, Receipt, Violation
from engine.core.identifiers import AccountId
from engine.core.margin import MarginPath, MarginPaths
from engine.core.plans import LegPreview, LegRole, PlanNumber
from engine.core.vocabulary import QuoteState, Side
from tests.kit import fake_sentences
from tests.kit.fake_engine import FakeEngineClient
from tests.kit.fake_market import FixedClock
from tests.tui.harness import Desk
from workstation.widgets.command_bar import CommandBar

SENTENCE = "basket sell 10L nifty 24400 ce w0 @ 150, buy 10L nifty 24800 ce w0 @ 40"
PLAN = (
    "plan: hedges first; each short waits for its hedge to fill, 2 s at most",
    "naked at most 0 units for 5 s; if a leg fails: take back what is filled, shorts first",
)
MARGINS = MarginPaths(
    chosen=MarginPath(order=(1, 0), after=(Decimal(26_000), Decimal(334_210))),
    shorts_first=MarginPath(order=(0, 1), after=(Decimal(1_241_000), Decimal(334_210))),
)


class BasketEngine(FakeEngineClient):
    """The fake engine with baskets: hedges first, margins and a wait that a test sets."""

    def __init__(self) -> None:
        super().__init__(FixedClock())
        self.eta_s = 0.0
        self.refusals: tuple[Violation, ...] = ()

    async def interpret(self, text: str, account: AccountId | None = None) -> Interpretation:
        """``basket LEG, LEG``, each leg a sentence."""
        if not text.startswith("basket "):
            return await super().interpret(text, account)
        orders = [fake_sentences.interpret(leg, self._find).command for leg in text.removeprefix("basket ").split(", ")]
        legs = tuple(order.request for order in orders if isinstance(order, PlaceOrder))
        return Interpretation(text=text, command=PlaceBasket(legs=legs))

    def _preview(self, command: Command) -> Preview:
        found = super()._preview(command)
        if not isinstance(command, PlaceBasket):
            return msgspec.structs.replace(found, eta_s=self.eta_s)
        legs = []
        for index, request in sorted(enumerate(command.legs), key=lambda row: row[1].side is Side.SELL):
            row = self.instruments[self._token(request)]
            role = LegRole.SHORT if request.side is Side.SELL else LegRole.HEDGE
            legs.append(
                LegPreview(
                    index=index,
                    role=role,
                    request=request,
                    token=row.token,
                    lot_size=row.lot_size,
                    tick_size=row.tick_size,
                    quote=self.quote(row.token),
                    charges=Decimal("61.20"),
                )
            )
        return Preview(
            sentence="Sells 650 and buys 650 units in 2 legs, 650 of them as cover. Receives 71,500.00 before charges.",
            violations=self.refusals,
            notes=PLAN,
            cash=Decimal(71_500),
            margin=MARGINS.chosen.final,
            margin_paths=MARGINS,
            charges=Decimal("122.40"),
            legs=tuple(legs),
            eta_s=self.eta_s,
        )

    def _carry_out(self, command: Command) -> Receipt:
        if isinstance(command, PlaceBasket):
            return Receipt(accepted=True, message="p3: two legs, hedges first.", plan=PlanNumber(3))
        return super()._carry_out(command)


async def opened(desk: Desk) -> None:
    """Write the basket into the bar and open its review."""
    await desk.press("colon")
    bar = desk.pane("bar")
    assert isinstance(bar, CommandBar)
    bar.value = SENTENCE
    await desk.settle()
    await desk.press("enter")


async def reviewed(desk: Desk) -> None:
    """Its review, painted long enough ago for ``y`` to count."""
    await opened(desk)
    desk.clock.advance(1.0)
    await desk.settle()


def row_of(desk: Desk, strike: float) -> int:
    """The row of a strike in the chain in view."""
    found: int = desk.engine.chains[desk.key].strikes.tolist().index(strike)
    return found


async def test_the_review_shows_the_whole_basket_and_y_sends_it_once() -> None:
    """Legs as they are sent, leg-risk plan, margin on the way, charges; two keys in one moment send one basket."""
    async with Desk(engine=BasketEngine()).running() as desk:
        await reviewed(desk)
        text = desk.dialog_text
        whole = " ".join(text.split())
        assert text.index("2 hedge BUY") < text.index("1 short SELL")
        assert "26,000.00 > 3,34,210.00, peak 3,34,210.00, as the broker says" in text
        assert "shorts first would peak at 12,41,000.00" in text
        assert "122.40 when it fills wholly" in text
        assert "each short waits for its hedge to fill" in whole
        assert "if a leg fails: take back what is filled, shorts first" in whole
        assert "leaves in" not in text
        await desk.burst("y", "y")
        (command,) = desk.sent
        assert isinstance(command, PlaceBasket)
        assert command.idempotency_key is not None


async def test_every_violation_of_every_leg_takes_send_away() -> None:
    """All are listed, each with its leg; ``y`` does nothing."""
    engine = BasketEngine()
    engine.refusals = (
        Violation(check="leg 1 tick", message="Leg 1: 150.03 is off the tick."),
        Violation(check="leg 2 price", message="Leg 2: 40 is 30 percent above the ask."),
    )
    async with Desk(engine=engine).running() as desk:
        await reviewed(desk)
        assert "2 checks refuse" in desk.dialog_text
        assert "Leg 1: 150.03 is off the tick." in desk.dialog_text
        assert "Leg 2: 40 is 30 percent above the ask." in desk.dialog_text
        await desk.press("y")
        assert desk.sent == []


async def test_a_leg_that_moved_is_asked_again_and_its_price_stays() -> None:
    """The hedge's ask rises: ``y`` prices anew and says which leg; the next ``y`` sends the price that was typed."""
    async with Desk(engine=BasketEngine()).running() as desk:
        await reviewed(desk)
        desk.engine.shift(desk.key, row_of(desk, 24_800.0), 3.0)
        await desk.press("y")
        assert desk.sent == []
        assert "leg 2: the price moved" in " ".join(desk.dialog_text.split())
        desk.clock.advance(1.0)
        await desk.settle()
        await desk.press("y")
        (command,) = desk.sent
        assert isinstance(command, PlaceBasket)
        assert command.legs[1].price == Decimal(40)


async def test_a_stale_leg_is_never_sent() -> None:
    """However often ``y`` is pressed."""
    async with Desk(engine=BasketEngine()).running() as desk:
        await reviewed(desk)
        desk.engine.set_quote_state(QuoteState.STALE)
        for _ in range(3):
            await desk.press("y")
            desk.clock.advance(1.0)
            await desk.settle()
        assert desk.sent == []
        assert "STALE" in desk.dialog_text


async def test_the_wait_for_the_limits_is_said_and_runs_down() -> None:
    """In the ghost while typing, in the review with every second that passes; the ticket of a draft says it too."""
    engine = BasketEngine()
    engine.eta_s = 4.2
    async with Desk(engine=engine).running() as desk:
        await desk.press("b")
        assert "leaves in ~4 s" in desk.text("ticket")
        engine.eta_s = 2.0
        desk.clock.advance(1.1)
        await desk.settle()
        assert "leaves in ~2 s" in desk.text("ticket")
        engine.eta_s = 4.2
        await reviewed(desk)
        assert "leaves in ~3 s" in desk.dialog_text
        desk.clock.advance(1.0)
        await desk.settle()
        assert "leaves in ~2 s" in desk.dialog_text
        desk.clock.advance(2.0)
        await desk.settle()
        assert "leaves in" not in desk.dialog_text


def test_picture_of_the_review(snap_compare: Callable[..., bool]) -> None:
    """The whole review of a basket that would wait, at the common size."""
    engine = BasketEngine()
    engine.eta_s = 3.4
    desk = Desk(engine=engine)

    async def before(pilot: Pilot[None]) -> None:
        desk.pilot = pilot
        await desk.settle()
        await opened(desk)
        await desk.settle()

    assert snap_compare(desk.app, terminal_size=(120, 36), run_before=before)
