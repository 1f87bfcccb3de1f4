"""`smart-router route` and `classify`: clients over HTTP."""

import sys
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from smart_router.cli import completing, shown
from smart_router.cli.calling import DEFAULT_URL, call, ending, router_at, understanding
from smart_router.cli.failing import CONFIGURATION, fail
from smart_router.cli.options import AsJson, Key, Url
from smart_router.cli.shown import Sheet

Query = Annotated[str, typer.Argument(help="What to ask; - reads it from stdin.")]
Session = Annotated[
    str | None, typer.Option(help="Continue this session, or begin it.", autocompletion=completing.sessions)
]
Attach = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE", help="An image, a recording or a film, or a link to one; may be repeated."),
]
UseCase = Annotated[
    str | None, typer.Option(help="Decide for this one, whatever the query says.", autocompletion=completing.use_cases)
]
MaxTokens = Annotated[int | None, typer.Option(help="The longest answer; default: the registry's.", min=1)]

STDIN = "-"
LINKS = ("http://", "https://")


def route(
    query: Query,
    url: Url = DEFAULT_URL,
    key: Key = None,
    session: Session = None,
    attach: Attach = None,
    use_case: UseCase = None,
    max_tokens: MaxTokens = None,
    stream: Annotated[bool, typer.Option("--stream", help="Print the answer as it comes.")] = False,
    as_json: AsJson = False,
) -> None:
    """
    Ask the router, and see where the query went.

    The answer goes to stdout, where it went and why to stderr.

    Example: smart-router route --session demo "Write a Python function to sort a list"
    Example: smart-router route --stream --attach screenshot.png "What is wrong here?"
    """
    asked = _asked(query, session, attach, use_case, max_tokens)
    answer = _streamed(url, key, asked, aloud=not as_json) if stream else _whole(url, key, asked)
    if as_json:
        shown.as_json(answer)
        return
    with understanding(url):
        if not stream:
            typer.echo(shown.harmless(answer["result"]))
        _tell_where(answer)


def classify(
    query: Query,
    url: Url = DEFAULT_URL,
    key: Key = None,
    session: Session = None,
    attach: Attach = None,
    use_case: UseCase = None,
    max_tokens: MaxTokens = None,
    as_json: AsJson = False,
) -> None:
    """
    See how the router would decide, without asking a model.

    Example: smart-router classify "what does this sign say"
    """
    asked = _asked(query, session, attach, use_case, max_tokens)
    answer = call(url, "POST", "/classify", key, asked, tells=("use_case", "reason", "scores"))
    if as_json:
        shown.as_json(answer)
    else:
        with understanding(url):
            _tell_decision(answer)


def _tell_decision(answer: dict[str, Any]) -> None:
    confidence = f"confidence {answer['confidence']:.2f}"
    decided = f"{answer['use_case']} ({answer['reason']}, {confidence}) on {answer.get('selected_model', '?')}"
    typer.echo(shown.harmless(decided))
    scores = sorted(answer["scores"].items(), key=lambda item: -item[1])
    if scores:
        rows = [(name, f"{score:.3f}", shown.bar(score)) for name, score in scores]
        shown.show(
            Sheet(("Use case", "Score", ""), rows, numbers=("Score",)),
            Sheet(("Use case", "Score"), [row[:2] for row in rows]),
        )
    if note := answer.get("because", {}).get("note"):
        typer.echo(shown.harmless(note))


def _asked(
    query: str, session: str | None, attach: list[str] | None, use_case: str | None, max_tokens: int | None
) -> dict[str, Any]:
    """The body of a request."""
    given = {"session_id": session, "use_case": use_case, "max_tokens": max_tokens}
    asked = {"query": _read() if query == STDIN else query, **{name: v for name, v in given.items() if v is not None}}
    return asked | ({"attachments": [_attachment(one) for one in attach]} if attach else {})


def _read() -> str:
    try:
        said = sys.stdin.read()
    except UnicodeDecodeError:
        fail("stdin is not text in UTF-8; pipe text into this command, and files with --attach", CONFIGURATION)
    if not said.strip():
        fail("there is nothing on stdin; pipe the query into this command, or write it behind it", CONFIGURATION)
    return said


def _attachment(given: str) -> dict[str, Any]:
    from msgspec import to_builtins

    from smart_router.client import Attachment, ClientError
    from smart_router.client.attachment import KINDS, MEDIA_TYPES

    try:
        if not given.startswith(LINKS):
            return dict(to_builtins(Attachment.from_file(given)))
        ending = urlsplit(given).path.rpartition(".")[2].lower()
        kind = MEDIA_TYPES.get(ending, "").partition("/")[0]
        if not kind:
            fail(f"--attach {given}: its ending does not say whether it is {', '.join(KINDS)}", CONFIGURATION)
        return dict(to_builtins(Attachment.from_url(given, kind)))
    except ClientError as exc:
        fail(f"--attach {exc}", CONFIGURATION)


def _whole(url: str, key: str | None, asked: dict[str, Any]) -> dict[str, Any]:
    return call(url, "POST", "/route", key, asked, tells=("result", "use_case", "session_id"))


def _streamed(url: str, key: str | None, asked: dict[str, Any], *, aloud: bool) -> dict[str, Any]:
    """The whole answer at its end; meanwhile, *aloud*, its words as they come."""
    from msgspec import to_builtins

    query = asked.pop("query")
    with ending(), router_at(url, key) as router, router.stream(query, **asked) as stream:
        try:
            for word in stream:
                if aloud:
                    typer.echo(shown.harmless(word), nl=False)
        finally:
            if aloud:
                typer.echo()
        return dict(to_builtins(stream.answer))


def _tell_where(answer: dict[str, Any]) -> None:
    bypass = "bypass" if answer["bypass_used"] else f"confidence {answer['confidence']:.2f}"
    instead = f" instead of {answer['fallback_from']}" if answer.get("fallback_from") else ""
    told = (
        f"[{answer['use_case']} · {answer['selected_model']}{instead} · {answer['reason']} · {bypass} · routing "
        f"{answer['routing_time'] * 1000:.1f} ms · total {answer['total_time'] * 1000:.0f} ms · "
        f"session {answer['session_id']}]"
    )
    if sys.stderr.isatty():
        from rich.text import Text

        shown.console(err=True).print(Text(shown.tamed(told), style="dim"))
    else:
        typer.echo(shown.tamed(told), err=True)
