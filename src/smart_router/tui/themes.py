"""The themes that come with the chat: two dark, two light, and the terminal's own colours."""

from textual.theme import Theme

from smart_router.tui.palette import Palette, theme

NIGHT = Palette(
    foreground="#e6e8f0",
    muted="#a4aabf",
    primary="#8db4ff",
    secondary="#bda7ff",
    accent="#ffb870",
    success="#8fd6a0",
    warning="#f2cb74",
    error="#ff9797",
    background="#14161f",
    surface="#1d202c",
    panel="#262a38",
)
EMBER = Palette(
    foreground="#f2e8e0",
    muted="#bcaca0",
    primary="#ffae78",
    secondary="#eaaac6",
    accent="#f5d37a",
    success="#aed190",
    warning="#f2c46a",
    error="#ff9686",
    background="#1c1715",
    surface="#27201d",
    panel="#322926",
)
PAPER = Palette(
    foreground="#24251f",
    muted="#56574f",
    primary="#1c4d90",
    secondary="#643a94",
    accent="#8a4300",
    success="#24602a",
    warning="#6f4b00",
    error="#9c2329",
    background="#fcfbf7",
    surface="#f2f0e8",
    panel="#e7e4d9",
)
MIST = Palette(
    foreground="#182832",
    muted="#4a5a64",
    primary="#00566f",
    secondary="#5f3a7d",
    accent="#843f00",
    success="#175d40",
    warning="#694b00",
    error="#981d35",
    background="#f3f7f9",
    surface="#e7eef2",
    panel="#d9e3e9",
)

TERMINAL = Theme(
    "terminal",
    ansi=True,
    primary="ansi_blue",
    secondary="ansi_cyan",
    accent="ansi_magenta",
    success="ansi_green",
    warning="ansi_yellow",
    error="ansi_red",
    foreground="ansi_default",
    background="ansi_default",
    surface="ansi_default",
    panel="ansi_default",
    boost="ansi_default",
    variables={
        # Whether the terminal is dark or light is not known: nothing is black or white, and what is chosen is reversed.
        "ansi-background": "ansi_default",
        "ansi-foreground": "ansi_default",
        "text-muted": "ansi_default",
        "text-disabled": "ansi_default",
        "border": "ansi_blue",
        "border-blurred": "ansi_default",
        "scrollbar": "ansi_default",
        "scrollbar-background": "ansi_default",
        "scrollbar-background-hover": "ansi_default",
        "scrollbar-background-active": "ansi_default",
        "block-cursor-foreground": "ansi_default",
        "block-cursor-background": "ansi_default",
        "block-cursor-text-style": "reverse",
        "link-color-hover": "ansi_default",
        "link-background-hover": "ansi_default",
        "input-selection-background": "ansi_default",
        "input-selection-foreground": "ansi_default",
        "screen-selection-background": "ansi_blue",
        "screen-selection-foreground": "ansi_default",
    },
)

THEMES = (
    theme("night", NIGHT, dark=True),
    theme("ember", EMBER, dark=True),
    theme("paper", PAPER, dark=False),
    theme("mist", MIST, dark=False),
    TERMINAL,
)
DEFAULT = "night"
