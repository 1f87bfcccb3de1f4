"""`smart-router sessions …`: what a router keeps of the caller's own sessions, forgetting them, and pinning them."""

from datetime import UTC, datetime
from itertools import chain
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer

from smart_router.cli import completing, shown
from smart_router.cli.calling import DEFAULT_URL, Unanswered, ask, call, understanding
from smart_router.cli.failing import FAILED, fail, warn
from smart_router.cli.moments import ago
from smart_router.cli.options import AsJson, Key, SessionId, Url
from smart_router.cli.shown import Sheet

app = typer.Typer(
    help="List, show, pin and end the caller's sessions.\n\nExample: smart-router sessions list",
    no_args_is_help=True,
)

PAGE = 200  # sessions that are asked for at once, at most
MOST_EMPTY = 20  # pages without a session one after the other: there may be some, but not for ever
COLUMNS = ("Session", "Use case", "Model", "Turns", "Pinned")
MOMENTS = ("Last used", "Begun")


@app.command("list")
def list_sessions(
    url: Url = DEFAULT_URL,
    key: Key = None,
    limit: Annotated[int, typer.Option(help="How many at most.", min=1, max=100_000)] = 50,
    cursor: Annotated[str | None, typer.Option(help="Go on where an earlier list, as JSON, ended.")] = None,
    as_json: AsJson = False,
) -> None:
    """
    List sessions, the newest first where the router's store can tell.

    Example: smart-router sessions list --limit 20
    """
    found, following = _listed(url, key, limit, cursor)
    if as_json:
        shown.as_json({"sessions": found, "next_cursor": following})
        return
    with understanding(url):
        _show(found)
    if following:
        warn(f"there are more; give a --limit above {limit}")


def _show(found: list[dict[str, Any]]) -> None:
    now = datetime.now(UTC)
    told = [(*_cells(one), ago(one.get("last_accessed"), now), ago(one.get("created_at"), now)) for one in found]
    plain = [(*_cells(one), one.get("last_accessed"), one.get("created_at")) for one in found]
    columns = (*COLUMNS, *MOMENTS)
    shown.show(Sheet(columns, told, numbers=("Turns",)), Sheet(columns, plain))


@app.command("show")
def show_session(id: SessionId, url: Url = DEFAULT_URL, key: Key = None, as_json: AsJson = False) -> None:
    """
    Show what is kept of a session. That does not prolong it.

    Example: smart-router sessions show demo
    """
    _tell(url, call(url, "GET", _path(id), key, tells=("session_id", "use_case")), as_json)


@app.command("end")
def end_sessions(
    ids: Annotated[
        list[str], typer.Argument(metavar="ID...", help="The sessions' ids.", autocompletion=completing.sessions)
    ],
    url: Url = DEFAULT_URL,
    key: Key = None,
) -> None:
    """
    Forget sessions and their conversations.

    Exit code 1: not all could be ended; the others are.

    Example: smart-router sessions end demo
    """
    left = [id for id in ids if not _ended(url, key, id)]
    if left:
        raise typer.Exit(FAILED)


@app.command("pin")
def pin_session(
    id: SessionId,
    use_case: Annotated[str, typer.Argument(help="Where all its turns go.", autocompletion=completing.use_cases)],
    url: Url = DEFAULT_URL,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """
    Have all turns of a session go to one use case, whatever they say.

    Example: smart-router sessions pin demo agent
    """
    _tell(url, _changed(url, key, id, use_case), as_json)


@app.command("unpin")
def unpin_session(id: SessionId, url: Url = DEFAULT_URL, key: Key = None, as_json: AsJson = False) -> None:
    """
    Have a session's turns decided one by one again.

    Example: smart-router sessions unpin demo
    """
    _tell(url, _changed(url, key, id, None), as_json)


def _listed(url: str, key: str | None, most: int, cursor: str | None) -> tuple[list[dict[str, Any]], str | None]:
    """Page by page, up to *most*; and where to go on, if there are more."""
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    empty = 0
    while empty < MOST_EMPTY:
        asked = {"limit": str(min(PAGE, most - len(found)))} | ({"cursor": cursor} if cursor else {})
        page = call(url, "GET", f"/sessions?{urlencode(asked)}", key, tells=("sessions", "next_cursor"))
        found += page["sessions"]
        empty = 0 if page["sessions"] else empty + 1
        cursor = page["next_cursor"]
        if cursor is None or cursor in seen or len(found) >= most:  # a cursor that leads in a circle would never end
            break
        seen.add(cursor)
    return found[:most], cursor


def _changed(url: str, key: str | None, id: str, use_case: str | None) -> dict[str, Any]:
    return call(url, "PATCH", _path(id), key, {"use_case": use_case}, tells=("session_id", "use_case"))


def _ended(url: str, key: str | None, id: str) -> bool:
    """Whether it could be; ends the command where no other could be either."""
    try:
        ask(url, "DELETE", _path(id), key)
    except Unanswered as exc:
        if exc.code != FAILED:
            fail(str(exc), exc.code)
        warn(f"{id}: {exc}")
        return False
    typer.echo(f"{id}: ended")
    return True


def _path(id: str) -> str:
    return f"/sessions/{quote(id, safe='')}"


def _tell(url: str, session: dict[str, Any], as_json: bool) -> None:
    if as_json:
        shown.as_json(session)
    else:
        with understanding(url):
            _show_one(session)


def _show_one(session: dict[str, Any]) -> None:
    told = ((name, _said(value)) for name, value in session.items() if name != "lanes")
    lanes = ((f"lane {group}", _said(lane)) for group, lane in session.get("lanes", {}).items())
    rows = list(chain(told, lanes))
    shown.show(Sheet(("What", "Value"), rows), Sheet(("What", "Value"), [("_".join(a.split()), b) for a, b in rows]))


def _said(value: object) -> object:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return " ".join(map(str, value.values())) if isinstance(value, dict) else value


def _cells(session: dict[str, Any]) -> tuple[object, ...]:
    pinned = "yes" if session.get("pinned") else ""
    return session["session_id"], session["use_case"], session.get("model_id"), session.get("request_count"), pinned
