"""
What a shell offers behind Tab: ids that the router knows. Where none answers at once, nothing is offered and nothing
is said, as a shell shows whatever is printed in the middle of the line that is being typed.
"""

from collections.abc import Iterable
from typing import Any

import typer

from smart_router.cli.calling import DEFAULT_URL, Unanswered, ask

PATIENCE_S = 1.5
MOST = 50  # sessions

Offer = list[tuple[str, str]]  # what to type, and what it is


def use_cases(context: typer.Context, incomplete: str) -> Offer:
    return _fitting(incomplete, ((one["id"], one["description"]) for one in _of(context, "/use-cases", "use_cases")))


def models(context: typer.Context, incomplete: str) -> Offer:
    every = ((one["id"], one["description"]) for one in _of(context, "/v1/models", "data") if one["kind"] == "model")
    return _fitting(incomplete, every)


def sessions(context: typer.Context, incomplete: str) -> Offer:
    every = _of(context, f"/sessions?limit={MOST}", "sessions")
    return _fitting(incomplete, ((one["session_id"], one["use_case"]) for one in every))


def _fitting(incomplete: str, every: Iterable[tuple[str, str]]) -> Offer:
    return [(id, " ".join(what.split())) for id, what in every if id.startswith(incomplete)]


def _of(context: typer.Context, path: str, field: str) -> list[dict[str, Any]]:
    url, key = _given(context, "url", "SMART_ROUTER_URL") or DEFAULT_URL, _given(context, "key", "API_KEY")
    try:
        found: list[dict[str, Any]] = ask(url, "GET", path, key, tells=(field,), timeout_s=PATIENCE_S)[field]
    except Unanswered:
        return []
    return found


def _given(context: typer.Context, name: str, variable: str) -> str | None:
    """On the line so far, else in the environment."""
    import os

    return context.params.get(name) or os.environ.get(variable)
