"""`smart-router classifier …`: the artifact behind the decisions."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from smart_router.cli import shown
from smart_router.cli.failing import plain_errors
from smart_router.cli.shown import Sheet

app = typer.Typer(
    help="Build, train and inspect the classifier.\n\nExample: smart-router classifier info", no_args_is_help=True
)


@app.command()
def build(
    out: Annotated[Path | None, typer.Option(help="Where to; default: the user's folder of artifacts.")] = None,
    teach: Annotated[bool, typer.Option(help="Teach the encoder the examples; else only the heads learn.")] = True,
) -> None:
    """
    Teach ENCODER_MODEL the examples, export it, train the heads.

    Needs the `build` extra, and torch.

    Example: smart-router classifier build
    """
    from smart_router.classify.artifact import folder_for
    from smart_router.classify.build import Recipe
    from smart_router.classify.build import build as build_artifact
    from smart_router.classify.lessons import load_lessons
    from smart_router.cli.configured import configured

    with plain_errors(), shown.Bar("building") as bar:
        registry, settings = configured()
        target = out or folder_for(settings.encoder_model, settings.classifier_dir)
        recipe = Recipe(settings.encoder_model, settings.encoder_prompt, teach)
        build_artifact(recipe, load_lessons(registry), registry.taught, target, say=_steps(bar))
    typer.echo(f"built {target}")


@app.command()
def train() -> None:
    """
    Train the heads for today's examples and use cases.

    Half a minute, without torch; nothing if it has been done. A router that starts does the same.

    Example: smart-router classifier train
    """
    from smart_router.classify.open import open_classifier
    from smart_router.cli.configured import configured

    with plain_errors(), shown.Bar("encoding examples") as bar:
        registry, settings = configured()
        classifier = open_classifier(registry, settings, bar if bar.visible else None)
    typer.echo(f"a {classifier.kind} classifier is ready{': ' + classifier.trouble if classifier.trouble else ''}")


@app.command()
def info(
    as_json: Annotated[bool, typer.Option("--json", help="Print what is known of it as JSON.")] = False,
) -> None:
    """
    Say which artifact is in use, and what it was made from.

    Example: smart-router classifier info
    """
    from dataclasses import asdict

    from smart_router.classify.artifact import find_artifact
    from smart_router.cli.configured import configured

    with plain_errors():
        _, settings = configured()
        artifact = find_artifact(settings.encoder_model, settings.classifier_dir)
    known = {"folder": str(artifact.folder), **asdict(artifact.manifest)}
    if as_json:
        shown.as_json(known)
    else:
        shown.show(Sheet(("What", "Value"), [(name, str(value)) for name, value in known.items()]))


def _steps(bar: shown.Bar) -> Callable[[str], None]:
    """Prints each line, and takes the bar along with those that begin as `2/5` does."""

    def say(line: str) -> None:
        typer.echo(line)
        if step := re.match(r"(\d+)/(\d+) ", line):
            bar(int(step[1]) - 1, int(step[2]))

    return say
