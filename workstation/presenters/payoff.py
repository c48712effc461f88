"""The payoff of a strategy as text: ``*`` now, or at the asked day and volatility, ``.`` at the nearest expiry.

Every figure is the engine's; nothing is worked out here but where it stands. What is not known is the unknown sign, and
``payoff_reasons`` says why. Unlimited is said in words, never drawn as a number.
"""

from __future__ import annotations

import msgspec
import numpy as np

from engine.core.analysis import PayoffView
from engine.core.views import Floats
from workstation.formatting import Glyphs, decimal_text, known, money, ratio, strike, whole_percent
from workstation.presenters.lines import EMPTY, Line, Span, filled, wrapped
from workstation.presenters.money_axis import LABEL_WIDTH, money_labels
from workstation.presenters.text_plot import Canvas, framed, nice_values, span_of, x_line
from workstation.presenters.text_plot import Span as AxisSpan
from workstation.presenters.volatility import flowing

NOW_SIGN = "*"
EXPIRY_SIGN = "."
UNLIMITED = "unlimited"
BREAK_EVENS_SHOWN = 6
PLOT_LEAST = 3
"""Rows below which the figures stand alone."""
X_LABEL_EVERY = 14
"""Cells that one price below the picture may take."""
MARGIN = 0.06
POINTS_OF_VOLATILITY = 100.0


def payoff_title(view: PayoffView | None, glyphs: Glyphs) -> list[Line]:
    """What is drawn: the signs, whether charges are taken off, and the moment if it is not now."""
    if view is None:
        return []
    ahead = moment_words(view.days_ahead, view.volatility_shift)
    present: Span = (ahead, "attention") if ahead else ("now", "muted")
    signs: Line = ((f"{NOW_SIGN} ", "bold"), present, (f"  {EXPIRY_SIGN} ", "bold"), ("at expiry", "muted"))
    words = "net of charges" if view.charges is not None else f"charges {glyphs.unknown}, gross"
    return [signs, ((words, "muted"),)]


def moment_words(days_ahead: float, volatility_shift: float) -> str:
    """``in 2d, vol +1.0``; empty for the present."""
    parts = []
    if days_ahead > 0:
        parts.append(f"in {decimal_text(days_ahead, 0 if days_ahead == int(days_ahead) else 1)}d")
    if volatility_shift:
        parts.append(f"vol {decimal_text(volatility_shift * POINTS_OF_VOLATILITY, 1, sign=True)}")
    return ", ".join(parts)


def payoff_items(view: PayoffView | None, glyphs: Glyphs) -> list[tuple[str, str]]:
    """The figures beside the picture, with their names."""
    if view is None:
        return [(name, glyphs.unknown) for name in ("even", "best", "worst", "R:R", "POP", "EV")]
    greeks = view.sensitivities
    day = f" {view.expiry:%d %b}".upper() if view.expiry is not None else ""
    return [
        ("even", _break_evens(view, glyphs)),
        ("best", UNLIMITED if view.profit_unlimited else money(view.max_profit, glyphs)),
        ("worst", UNLIMITED if view.loss_unlimited else money(view.max_loss, glyphs)),
        ("R:R", ratio(view.reward_to_risk, glyphs)),
        ("POP", f"{whole_percent(view.probability_of_profit, glyphs)}{_distribution(view)}"),
        ("EV", money(view.expected_value, glyphs)),
        ("at fwd", money(at_forward(view), glyphs)),
        (f"fwd{day}", decimal_text(view.forward, 1) if known(view.forward) and view.forward else glyphs.unknown),
        (glyphs.gamma, _tenth(greeks.gamma, glyphs)),
        ("V", money(greeks.vega, glyphs)),
        ("charges", money(-view.charges, glyphs) if view.charges is not None else glyphs.unknown),
    ]


def at_forward(view: PayoffView) -> float | None:
    """Money of the curve ``*`` at the present forward."""
    if view.forward is None or not known(view.forward) or not len(view.prices):
        return None
    value = float(np.interp(view.forward, view.prices, view.now, left=np.nan, right=np.nan))
    return value if known(value) else None


def payoff_lines(view: PayoffView | None, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Figures, then the picture, in exactly ``height`` lines; the picture gives way first."""
    if view is None:
        return [*[EMPTY] * height][:height]
    figures = flowing(payoff_items(view, glyphs), width, glyphs)
    room = height - len(figures)
    if room < PLOT_LEAST:
        return [*figures, *[EMPTY] * height][:height]
    return [*figures, *_picture(view, width, room, glyphs)]


def payoff_reasons(view: PayoffView | None) -> list[str]:
    """Why something is missing, and what the figures rest on."""
    if view is None:
        return []
    reasons = [f"Payoff: {view.reason}"] if view.reason else []
    if view.charges is None:
        reasons.append("Payoff: the charges are not known, so none are taken off.")
    if view.distribution == "none":
        reasons.append("Payoff: there is no distribution of prices, so POP and EV are not known.")
    return reasons


def _picture(view: PayoffView, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    across, rows = width - LABEL_WIDTH - 1, height - 1
    x = span_of(view.prices, margin=0.0)
    y = span_of(view.at_expiry, view.now, np.zeros(1), margin=MARGIN)
    drawable = np.isfinite(view.at_expiry).any() or np.isfinite(view.now).any()
    if x is None or y is None or not drawable or across < 1:
        words = view.reason or "there is nothing to draw"
        lines: list[Line] = [((f"  {glyphs.unknown}  {part}", "muted"),) for part in wrapped(words, max(1, width - 6))]
        return [filled(line, width) for line in [*lines, *[EMPTY] * height][:height]]
    canvas = Canvas(across, rows, x, y, msgspec.structs.replace(glyphs, dots=""))
    _draw(canvas, view, x, across)
    prices = nice_values(x, max(1, across // X_LABEL_EVERY))
    return [
        *framed(canvas.lines(), money_labels(y, rows), LABEL_WIDTH, glyphs),
        x_line(x, across, prices, [strike(round(price, 2)) for price in prices], LABEL_WIDTH + 1),
    ]


def _draw(canvas: Canvas, view: PayoffView, x: AxisSpan, across: int) -> None:
    """Zero and forward first, then the curves over them; above zero and below it in their own tones."""
    canvas.horizontal(0.0, "rule")
    if view.forward is not None and known(view.forward):
        canvas.vertical(view.forward, "muted")
    centres = x.low + (np.arange(across) + 0.5) * (x.high - x.low) / across
    for curve, sign, weight in ((view.at_expiry, EXPIRY_SIGN, ""), (view.now, NOW_SIGN, " bold")):
        values = np.interp(centres, view.prices, curve)
        canvas.curve(centres, _only(values, values >= 0), f"gain{weight}", sign)
        canvas.curve(centres, _only(values, values < 0), f"loss{weight}", sign)


def _only(values: Floats, where: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> Floats:
    return np.where(where, values, np.nan)


def _break_evens(view: PayoffView, glyphs: Glyphs) -> str:
    if not view.break_evens:
        return "none" if len(view.at_expiry) and bool(np.isfinite(view.at_expiry).all()) else glyphs.unknown
    shown = [decimal_text(value, 0) for value in view.break_evens[:BREAK_EVENS_SHOWN]]
    return "  ".join(shown) + (glyphs.ellipsis if len(view.break_evens) > BREAK_EVENS_SHOWN else "")


def _distribution(view: PayoffView) -> str:
    return f" by {view.distribution}" if view.probability_of_profit is not None else ""


def _tenth(value: float | None, glyphs: Glyphs) -> str:
    return decimal_text(value, 2, sign=True) if value is not None and known(value) else glyphs.unknown
