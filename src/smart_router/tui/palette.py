"""The colours of a theme, and what becomes of them."""

from dataclasses import asdict, dataclass

from textual.color import Color
from textual.theme import Theme

READABLE = 4.5  # contrast of text, WCAG 2.2 level AA


@dataclass(frozen=True)
class Palette:
    """
    `#rrggbb`, or names as CSS has them. All but the last three are written with, on all of the last three.
    """

    foreground: str
    muted: str  # what may be overlooked: times, hints
    primary: str
    secondary: str
    accent: str
    success: str
    warning: str
    error: str
    background: str
    surface: str  # below what one types, below code
    panel: str  # the bars at the top and the bottom, the sessions


INKS = ("foreground", "muted", "primary", "secondary", "accent", "success", "warning", "error")
GROUNDS = ("background", "surface", "panel")


def theme(name: str, palette: Palette, *, dark: bool) -> Theme:
    """Text in exactly these colours: what Textual would derive from them is set."""
    colours = asdict(palette)
    muted = colours.pop("muted")
    variables = {f"text-{ink}": colours[ink] for ink in INKS if ink not in ("foreground", "muted")}
    return Theme(name, **colours, dark=dark, variables=variables | _derived(palette, muted))


def _derived(palette: Palette, muted: str) -> dict[str, str]:
    cursor = {"foreground": palette.background, "background": palette.primary}
    return {
        "text": palette.foreground,
        "text-muted": muted,
        "text-disabled": muted,
        "foreground-muted": muted,
        "border": palette.primary,
        "border-blurred": muted,
        "scrollbar": muted,
        "scrollbar-background": palette.surface,
        "scrollbar-hover": palette.secondary,
        "scrollbar-active": palette.primary,
        "link-color": palette.primary,
        "link-color-hover": palette.background,
        "footer-background": palette.panel,
        "footer-foreground": palette.foreground,
        "footer-description-foreground": palette.foreground,
        "footer-key-foreground": palette.accent,
        "markdown-h6-color": muted,
        "input-selection-background": palette.primary,
        "input-selection-foreground": palette.background,
        "screen-selection-background": palette.primary,
        "screen-selection-foreground": palette.background,
        "button-foreground": palette.foreground,
        **{f"block-cursor-{which}": colour for which, colour in cursor.items()},
        "block-cursor-blurred-foreground": palette.foreground,
        "block-cursor-blurred-background": palette.surface,
        "block-hover-background": palette.surface,
    }


def contrast(one: Color, other: Color) -> float:
    """1 to 21; https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio"""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def hard_to_read(palette: Palette) -> list[str]:
    """Which of its colours stand out too little from which of its grounds, in words."""
    colours = {name: Color.parse(value) for name, value in asdict(palette).items()}
    pairs = ((ink, ground, contrast(colours[ink], colours[ground])) for ink in INKS for ground in GROUNDS)
    return [f"{ink} on {ground} is {found:.1f}:1" for ink, ground, found in pairs if found < READABLE]


def _luminance(colour: Color) -> float:
    return sum(weight * _linear(part / 255) for weight, part in zip((0.2126, 0.7152, 0.0722), colour.rgb, strict=True))


def _linear(part: float) -> float:
    return part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
