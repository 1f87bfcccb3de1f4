"""`smart-router eval`: how often the router is right on labelled queries and conversations."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smart_router.cli import shown
from smart_router.cli.failing import plain_errors

if TYPE_CHECKING:
    from smart_router.evaluate.run import Evaluation


def evaluate(
    files: Annotated[list[Path], typer.Argument(help="JSON lines of queries or of conversations.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print the rows as JSON.")] = False,
    markdown: Annotated[bool, typer.Option(help="Print tables in Markdown.")] = False,
    compare: Annotated[bool, typer.Option(help="Compare with other policies and with semantic-router.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Write the calibration of all text-only queries as PNG.")] = None,
) -> None:
    """
    Measure how often the router decides right, offline.

    For the configured registry and classifier, on labelled queries (text, label, lang, modality, source, hard) and
    conversations (turns of text, label, modality).

    Example: smart-router eval queries.jsonl sessions.jsonl --compare
    """
    from smart_router.cli.configured import configured
    from smart_router.evaluate import calibration, tables
    from smart_router.evaluate.run import evaluated

    with plain_errors(), shown.Bar("judging") as bar:
        registry, settings = configured()
        found = asyncio.run(evaluated(registry, settings, files, compare=compare, progress=bar))
        if plot is not None:
            calibration.plot([one for evaluation in found for one in evaluation.text_only], plot)
    if as_json:
        shown.as_json({str(one.path): _as_json(one) for one in found})
    else:
        typer.echo(tables.markdown(found) if markdown else tables.plain(found))


def _as_json(evaluation: "Evaluation") -> dict[str, Sequence[Any]]:
    return {
        "queries": [asdict(row) | {"accuracy": row.accuracy} for row in evaluation.rows],
        "confusions": [[label, chosen, count] for (label, chosen), count in evaluation.confusions.items()],
        "calibration_error": [evaluation.calibration_error] if evaluation.judged else [],
        "peers": [asdict(row) for row in evaluation.peers],
        "sessions": [asdict(row) for row in evaluation.session_rows],
    }
