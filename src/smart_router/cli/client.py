"""`smart-router route` and `classify`: clients over HTTP."""

import json
from typing import Annotated, Any

import typer

from smart_router.cli.calling import DEFAULT_URL, call

Url = Annotated[str, typer.Option(help="The router's address.", envvar="SMART_ROUTER_URL")]
Key = Annotated[str | None, typer.Option(help="Its key.", envvar="API_KEY")]
Session = Annotated[str | None, typer.Option(help="Continue this session.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")]
Query = Annotated[str, typer.Argument(help="What to ask.")]


def route(
    query: Query,
    url: Url = DEFAULT_URL,
    key: Key = None,
    session: Session = None,
    as_json: AsJson = False,
) -> None:
    """
    Ask the router, and see where the query went.

    Example: smart-router route --session demo "Write a Python function to sort a list"
    """
    answer = _post(url, "/route", query, key, session)
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False))
        return
    typer.echo(answer["result"])
    bypass = "bypass" if answer["bypass_used"] else f"confidence {answer['confidence']:.2f}"
    typer.echo(
        f"[{answer['use_case']} · {answer['selected_model']} · {answer['reason']} · {bypass} · routing "
        f"{answer['routing_time'] * 1000:.1f} ms · total {answer['total_time'] * 1000:.0f} ms · "
        f"session {answer['session_id']}]",
        err=True,
    )


def classify(
    query: Query,
    url: Url = DEFAULT_URL,
    key: Key = None,
    session: Session = None,
    as_json: AsJson = False,
) -> None:
    """
    See how the router would decide, without sending the query anywhere.

    Example: smart-router classify "what does this sign say"
    """
    answer = _post(url, "/classify", query, key, session)
    if as_json:
        typer.echo(json.dumps(answer, ensure_ascii=False))
        return
    typer.echo(f"{answer['use_case']} ({answer['reason']}, confidence {answer['confidence']:.2f})")
    for name, score in sorted(answer["scores"].items(), key=lambda item: -item[1]):
        typer.echo(f"  {name:<12} {score:6.3f}  {'█' * round(score * 40)}")


def _post(url: str, path: str, query: str, key: str | None, session: str | None) -> dict[str, Any]:
    body = {"query": query} | ({"session_id": session} if session else {})
    return call(url, "POST", path, key, body).body
