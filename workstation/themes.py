"""Colours by meaning. The default pair is safe for colour-blind eyes (Okabe and Ito); nothing is told by colour alone.

Style sheets use the variables below and no literal colour.
"""

from __future__ import annotations

from textual.theme import Theme

DEFAULT_THEME = "desk-dark"

_DARK = {
    "text": "#d6dde6",
    "muted": "#93a1b1",
    "faint": "#66727f",
    "rule": "#3f4b59",
    "gain": "#56b4e9",
    "loss": "#e69f00",
    "attention": "#f0d03c",
    "danger-text": "#101418",
    "danger-back": "#e8743b",
    "simulated": "#e08fc0",
    "key": "#8fd3c0",
    "raised": "#1b2531",
    "selected": "#263646",
    "cursor-text": "#0c1116",
    "cursor-back": "#d6dde6",
    "hot-text": "#101418",
    "hot-back": "#f0d03c",
    "bar-back": "#131a22",
}
_LIGHT = {
    "text": "#1d2530",
    "muted": "#566372",
    "faint": "#7c8896",
    "rule": "#b3bcc6",
    "gain": "#005f9e",
    "loss": "#9a4b00",
    "attention": "#7a5200",
    "danger-text": "#ffffff",
    "danger-back": "#b03a00",
    "simulated": "#93316f",
    "key": "#006b57",
    "raised": "#e6ecf2",
    "selected": "#d3deea",
    "cursor-text": "#ffffff",
    "cursor-back": "#1d2530",
    "hot-text": "#ffffff",
    "hot-back": "#7a5200",
    "bar-back": "#eef1f4",
}
_CLASSIC_DARK = {**_DARK, "gain": "#5fd38d", "loss": "#ff7b72"}
_CLASSIC_LIGHT = {**_LIGHT, "gain": "#116329", "loss": "#b42318"}


def _theme(name: str, colours: dict[str, str], *, background: str, dark: bool) -> Theme:
    return Theme(
        name=name,
        primary=colours["gain"],
        secondary=colours["muted"],
        accent=colours["key"],
        warning=colours["attention"],
        error=colours["danger-back"],
        success=colours["gain"],
        foreground=colours["text"],
        background=background,
        surface=background,
        panel=colours["raised"],
        dark=dark,
        variables={f"desk-{word}": colour for word, colour in colours.items()},
    )


def desk_themes() -> tuple[Theme, ...]:
    """The themes of this program: two safe pairs and two in green and red."""
    return (
        _theme("desk-dark", _DARK, background="#0c1116", dark=True),
        _theme("desk-light", _LIGHT, background="#fbfbf9", dark=False),
        _theme("desk-dark-classic", _CLASSIC_DARK, background="#0c1116", dark=True),
        _theme("desk-light-classic", _CLASSIC_LIGHT, background="#fbfbf9", dark=False),
    )


THEME_NAMES = tuple(theme.name for theme in desk_themes())


def variable_defaults(*, dark: bool) -> dict[str, str]:
    """Our colours for a theme that does not define them."""
    return {f"desk-{word}": colour for word, colour in (_DARK if dark else _LIGHT).items()}
