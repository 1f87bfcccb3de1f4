"""The keys: what they do everywhere, and how they are explained."""

from textual.binding import Binding

BINDINGS = [
    Binding("ctrl+n", "new", "New"),
    Binding("ctrl+b", "sessions", "Sessions"),
    Binding("ctrl+o", "attach", "Attach"),
    Binding("ctrl+t", "theme", "Theme", show=False),
    Binding("ctrl+l", "clear", "Clear"),
    Binding("f1", "help", "Help"),
    Binding("ctrl+q", "quit", "Quit", priority=True),
    Binding("escape", "stop", "Stop", show=False),
]

EXPLAINED = (
    ("Enter", "send"),
    ("Ctrl+J", "a new line; also Shift+Enter, where the terminal tells it from Enter"),
    ("Up, Down", "what was typed before, from the first and the last line"),
    ("Tab", "complete a command; else go to the next part of the screen"),
    ("Page up, Page down", "scroll"),
    ("Esc", "stop the answer that is being written"),
    ("Ctrl+N", "begin another session"),
    ("Ctrl+B", "to the sessions and back; there: Enter opens one, r renames it, d ends it"),
    ("Ctrl+O", "attach a file"),
    ("Ctrl+T", "choose a theme"),
    ("Ctrl+L", "clear what is shown of this session"),
    ("F1", "this help"),
    ("Ctrl+Q", "quit"),
)
