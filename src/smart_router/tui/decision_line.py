"""The line under an answer: where it went, why, and how long it took."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from textual import events
from textual.content import Content
from textual.widgets import Static

from smart_router.client import Decision
from smart_router.tui.plain import one_line

BETWEEN = " · "


class DecisionLine(Static):
    """Breaks between its parts, never within one that fits."""

    def __init__(self) -> None:
        super().__init__(classes="decision")
        self._parts: tuple[str, ...] = ()

    def show(self, parts: Sequence[str]) -> None:
        if tuple(parts) != self._parts:
            self._parts = tuple(parts)
            self._lay_out(self.content_size.width)

    def on_resize(self, event: events.Resize) -> None:
        self._lay_out(self.content_size.width)

    def _lay_out(self, width: int) -> None:
        self.display = bool(self._parts)
        first, *rest = lines(self._parts, width)
        head = Content(first).stylize("bold $text-accent", 0, len(self._parts[0]) if self._parts else 0)
        self.update(Content("\n").join([head, *map(Content, rest)]))


def lines(parts: Sequence[str], width: int) -> list[str]:
    """At least one; no wider than *width* where parts allow it."""
    found = [""]
    for part in parts:
        longer = f"{found[-1]}{BETWEEN}{part}" if found[-1] else part
        if found[-1] and width and cell_len(longer) > width:
            found.append(part)
        else:
            found[-1] = longer
    return found


def decision_parts(
    decision: Decision, *, first_token_s: float | None = None, total_s: float | None = None
) -> Iterator[str]:
    """
    use case · model · reason · bypass or confidence · routing · first token · total

    Routing is what the router measured, the other two are what passed here.
    """
    yield one_line(decision.use_case)
    yield one_line(decision.selected_model)
    yield one_line(decision.reason)
    yield "bypass" if decision.bypass_used else f"confidence {decision.confidence:.2f}"
    if decision.context_changed:
        yield "context changed"
    if decision.fallback_from:
        yield f"in place of {one_line(decision.fallback_from)}"
    yield f"routing {duration(decision.routing_time)}"
    if first_token_s is not None:
        yield f"first token {duration(first_token_s)}"
    if total_s is not None:
        yield f"total {duration(total_s)}"


def duration(seconds: float) -> str:
    """Three digits that matter: 0.42 ms, 38 ms, 1.22 s, 75 s."""
    if seconds < 0.01:
        return f"{seconds * 1e3:.2f} ms"
    if seconds < 1:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
