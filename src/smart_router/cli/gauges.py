"""The live picture of `smart-router stats --watch`."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from smart_router.cli import shown
from smart_router.cli.samples import Pace
from smart_router.cli.stats import every_model, standing

if TYPE_CHECKING:
    from smart_router.cli.watching import Watched

NARROWEST, WIDEST = 8, 60  # sparklines, in characters
BESIDE_GAUGES, BESIDE_PARTS = 40, 82  # what stands beside them
STATE = 15  # awake, 1/2 up
ACCENT = "cyan"

Reading = Callable[[Pace], float | None]
GAUGES: tuple[tuple[str, str, Reading], ...] = (
    ("Requests", "a second", lambda pace: pace.per_s),
    ("Errors", "a second", lambda pace: pace.errors_per_s),
    ("Bypassed", "%", lambda pace: None if pace.bypassed is None else pace.bypassed * 100),
    ("Routing", "ms, classified", lambda pace: pace.routing_ms),
    ("Bypass", "ms", lambda pace: pace.bypass_ms),
    ("Total", "ms", lambda pace: pace.total_ms),
)


def picture(watched: "Watched", width: int, every_s: float) -> RenderableType:
    """*width* in characters. What is most worth seeing comes first: a small terminal cuts off the end."""
    wide, narrow = (max(NARROWEST, min(WIDEST, width - beside)) for beside in (BESIDE_GAUGES, BESIDE_PARTS))
    return Group(
        _head(watched, every_s),
        *_trouble(watched),
        _gauges(watched.paces, wide),
        _use_cases(watched, narrow),
        _models(watched, narrow),
    )


def _head(watched: "Watched", every_s: float) -> Text:
    assert watched.sample is not None
    seen = watched.sample.health
    parts = [
        Text(watched.url, style="bold"),
        *([] if watched.trouble else [_colour(seen["status"])]),
        _colour(seen.get("bypass_router", ""), "sessions "),
        _colour(seen.get("classifier", {}).get("kind", ""), "classifier "),
        Text(f"{every_s:g} s · q quits", style="dim"),
    ]
    return Text("  ", no_wrap=True, overflow="ellipsis").join(part for part in parts if part.plain)


def _colour(state: str, what: str = "") -> Text:
    return Text(what + state, style=shown.STATE_COLOURS.get(state, "")) if state else Text()


def _trouble(watched: "Watched") -> Iterator[Text]:
    if watched.trouble and watched.away_since is not None:
        since: datetime = watched.away_since.astimezone()
        yield Text(f"away since {since:%H:%M:%S}: {watched.trouble}", style="bold red")
        yield Text("what is below is from before; trying again", style="dim")
    elif watched.news:
        yield Text(watched.news, style="bold green")


def _gauges(paces: Sequence[Pace | None], span: int) -> Table:
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(width=9)
    made.add_column(justify="right", width=7)
    made.add_column(width=15, style="dim")
    made.add_column(width=span, style=ACCENT, no_wrap=True)
    for name, unit, reading in GAUGES:
        values = [None if pace is None else reading(pace) for pace in paces]
        made.add_row(name, shown.word(values[-1] if values else None), unit, shown.sparkline(values, span))
    return made


def _use_cases(watched: "Watched", span: int) -> Table:
    assert watched.sample is not None
    made = _table("Use case", span)
    for id, part in watched.sample.stats["use_cases"].items():
        made.add_row(
            Text(id), "", *_numbers(part), *_rates([_rate(pace, "use_cases", id) for pace in watched.paces], span)
        )
    return made


def _models(watched: "Watched", span: int) -> Table:
    assert watched.sample is not None
    stats, seen = watched.sample.stats, watched.sample.health
    made = _table("Model", span)
    for id, part in every_model(stats, seen).items():
        state = standing(id, stats, seen)
        rates = [_rate(pace, "models", id) for pace in watched.paces]
        made.add_row(Text(id), Text(str(state), style=state.style), *_numbers(part), *_rates(rates, span))
    return made


def _table(what: str, span: int) -> Table:
    made = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=True)
    made.add_column(what, overflow="ellipsis", no_wrap=True, ratio=1)
    made.add_column("State" if what == "Model" else "", width=STATE, no_wrap=True, overflow="ellipsis")
    for name in ("Requests", "Errors", "a second"):
        made.add_column(name, justify="right", width=8, no_wrap=True)
    made.add_column("", width=span, style=ACCENT, no_wrap=True)
    return made


def _numbers(part: dict[str, float]) -> tuple[str, str]:
    return str(part["requests"]), str(part.get("errors", 0))


def _rate(pace: Pace | None, kind: str, id: str) -> float | None:
    return None if pace is None else (pace.use_cases if kind == "use_cases" else pace.models).get(id, 0.0)


def _rates(values: Sequence[float | None], span: int) -> tuple[str, str]:
    return shown.word(values[-1] if values else None), shown.sparkline(values, span)
