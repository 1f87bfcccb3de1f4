"""The help, and what a decision rested on, as text."""

from collections.abc import Iterator, Mapping

from textual.content import Content

from smart_router.client import Classification, Decision
from smart_router.tui.commands import COMMANDS
from smart_router.tui.decision_line import duration
from smart_router.tui.keys import EXPLAINED
from smart_router.tui.plain import one_line, plain
from smart_router.tui.turns import Turn

BAR = 24  # cells

REASONS = {
    "explicit": "the request named the use case",
    "modality": "what was attached left only some use cases, and the text decided among them",
    "session": "the session's choice stands",
    "classified": "the encoder decided, as nothing was settled yet",
    "switched": "the encoder decided against the session's choice",
    "fallback": "nothing was likely enough, so the default use case",
    "degraded": "decided without the encoder, which did not answer",
}


def help_text() -> Content:
    keys = [(name, does) for name, does in EXPLAINED]
    commands = [(f"/{command.name} {command.takes}".rstrip(), command.does) for command in COMMANDS]
    return Content("\n\n").join([_table("Keys", keys), _table("Commands", commands)])


def why_text(turn: Turn, decision: Decision, now: Classification | str) -> Content:
    """*now*: how the router would decide on the same words, or why that is not known."""
    parts = [_table(one_line(turn.question, 60), list(_said(decision)))]
    if isinstance(now, str):
        parts.append(Content(plain(now)))
    else:
        parts.append(_table("Asked again now, in this session", list(_now(now))))
        parts.extend(_bars("Scores", now.scores) + _bars("Cues in the words alone", now.because.guard_cues))
    return Content("\n\n").join(parts)


def _said(decision: Decision) -> Iterator[tuple[str, str]]:
    yield "Use case", decision.use_case
    yield "Model", decision.selected_model
    if decision.fallback_from:
        yield "In place of", decision.fallback_from
    yield "Reason", f"{decision.reason}: {REASONS.get(decision.reason, 'not explained here')}"
    yield "Bypass", "yes: the encoder did not run" if decision.bypass_used else "no"
    yield "Confidence", f"{decision.confidence:.2f}"
    yield "Context changed", "yes" if decision.context_changed else "no"
    yield "Routing", duration(decision.routing_time)
    yield "Request", decision.request_id


def _now(now: Classification) -> Iterator[tuple[str, str]]:
    yield "Use case", f"{now.use_case} ({now.reason}, confidence {now.confidence:.2f})"
    if now.because.session_prior:
        yield "Session's lane", now.because.session_prior
    if now.because.hint:
        yield "Came with it", ", ".join(now.because.hint)
    if now.because.conflict:
        yield "At odds with", now.because.conflict
    if now.because.note:
        yield "Note", now.because.note


def _table(title: str, rows: list[tuple[str, str]]) -> Content:
    lines = [Content(one_line(title)).stylize("bold $text-primary")]
    lines += [Content(f"{one_line(name)}  ").stylize("bold") + Content(plain(value)) for name, value in rows]
    return Content("\n").join(lines)


def _bars(title: str, scores: Mapping[str, float]) -> list[Content]:
    if not scores:
        return []
    lines = [Content(title).stylize("bold $text-primary")]
    for name, score in sorted(scores.items(), key=lambda item: -item[1]):
        bar = "█" * round(min(max(score, 0.0), 1.0) * BAR)
        lines.append(Content(f"{one_line(name, 14):<14} {score:5.2f} {bar}"))
    return [Content("\n").join(lines)]
