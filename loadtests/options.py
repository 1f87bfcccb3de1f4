"""The options of a run, shared by `python -m loadtests` and by locust's own command line."""

import argparse
import math
import re
from collections.abc import Iterator
from dataclasses import fields

from loadtests.conversations import USE_CASES
from loadtests.gates import Limits
from loadtests.shapes import SHAPES

KINDS = ("realtime", "streaming", "switching", "batch", "idle", "hostile")

_LIMITS = {
    "min_bypass": "percent of follow-ups within a use case that must skip the classifier",
    "max_routing_p95_ms": "95 %% of decisions must take no longer, as the router says itself",
    "max_p95_ms": "95 %% of answers must take no longer (refusals and slow readers apart)",
    "max_p99_ms": "the same of 99 %%",
    "max_errors": "percent of requests that may fail; a hostile one that is not refused fails",
    "max_wrong": "percent of turns that may go to another use case than they are about",
    "max_drift": "how many times as long late answers may take as early ones (a soak's default: 1.5)",
}


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """What a run is, whoever starts it; users and host are locust's own options."""
    shapes = "; ".join(f"{name}: {shape.says}" for name, shape in SHAPES.items())
    parser.add_argument("--shape", choices=[*SHAPES, "none"], default="none", help=f"{shapes}; none: as locust is told")
    parser.add_argument("--seconds", type=positive, help="length of the run (default: the shape's)")
    parser.add_argument("--think-s", type=positive, default=2.0, help="mean time between two turns (default: 2)")
    parser.add_argument("--idle-s", type=positive, default=15.0, help="how late idle users come back (default: 15)")
    parser.add_argument("--tokens", type=whole, default=24, help="length of answers (default: 24)")
    parser.add_argument(
        "--use-cases", type=use_cases, default=USE_CASES, help="by comma; only conversations about these"
    )
    for limit in fields(Limits):
        default = "off" if limit.default is None else limit.default
        help = f"{_LIMITS[limit.name]} (default: {default})"
        parser.add_argument(f"--{limit.name.replace('_', '-')}", type=not_negative, default=limit.default, help=help)
    parser.add_argument("--results", help="file for the figures, as JSON")


def as_arguments(options: argparse.Namespace) -> Iterator[str]:
    """The options of `add_run_options`, for the command line of another process."""
    own = argparse.ArgumentParser()
    add_run_options(own)
    for name in vars(own.parse_args([])):
        value = getattr(options, name)
        if value is not None:
            yield f"--{name.replace('_', '-')}"
            yield ",".join(value) if isinstance(value, tuple) else str(value)


def positive(text: str) -> float:
    value = not_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not more than 0")
    return value


def not_negative(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 on")
    return value


def whole(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 999999")
    return int(text)


def name(text: str) -> str:
    if not re.fullmatch(r"[a-z0-9-]{1,40}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: use small letters, digits and -")
    return text


def use_cases(text: str) -> tuple[str, ...]:
    return _names(text, USE_CASES)


def kinds(text: str) -> tuple[str, ...]:
    return _names(text, KINDS)


def _names(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(","))
    if unknown := [name for name in names if name not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(map(repr, unknown))}: not among {', '.join(known)}")
    return names
