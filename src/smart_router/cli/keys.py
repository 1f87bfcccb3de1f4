"""`smart-router keys …`: the file of keys, API_KEYS_FILE. A running router reads it again by itself."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smart_router.cli import completing, shown
from smart_router.cli.failing import CONFIGURATION, fail, plain_errors
from smart_router.cli.shown import Sheet
from smart_router.types import SCOPES

if TYPE_CHECKING:
    from smart_router.access.keyfile import Entry

app = typer.Typer(help="Make, list and revoke keys.\n\nExample: smart-router keys list", no_args_is_help=True)

File = Annotated[Path, typer.Option("--file", help="The file of keys.", envvar="API_KEYS_FILE")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
DEFAULT_FILE = Path("keys.json")
COLUMNS = ("Key", "Scopes", "Created", "Name")


class _Scope(StrEnum):
    """`types.Scope`, as typer wants it."""

    ROUTE = "route"
    ADMIN = "admin"
    METRICS = "metrics"


@app.command()
def create(
    name: Annotated[str, typer.Option(help="Whose key it is, for people.")],
    file: File = DEFAULT_FILE,
    scope: Annotated[list[_Scope] | None, typer.Option(help="What it is for; default: route.")] = None,
    use_case: Annotated[
        list[str] | None,
        typer.Option(help="Only these use cases; default: all.", autocompletion=completing.use_cases),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Only these models; default: all.", autocompletion=completing.models)
    ] = None,
    per_minute: Annotated[
        int | None, typer.Option(help="Requests a minute; 0: any number; default: RATE_LIMIT_PER_MINUTE.", min=0)
    ] = None,
    burst: Annotated[int | None, typer.Option(help="Of these, at once; default: all.", min=1)] = None,
    concurrency: Annotated[int | None, typer.Option(help="Requests under way at once, per process.", min=1)] = None,
    max_tokens: Annotated[int | None, typer.Option(help="The longest answer; default: the registry's.", min=1)] = None,
    max_choices: Annotated[int | None, typer.Option(help="Answers to one request; default: likewise.", min=1)] = None,
    as_json: AsJson = False,
) -> None:
    """
    Make a key and show it, once.

    Example: smart-router keys create --name "mobile app" --scope route --use-case agent
    """
    from smart_router.access.keyfile import change_keys, new_entry

    scopes = [known for known in SCOPES if known in (scope or [_Scope.ROUTE])]
    limits = {
        "requests_per_minute": per_minute,
        "burst": burst,
        "concurrency": concurrency,
        "max_tokens": max_tokens,
        "max_choices": max_choices,
    }
    key, entry = new_entry(name, scopes, use_cases=_given(use_case), models=_given(model), **limits)
    with plain_errors():
        change_keys(file, lambda entries: (*entries, entry))
    if as_json:
        shown.as_json({"id": entry.id, "key": key})
        return
    typer.echo(key)
    typer.echo(f"This is {entry.id} in {file}. The key is not kept anywhere: copy it now.", err=True)


@app.command("list")
def list_keys(file: File = DEFAULT_FILE, as_json: AsJson = False) -> None:
    """
    Show which keys there are, and what they are for.

    Example: smart-router keys list
    """
    from smart_router.access.keyfile import read_keys

    with plain_errors():
        entries = read_keys(file)
    if as_json:
        shown.as_json([_row(entry) for entry in entries])
        return
    common = [(entry.id, ",".join(entry.scopes), entry.created, entry) for entry in entries]
    rows = [(*cells, entry.name, _limits(entry)) for *cells, entry in common]
    plain = [
        (*cells, f"{entry.name}  ({_limits(entry)})" if _limits(entry) else entry.name) for *cells, entry in common
    ]
    shown.show(Sheet((*COLUMNS, "Limits"), rows), Sheet(COLUMNS, plain))


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="The key's id, as `keys list` shows it.")], file: File = DEFAULT_FILE
) -> None:
    """
    Make a key worthless. A running router notices within seconds.

    Example: smart-router keys revoke k_3f9a61c0d2b4
    """
    from smart_router.access.keyfile import change_keys, read_keys

    def without(entries: "tuple[Entry, ...]") -> "tuple[Entry, ...]":
        left = tuple(entry for entry in entries if entry.id != id)
        if len(left) == len(entries):
            fail(f"{file} has no key {id}; see `smart-router keys list`", CONFIGURATION)
        return left

    with plain_errors():
        read_keys(file)  # which must exist
        change_keys(file, without)
    typer.echo(f"{id} is revoked")


def _given(values: list[str] | None) -> tuple[str, ...] | None:
    return tuple(dict.fromkeys(values)) if values else None


def _row(entry: "Entry") -> dict[str, object]:
    """All but the digest."""
    from msgspec import to_builtins

    return {name: to_builtins(getattr(entry, name)) for name in entry.__struct_fields__ if name != "sha256"}


def _limits(entry: "Entry") -> str:
    said = [", ".join(names) for names in (entry.use_cases, entry.models) if names is not None]
    numbers = (
        (entry.requests_per_minute, "a minute"),
        (entry.burst, "at once"),
        (entry.concurrency, "under way"),
        (entry.max_tokens, "tokens"),
        (entry.max_choices, "choices"),
        (len(entry.deny) or None, "denied patterns"),
    )
    said += [f"{number} {what}" for number, what in numbers if number is not None]
    return "; ".join(said)
