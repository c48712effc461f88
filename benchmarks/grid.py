"""The chain grid against DataTable: processor time of one frame, at several shares of changed cells.

Both draw 100 rows of 15 columns on a screen that shows all of them. A frame is: apply the changes, paint what is dirty,
encode it for the terminal. Rounds are interleaved; the table gives medians. Nothing here passes or fails.

    python -m benchmarks.grid
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from functools import partial

from textual.app import App, ComposeResult
from textual.widgets import DataTable

from workstation.app import STYLES
from workstation.presenters.lines import Line
from workstation.themes import DEFAULT_THEME, desk_themes
from workstation.widgets.panes import LinePane

ROWS = 100
COLUMNS = 15
CELL_WIDTH = 9
SIZE = (COLUMNS * (CELL_WIDTH + 2) + 4, ROWS + 4)
ROUNDS = 15
CHANGES = (ROWS * COLUMNS, ROWS * COLUMNS // 10, ROWS * COLUMNS // 100, 1)
SEED = 7
Cells = list[tuple[int, int, str]]
"""Row, column and new text."""


class Grid(LinePane):
    """The line grid of the Desk with plain cells."""

    def __init__(self) -> None:
        """Zeros."""
        super().__init__(id="grid")
        self.cells = [[f"{0:>{CELL_WIDTH}.2f}"] * COLUMNS for _ in range(ROWS)]

    def line_at(self, y: int) -> Line:
        """Cells of two tones, as a chain has them."""
        if y >= ROWS:
            return ()
        return tuple((f" {text}", "gain" if place % 3 == 0 else "") for place, text in enumerate(self.cells[y]))


class GridApp(App[None]):
    """One grid, in the program's own style sheet and theme."""

    def __init__(self) -> None:
        """Style sheet and theme as the program has them."""
        super().__init__(css_path=STYLES)
        for theme in desk_themes():
            self.register_theme(theme)
        self.theme = DEFAULT_THEME
        self.grid = Grid()

    def compose(self) -> ComposeResult:
        """The grid alone."""
        yield self.grid


class TableApp(App[None]):
    """One DataTable."""

    def __init__(self) -> None:
        """Empty."""
        super().__init__()
        self.table: DataTable[str] = DataTable()

    def compose(self) -> ComposeResult:
        """The table alone."""
        yield self.table

    def on_mount(self) -> None:
        """Fill it."""
        for column in range(COLUMNS):
            self.table.add_column(str(column), key=str(column), width=CELL_WIDTH)
        for row in range(ROWS):
            self.table.add_row(*["0.00"] * COLUMNS, key=str(row))


def changed_cells(count: int, dice: random.Random) -> Cells:
    """``count`` different cells with new texts."""
    places = dice.sample(range(ROWS * COLUMNS), count)
    return [(place // COLUMNS, place % COLUMNS, f"{dice.random() * 10_000:.2f}") for place in places]


def update_grid(app: GridApp, cells: Cells) -> None:
    """As the Desk does: keep the texts, name the rows once."""
    for row, column, text in cells:
        app.grid.cells[row][column] = f"{text:>{CELL_WIDTH}}"
    app.grid.repaint({row for row, _, _ in cells})


def update_table(app: TableApp, cells: Cells) -> None:
    """As its documentation says."""
    for row, column, text in cells:
        app.table.update_cell(str(row), str(column), text, update_width=False)


async def frame(app: App[None], change: Callable[[], None], pause: Callable[[], Awaitable[None]]) -> float:
    """Processor milliseconds of one frame, painting and encoding included."""
    start = time.process_time()
    change()
    await pause()
    update = app.screen._compositor.render_update(full=False)
    if update is not None:
        app.console.render(update)
    await pause()
    return (time.process_time() - start) * 1000


async def measure() -> dict[tuple[str, int], list[float]]:
    """Interleaved rounds of both."""
    dice = random.Random(SEED)  # noqa: S311 - made-up prices
    results: dict[tuple[str, int], list[float]] = {}
    grid, table = GridApp(), TableApp()
    async with grid.run_test(size=SIZE) as grid_pilot, table.run_test(size=SIZE) as table_pilot:
        for _ in range(ROUNDS):
            for count in CHANGES:
                cells = changed_cells(count, dice)
                ours = await frame(grid, partial(update_grid, grid, cells), grid_pilot.pause)
                theirs = await frame(table, partial(update_table, table, cells), table_pilot.pause)
                results.setdefault(("line grid", count), []).append(ours)
                results.setdefault(("DataTable", count), []).append(theirs)
    return results


def main() -> None:
    """Print the table."""
    results = asyncio.run(measure())
    print(f"{ROWS} rows x {COLUMNS} columns, all visible; processor ms per frame, median of {ROUNDS} rounds")
    print(f"{'cells changed':>14} {'line grid':>10} {'DataTable':>10} {'ratio':>7}")
    for count in CHANGES:
        ours, theirs = (statistics.median(results[name, count]) for name in ("line grid", "DataTable"))
        print(f"{count:>14} {ours:>10.2f} {theirs:>10.2f} {ours / theirs:>7.3f}")


if __name__ == "__main__":
    main()
