"""What a person may set about the terminal. Plain data: the configuration fills it in without loading any screen."""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.core.vocabulary import Mark, Product

GlyphSet = Literal["unicode", "ascii"]


class TerminalSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the terminal looks and how careful it is. Durations carry their unit in the name."""

    fps: int = 20
    """Frames a second at most; prices between two frames cost one paint."""
    theme: str = "desk-dark"
    """One of ``workstation.themes.THEME_NAMES`` or of the screen library's own themes."""
    glyphs: GlyphSet = "unicode"
    """``ascii`` replaces rules, Greek letters and the unknown sign on terminals without them."""
    flash_ms: int = 300
    """How long a changed bid or ask stays coloured; 0 switches flashes off."""
    confirm_delay_ms: int = 250
    """``y`` counts only this long after a dialog has painted what it asks."""
    move_tolerance_ticks: int = 2
    """How far the touch may have moved against the order, in ticks, before ``y`` prices anew and asks again."""
    ghost_delay_ms: int = 150
    """How long the command bar must rest before a whole sentence is priced for the ghost line."""
    feed_age_limit_s: float = 5.0
    """The feed's age turns amber at half of this and is called late beyond it."""
    screen_late_ms: int = 1000
    """Above this frame lag the status line says SCREEN LATE."""
    notice_s: float = 8.0
    """How long an answer stays on the message line."""
    retry_s: float = 1.0
    """How often the first chain is asked for while the engine is still loading."""
    history_size: int = 200
    """Sentences the command bar remembers."""
    default_lots: int = 1
    """Lots of a draft without a count."""
    product: Product = Product.NRML
    """Product of drafts made by keys."""
    mark: Mark = Mark.LAST
    """The mark shown first at start."""
    underlying: str = ""
    """Underlying to open with; empty for the best known one."""
    keymap: dict[str, str] = {}
    """Action id to keys, comma separated; unknown ids and keys used twice in one place are refused at start."""
