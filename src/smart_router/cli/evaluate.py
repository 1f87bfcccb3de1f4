"""`smart-router eval`: how often the router is right on labelled queries."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from smart_router.cli.failing import plain_errors

if TYPE_CHECKING:
    from smart_router.evaluate.queries import Judged, Labelled, Row


def evaluate(
    files: Annotated[list[Path], typer.Argument(help="JSON lines of text, label, lang, modality, source, hard.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
) -> None:
    """
    Accuracy per class, language, source and difficulty, for the configured registry and classifier.

    Example: smart-router eval queries.jsonl
    """
    from smart_router.evaluate.queries import load_labelled, report

    with plain_errors():
        queries = {path: load_labelled(path) for path in files}
        judged = asyncio.run(_judge_all(list(queries.values())))
    rows = {str(path): report(found) for path, found in zip(queries, judged, strict=True)}
    if as_json:
        typer.echo(json.dumps({name: [asdict(row) for row in found] for name, found in rows.items()}))
        return
    for (name, found), one in zip(rows.items(), judged, strict=True):
        _print(name, found, one)


async def _judge_all(files: Sequence[Sequence["Labelled"]]) -> list[list["Judged"]]:
    from smart_router.chooser import Chooser
    from smart_router.classify.open import open_classifier
    from smart_router.cli.configured import configured
    from smart_router.evaluate.queries import judge

    registry, settings = configured()
    classifier = open_classifier(registry, settings)
    classifier.start()
    try:
        chooser = Chooser(registry, classifier, settings)
        return [await judge(queries, chooser) for queries in files]
    finally:
        classifier.close()


def _print(name: str, rows: Sequence["Row"], judged: Sequence["Judged"]) -> None:
    from smart_router.evaluate.queries import confusions

    typer.echo(f"\n{name}")
    part = ""
    for row in rows:
        if row.part != part:
            part = row.part
            typer.echo(f"  {part}")
        typer.echo(f"    {row.value:<28} {row.accuracy:7.1%}   {row.right}/{row.total}")
    wrong = sorted(((n, pair) for pair, n in confusions(judged).items() if pair[0] != pair[1]), reverse=True)
    typer.echo("  most frequent mistakes (text only)")
    for count, (label, chosen) in wrong[:8]:
        typer.echo(f"    {label} taken for {chosen:<12} {count}")
