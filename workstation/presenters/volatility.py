"""Where an underlying's volatility stands: in its own history, against what was realised, and what its futures say.

Every figure is the engine's own; a figure that is not known is the unknown sign, and ``volatility_reasons`` says why.
"""

from __future__ import annotations

from engine.core.analysis import ConeBand, RealisedVolatility, VolatilityView
from workstation.formatting import Glyphs, decimal_text, expiry_day, known, signed_price, volatility, volatility_points
from workstation.presenters.lines import EMPTY, Line, Span, clean, clip, filled, left, right, width_of

ESTIMATOR_WIDTH = 16
FIGURE_WIDTH = 5
ESTIMATES_LEAST = 4
"""Lines that are left to the estimators before the cone gives way."""
CONE_WIDTH = 7
CONE_QUARTILES_FROM = 60
"""Cells from which the quartiles stand in the cone too."""
PERCENT = 100.0


def standing_items(view: VolatilityView | None, glyphs: Glyphs) -> list[tuple[str, str]]:
    """Rank and percentile with the days behind them, and implied minus realised."""
    if view is None:
        return [(name, glyphs.unknown) for name in ("IV", "rank", "percentile", "IV-RV")]
    return [
        ("IV", volatility(view.current, glyphs)),
        ("rank", _whole(view.rank, glyphs)),
        ("percentile", _whole(view.percentile, glyphs)),
        ("of", "1 day" if view.days == 1 else f"{view.days} days"),
        ("IV-RV", volatility_points(view.spread, glyphs)),
    ]


def futures_items(view: VolatilityView | None, glyphs: Glyphs) -> list[tuple[str, str]]:
    """Basis with its yearly rate, what the nearest future's traders do, and how much has rolled."""
    if view is None:
        return [(name, glyphs.unknown) for name in ("basis", "build-up", "rolled")]
    basis = signed_price(view.basis, glyphs)
    if view.basis_annual is not None and known(view.basis_annual):
        basis += f" ({decimal_text(view.basis_annual * PERCENT, 1, sign=True)}% a year)"
    return [
        ("basis", basis),
        ("build-up", clean(view.build_up) or glyphs.unknown),
        ("rolled", f"{_whole(view.rollover, glyphs)}%" if known(view.rollover) else glyphs.unknown),
    ]


def history_lines(view: VolatilityView | None, width: int, height: int, glyphs: Glyphs) -> list[Line]:
    """Standing, futures, estimators and cone in exactly ``height`` lines.

    Estimators give way to the cone until few are left, then the cone does; what is not in sight is named.
    """
    lines = [
        *flowing(standing_items(view, glyphs), width, glyphs),
        *flowing(futures_items(view, glyphs), width, glyphs),
    ]
    room = height - len(lines)
    if view is not None and room > 1:
        cone = cone_lines(view, width, glyphs)
        shows_cone = room - len(cone) >= min(ESTIMATES_LEAST, _estimate_rows(view))
        lines += _estimate_lines(view, width, room - len(cone) if shows_cone else room, glyphs, omits=not shows_cone)
        lines += cone if shows_cone else []
    return [*lines, *[EMPTY] * height][:height]


def _estimate_rows(view: VolatilityView) -> int:
    """Lines that all estimators take, their heading included."""
    return 1 + max(1, len(view.realised))


def _estimate_lines(view: VolatilityView, width: int, room: int, glyphs: Glyphs, *, omits: bool) -> list[Line]:
    """Heading and estimators in at most ``room`` lines; the last one names what is left out, a cone too."""
    cone = "the cone" if omits and view.cone else ""
    fits = _estimate_rows(view) + bool(cone) <= room
    shown = view.realised if fits else view.realised[: max(0, room - 2)]
    more = len(view.realised) - len(shown)
    estimates = f"{more} more estimates" if more else ""
    left_out = f"{estimates} and {cone}" if estimates and cone else estimates or (cone and f"no room for {cone}")
    lines = [_headings(width), *(_row(item, width, glyphs) for item in shown)]
    if not view.realised:
        lines.append(filled(((f" {glyphs.unknown}  nothing realised is known", "muted"),), width))
    if left_out:
        lines.append(filled(((f" {left_out}", "muted"),), width))
    return lines


def cone_lines(view: VolatilityView, width: int, glyphs: Glyphs) -> list[Line]:
    """Lowest, median and highest volatility of each length of time, and the latest; quartiles where there is room."""
    if not view.cone:
        return []
    wide = width >= CONE_QUARTILES_FROM
    until = next((band.until for band in view.cone if band.until is not None), None)
    names = ("low", "q1", "median", "q3", "high") if wide else ("low", "median", "high")
    head = "".join(f"{name:>{CONE_WIDTH}}" for name in (*names, "latest"))
    # The latest window may have ended on another day than today.
    name = "cone" if until is None else f"cone to {expiry_day(until)}"
    rows = [filled(((f" {name:<{ESTIMATOR_WIDTH}}{head}", "header"),), width, "header")]
    return [*rows, *(_band(band, width, glyphs, wide=wide) for band in view.cone)]


def flowing(items: list[tuple[str, str]], width: int, glyphs: Glyphs) -> list[Line]:
    """Names and figures one after the other, on as many lines as they take; none is cut off."""
    lines: list[list[Span]] = [[]]
    for name, text in items:
        piece: list[Span] = [(f"{name} ", "muted"), (text, "old" if text == glyphs.unknown else "bold")]
        if lines[-1] and width_of(lines[-1]) + 3 + width_of(piece) > width:
            lines.append([])
        lines[-1] += [("   " if lines[-1] else " ", ""), *piece]
    return [filled(line, width) for line in lines]


def volatility_reasons(view: VolatilityView | None) -> list[str]:
    """Why figures are missing, most general first."""
    if view is None:
        return []
    own = [f"{item.estimator}: {item.reason}" for item in view.realised if item.reason]
    bands = [f"cone of {band.window}: {band.reason}" for band in view.cone if band.reason]
    return [reason for reason in (view.reason, *own, *bands) if reason]


def _headings(width: int) -> Line:
    return filled(((f" {'realised':<{ESTIMATOR_WIDTH}}{'RV':>{FIGURE_WIDTH}}  over", "header"),), width, "header")


def _row(item: RealisedVolatility, width: int, glyphs: Glyphs) -> Line:
    spans: list[Span] = [
        (f" {left(clean(item.estimator), ESTIMATOR_WIDTH, glyphs)}", ""),
        (right(volatility(item.volatility, glyphs), FIGURE_WIDTH), "bold"),
        (f"  {clip(clean(item.window), width - ESTIMATOR_WIDTH - FIGURE_WIDTH - 3, glyphs)}", "muted"),
    ]
    return filled(spans, width)


def _band(band: ConeBand, width: int, glyphs: Glyphs, *, wide: bool) -> Line:
    narrow = (band.lowest, band.median, band.highest)
    levels = (band.lowest, band.lower_quartile, band.median, band.upper_quartile, band.highest) if wide else narrow
    spans: list[Span] = [
        (f" {left(clean(band.window), ESTIMATOR_WIDTH, glyphs)}", ""),
        *((right(volatility(level, glyphs), CONE_WIDTH), "") for level in levels),
        (right(volatility(band.current, glyphs), CONE_WIDTH), "bold"),
    ]
    return filled(spans, width)


def _whole(value: float | None, glyphs: Glyphs) -> str:
    return decimal_text(value, 0) if value is not None and known(value) else glyphs.unknown
