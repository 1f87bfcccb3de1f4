"""
What a shell offers behind Tab: ids that the router knows. Where none answers at once, nothing is offered and nothing
is said, as a shell shows whatever is printed in the middle of the line that is being typed.
"""

import os
import re
from collections.abc import Iterable
from typing import Any

import typer

from smart_router.cli.calling import DEFAULT_URL, Unanswered, ask

PATIENCE_S = 1.5
MOST = 50  # sessions
# Shells evaluate what they are offered (zsh twice), and a router may say anything.
_ID = re.compile(r"[A-Za-z0-9._:@~+=/-]{1,200}")
_WORDS = re.compile(r"[^\w.,()/+=-]+")

Offer = list[tuple[str, str]]  # what to type, and what it is


def use_cases(context: typer.Context, incomplete: str) -> Offer:
    return _fitting(incomplete, _of(context, "/use-cases", "use_cases"), "id", "description")


def models(context: typer.Context, incomplete: str) -> Offer:
    every = (one for one in _of(context, "/v1/models", "data") if one.get("kind") == "model")
    return _fitting(incomplete, every, "id", "description")


def sessions(context: typer.Context, incomplete: str) -> Offer:
    return _fitting(incomplete, _of(context, f"/sessions?limit={MOST}", "sessions"), "session_id", "use_case")


def _fitting(incomplete: str, every: Iterable[dict[str, Any]], id: str, what: str) -> Offer:
    told = ((str(one.get(id, "")), _WORDS.sub(" ", str(one.get(what, ""))).strip()) for one in every)
    return [(id, what) for id, what in told if _ID.fullmatch(id) and id.startswith(incomplete)]


def _of(context: typer.Context, path: str, field: str) -> list[dict[str, Any]]:
    url, key = _given(context, "url", "SMART_ROUTER_URL") or DEFAULT_URL, _given(context, "key", "API_KEY")
    try:
        found = ask(url, "GET", path, key, tells=(field,), timeout_s=PATIENCE_S)[field]
    except Unanswered:
        return []
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _given(context: typer.Context, name: str, variable: str) -> str | None:
    """On the line so far, else in the environment."""
    at: Any = context
    while at is not None:
        if value := at.params.get(name):
            return str(value)
        at = at.parent
    return os.environ.get(variable)
