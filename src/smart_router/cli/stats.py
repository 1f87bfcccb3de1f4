"""`smart-router stats`: what a router, or all of one Redis, have counted; once, or again and again."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

import typer

from smart_router.cli import shown
from smart_router.cli.calling import DEFAULT_URL, call, understanding
from smart_router.cli.options import AsJson, Key, Url
from smart_router.cli.samples import MS
from smart_router.cli.shown import Sheet, Styled

TELLS = ("total_requests", "bypass_requests", "use_cases", "models")
TELLS_HEALTH = ("status", "model_endpoints")
BEST_FIRST = ("healthy", "asleep", "unknown", "unhealthy")  # states of a replica


def stats(
    url: Url = DEFAULT_URL,
    key: Key = None,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until q or Ctrl+C.")] = False,
    every: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.2, max=3600)] = 2.0,
) -> None:
    """
    Show what the router has counted, once or live.

    Requests, bypasses, times, use cases, models. Elsewhere than on a terminal: a name and its value per line.

    With --watch, a live picture of what happens now; elsewhere a line per look, or with --json a document. It goes on
    while the router is away, and says so.

    Example: smart-router stats --watch --every 5
    """
    if watch:
        from smart_router.cli.watching import watch as watched

        watched(url, key, every, as_json)
        return
    found = call(url, "GET", "/stats", key, tells=TELLS)
    if as_json:
        shown.as_json(found)
    elif shown.on_terminal():
        seen = call(url, "GET", "/health", key, tells=TELLS_HEALTH)
        with understanding(url):
            shown.draw(totals(found).drawn(), use_cases(found).drawn(), models(found, seen).drawn())
    else:
        typer.echo("\n".join(f"{name} {value}" for name, value in flat(found)))


def flat(found: dict[str, Any], place: str = "") -> Iterator[tuple[str, object]]:
    """Every number with its path, such as `use_cases.agent.requests`."""
    for name, value in found.items():
        if isinstance(value, dict):
            yield from flat(value, f"{place}{name}.")
        else:
            yield (
                place + name,
                shown.word(
                    ",".join(map(str, value)) if isinstance(value, list) else value if value is None else str(value)
                ),
            )


def totals(found: dict[str, Any]) -> Sheet:
    whose = {"cluster": "all routers of its Redis", "replica": "this router alone"}.get(found.get("scope", ""), "")
    rows = (
        ("Requests", f"{found['total_requests']}", f"since {found.get('since', 'the start')}, {whose}".rstrip(", ")),
        ("Failed", f"{found.get('failed_requests', 0)}", ""),
        ("Bypassed", f"{found.get('bypass_rate_percent', 0):g} %", "of what was decided, without the classifier"),
        ("Sessions", f"{found.get('session_creations', 0)}", "begun"),
        ("Context changes", f"{found.get('context_changes', 0)}", "of a session to another use case"),
        ("Routing", _ms(found.get("average_routing_time")), "mean, where it was classified"),
        ("Bypass", _ms(found.get("average_bypass_time")), "mean, where it was not"),
        ("Inference", _ms(found.get("average_inference_time")), "mean"),
        ("Total", _ms(found.get("average_total_time")), "mean"),
    )
    return Sheet(("", "Value", "Of"), rows, numbers=("Value",))


def use_cases(found: dict[str, Any]) -> Sheet:
    rows = [(id, *_part(part)) for id, part in found["use_cases"].items()]
    return Sheet(("Use case", *PART), rows, numbers=PART)


def models(found: dict[str, Any], seen: dict[str, Any]) -> Sheet:
    rows = [(id, standing(id, found, seen), *_part(part)) for id, part in every_model(found, seen).items()]
    return Sheet(("Model", "State", *PART), rows, numbers=PART)


PART = ("Requests", "Errors", "Inference")
NONE_YET = {"requests": 0, "errors": 0, "average_inference_time": None}


def every_model(found: Mapping[str, Any], seen: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Those that there are, and those that were asked while they were there."""
    there = (*found.get("model_states", ()), *(replica["model"] for replica in _replicas(seen)))
    return dict.fromkeys(there, NONE_YET) | {id: NONE_YET | part for id, part in found["models"].items()}


def standing(id: str, found: Mapping[str, Any], seen: Mapping[str, Any]) -> Styled:
    """How a model stands, how many of its replicas are up if not all are, and how many requests wait for it."""
    own = [replica["status"] for replica in _replicas(seen) if replica["model"] == id]
    best = min(own, key=lambda status: BEST_FIRST.index(status) if status in BEST_FIRST else 9, default="gone")
    known = found.get("model_states", {}).get(id, {})
    up = sum(status in ("healthy", "asleep") for status in own)
    more = [f"{up}/{len(own)} up"] if 0 < up < len(own) else []
    more += [f"{known['waiting']} waiting"] if known.get("waiting") else []
    return shown.state(known.get("state", best), more)


def _replicas(seen: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for group in seen.get("model_endpoints", {}).values():
        yield from group["replicas"]


def _part(part: dict[str, Any]) -> tuple[object, ...]:
    return part["requests"], part.get("errors", 0), _ms(part.get("average_inference_time"))


def _ms(seconds: float | None) -> str:
    return shown.NOTHING_TO_TELL if not seconds else f"{seconds * MS:.3g} ms"
