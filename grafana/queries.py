"""
PromQL over our own metrics. Names and labels are taken from the objects that count, so that a renamed metric or label
stops the generator instead of leaving a dead panel.

Every selector is narrowed by the dashboard's variables of the same names as the metric's labels.
"""

from collections.abc import Sequence
from typing import NamedTuple, get_args

from smart_router.observe.finished import Outcome
from smart_router.observe.metrics import Metrics
from smart_router.observe.tally import Counter, Gauge, Histogram

METRICS = Metrics()
NARROWING = ("use_case", "model", "replica")  # labels by which a viewer may narrow
OUTCOMES: tuple[str, ...] = get_args(Outcome)
NOT_WELL = "|".join(outcome for outcome in OUTCOMES if outcome != "ok")
# What clients did themselves is no error of ours.
FAILED = "|".join(outcome for outcome in OUTCOMES if outcome not in ("ok", "aborted", "client_error"))
WINDOW = "$__rate_interval"
NOTHING = "none"  # in the legend while nothing has happened


class Query(NamedTuple):
    expr: str
    legend: str
    heatmap: bool = False


def name(metric: Counter | Gauge | Histogram) -> str:
    """As the exposition has it; a histogram's without its suffix."""
    return f"{metric._name}_total" if isinstance(metric, Counter) else metric._name


def selector(metric: Counter | Gauge | Histogram, only: dict[str, str], suffix: str = "") -> str:
    """
    The series of *metric* whose labels match the regular expressions *only*, and the dashboard's variables.

    Raises:
        ValueError: the metric has no such label.
    """
    _check(metric, only)
    narrowed = {label: f"${label}" for label in NARROWING if label in metric._labelnames}
    matchers = ",".join(f'{label}=~"{value}"' for label, value in (narrowed | only).items())
    return f"{name(metric)}{suffix}{{{matchers}}}" if matchers else f"{name(metric)}{suffix}"


def rate(metric: Counter, *by: str, **only: str) -> str:
    """Per second, summed but for *by*."""
    return _summed(metric, by, f"rate({selector(metric, only)}[{WINDOW}])")


def observations(metric: Histogram, *by: str, **only: str) -> str:
    """How many values per second a histogram got."""
    return _summed(metric, by, f"rate({selector(metric, only, '_count')}[{WINDOW}])")


def gauge(metric: Gauge, how: str, *by: str, **only: str) -> str:
    """The values now; *how* those of several routers become one: sum, min or max."""
    _check(metric, by)
    return f"{how}{_by(by)} ({selector(metric, only)})"


def coded(metric: Gauge, label: str, values: Sequence[str], *by: str) -> str:
    """
    Of series that are 1 for the value that *label* has and 0 for the others: 1 for the first of *values*, 2 for the
    second and so on. Where routers do not agree, the last.
    """
    _check(metric, by)
    numbered = (f"{place} * {selector(metric, {label: value})}" for place, value in enumerate(values, 1))
    return f"max{_by(by)} ({' or '.join(numbered)})"


def quantile(q: float, metric: Histogram, *by: str, **only: str) -> str:
    return f"histogram_quantile({q:g}, {_buckets(metric, by, only)})"


def quantiles(metric: Histogram, *by: str, at: tuple[float, ...] = (0.5, 0.95, 0.99), **only: str) -> list[Query]:
    """One line per quantile, and per value of *by*."""
    named = "".join(f" {{{{{label}}}}}" for label in by)
    return [Query(quantile(q, metric, *by, **only), f"p{q * 100:g}{named}") for q in at]


def heat(metric: Histogram, **only: str) -> Query:
    """How often values fell into each bucket, for a heatmap."""
    return Query(_summed(metric, (), f"increase({selector(metric, only, '_bucket')}[{WINDOW}])", "le"), "{{le}}", True)


def share(part: str, whole: str) -> str:
    """Nothing, rather than a share of nothing, while there is no traffic."""
    return f"{part} / ({whole} > 0)"


def or_zero(expr: str, *by: str) -> str:
    """*expr*, or one zero while it has nothing (or no number) to show. *by*: the labels that its legend names."""
    zero = "vector(0)"
    for label in by:
        zero = f'label_replace({zero}, "{label}", "{NOTHING}", "", "")'
    return f"(({expr}) >= 0) or on() {zero}"


def vllm(metric: str) -> str:
    """A vLLM server's own series. The variable holds names as the servers know them, which the registry may change."""
    return f'vllm:{metric}{{model_name=~"$served_as"}}'


def _summed(metric: Counter | Histogram, by: tuple[str, ...], rates: str, *more: str) -> str:
    _check(metric, by)
    return f"sum{_by((*more, *by))} ({rates})"


def _buckets(metric: Histogram, by: tuple[str, ...], only: dict[str, str]) -> str:
    return _summed(metric, by, f"rate({selector(metric, only, '_bucket')}[{WINDOW}])", "le")


def _by(labels: tuple[str, ...]) -> str:
    return f" by ({', '.join(labels)})" if labels else ""


def _check(metric: Counter | Gauge | Histogram, labels: dict[str, str] | tuple[str, ...]) -> None:
    for label in labels:
        if label not in metric._labelnames:
            raise ValueError(f"{name(metric)} has no label {label}; it has {', '.join(metric._labelnames) or 'none'}")
