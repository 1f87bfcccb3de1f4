"""Our tallies print what prometheus_client's own objects would print of the same events."""

import os
import re
import subprocess
import sys
from time import time
from typing import Any

import prometheus_client as real
import pytest
from hypothesis import given
from hypothesis import strategies as some
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as openmetrics

from smart_router.observe import tally

BOUNDS = (0.001, 0.5, 1, 60)
BOTH = ("a", "b")  # names of labels

# Few, so that events meet.
pairs = some.sampled_from([("m", "prompt"), ('a "quoted" name', "back\\slash"), ("two\nlines", "मॉडल"), ("", "")])
amounts = some.floats(min_value=0, allow_nan=False) | some.integers(0, 10**20) | some.sampled_from(BOUNDS)
levels = some.floats(allow_nan=False) | some.booleans()
events = some.lists(
    some.tuples(some.just("count"), some.none() | pairs, amounts)
    | some.tuples(some.just("gauge"), some.none() | pairs, levels)
    | some.tuples(some.just("observe"), some.none() | pairs, amounts)
    | some.tuples(some.sampled_from(["see counter", "see gauge", "see histogram", "remove"]), pairs, some.none())
    | some.tuples(some.just("clear"), some.none(), some.none()),
    max_size=40,
)


def theirs(registry: CollectorRegistry) -> dict[str, Any]:
    return {
        "counter": real.Counter("c", "Counted.", registry=registry),
        "counters": real.Counter("cc", "Counted\nby \\label.", BOTH, registry=registry),
        "gauge": real.Gauge("g", "Now.", registry=registry),
        "gauges": real.Gauge("gg", "Now, by label.", BOTH, registry=registry),
        "histogram": real.Histogram("h", "Spread.", buckets=BOUNDS, registry=registry),
        "histograms": real.Histogram("hh", "Spread, by label.", BOTH, buckets=BOUNDS, registry=registry),
    }


def ours(registry: CollectorRegistry) -> dict[str, Any]:
    return {
        "counter": tally.Counter(registry, "c", "Counted."),
        "counters": tally.Counter(registry, "cc", "Counted\nby \\label.", BOTH),
        "gauge": tally.Gauge(registry, "g", "Now."),
        "gauges": tally.Gauge(registry, "gg", "Now, by label.", BOTH),
        "histogram": tally.Histogram(registry, "h", "Spread.", (), BOUNDS),
        "histograms": tally.Histogram(registry, "hh", "Spread, by label.", BOTH, BOUNDS),
    }


def happen(metrics: dict[str, Any], what: str, labels: tuple[str, str] | None, value: Any) -> None:
    match what:
        case "count":
            (metrics["counters"].labels(*labels) if labels else metrics["counter"]).inc(value)
        case "gauge":
            (metrics["gauges"].labels(*labels) if labels else metrics["gauge"]).set(value)
        case "observe":
            (metrics["histograms"].labels(*labels) if labels else metrics["histogram"]).observe(value)
        case "remove":
            metrics["gauges"].remove(*labels or ())
        case "clear":
            metrics["gauges"].clear()
            metrics["gauge"].clear()
        case _:
            metrics[what.removeprefix("see ") + "s"].labels(*labels or ())


def happen_directly(metrics: dict[str, Any], what: str, labels: tuple[str, str] | None, value: Any) -> None:
    match what:
        case "count":
            (metrics["counters"] if labels else metrics["counter"]).add(labels or (), value)
        case "gauge":
            (metrics["gauges"] if labels else metrics["gauge"]).put(labels or (), value)
        case "observe":
            (metrics["histograms"] if labels else metrics["histogram"]).add(labels or (), value)
        case _:
            happen(metrics, what, labels, value)


def printed(registry: CollectorRegistry, form: Any = generate_latest) -> str:
    """The moments of creation differ."""
    return re.sub(r"(?m)^(\w+_created\S* ?.*) \S+$", r"\1 then", form(registry).decode())


@pytest.mark.parametrize("happen_here", [happen, happen_directly])
@given(events=events)
def test_the_exposition_is_that_of_prometheus_client(happen_here: Any, events: list[Any]) -> None:
    expected, actual = CollectorRegistry(), CollectorRegistry()
    real_ones, tallies = theirs(expected), ours(actual)
    for event in events:
        happen(real_ones, *event)
        happen_here(tallies, *event)
    assert printed(actual) == printed(expected)
    assert printed(actual, openmetrics) == printed(expected, openmetrics)


def test_a_series_tells_when_it_began() -> None:
    registry = CollectorRegistry()
    metrics = ours(registry)
    before = time()
    metrics["counters"].add(("x", "y"))
    metrics["histograms"].add(("x", "y"), 1)
    for name in ("cc_created", "hh_created"):
        began = registry.get_sample_value(name, {"a": "x", "b": "y"})
        assert began is not None
        assert before <= began <= time()


def test_the_moments_of_creation_can_be_left_out_as_with_prometheus_client() -> None:
    code = "from smart_router.observe.metrics import Metrics; print(b'bypass_created' in Metrics().exposition()[0])"
    for setting, shown in (("false", "True"), ("true", "False")):
        environment = os.environ | {"PROMETHEUS_DISABLE_CREATED_SERIES": setting}
        done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert done.stdout.strip() == shown


def test_a_gauge_forgets_one_series() -> None:
    registry = CollectorRegistry()
    gauges = ours(registry)["gauges"]
    gauges.put(("x", "gone"), 1)
    gauges.put(("x", "stays"), 2)
    gauges.remove("x", "gone")
    gauges.remove("x", "never there")
    assert registry.get_sample_value("gg", {"a": "x", "b": "gone"}) is None
    assert registry.get_sample_value("gg", {"a": "x", "b": "stays"}) == 2


def test_a_name_is_given_once() -> None:
    registry = CollectorRegistry()
    ours(registry)
    for again in (
        lambda: tally.Counter(registry, "c", "Again."),
        lambda: tally.Gauge(registry, "g", "Again."),
        lambda: tally.Histogram(registry, "h", "Again.", (), BOUNDS),
    ):
        with pytest.raises(ValueError, match="Duplicated"):
            again()


def test_a_counter_does_not_shrink() -> None:
    counter = tally.Counter(CollectorRegistry(), "c", "Counted.")
    with pytest.raises(ValueError, match="only grows"):
        counter.inc(-1)


@pytest.mark.parametrize(
    "misuse",
    [
        lambda m: m["counters"].labels("x"),
        lambda m: m["counters"].inc(),
        lambda m: m["counter"].labels(),
        lambda m: m["gauges"].labels("x", "y", "z"),
        lambda m: m["gauges"].set(1),
        lambda m: m["gauges"].remove("x"),
        lambda m: m["histograms"].labels("x"),
        lambda m: m["histograms"].observe(1),
    ],
)
@pytest.mark.parametrize("metrics_of", [theirs, ours])
def test_labels_that_are_not_the_declared_ones_are_refused(metrics_of: Any, misuse: Any) -> None:
    with pytest.raises(ValueError, match=r"(?i)label"):
        misuse(metrics_of(CollectorRegistry()))


@pytest.mark.parametrize("bounds", [(1, 0.5), (-1, 1)])
def test_bounds_rise_from_zero(bounds: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        tally.Histogram(CollectorRegistry(), "h", "Spread.", (), bounds)


def test_an_exemplar_stands_at_its_bucket_as_theirs_does() -> None:
    ours, others = CollectorRegistry(), CollectorRegistry()
    one = tally.Histogram(ours, "h", "Timed.", ("a",), BOUNDS)
    other = real.Histogram("h", "Timed.", ("a",), registry=others, buckets=BOUNDS)
    for value, trace in ((0.2, "a" * 32), (0.3, "b" * 32), (0.0001, None), (100.0, "c" * 32)):
        one.add(("x",), value, trace)
        other.labels("x").observe(value, {"trace_id": trace} if trace else None)
    told, expected = (openmetrics(registry) for registry in (ours, others))  # type: ignore[no-untyped-call]
    assert without_times(told) == without_times(expected)
    assert told.count(b"trace_id") == 2, "the latest of each bucket"


def without_times(text: bytes) -> bytes:
    text = re.sub(rb"(?m)^h_created.*\n", b"", text)
    return re.sub(rb"(# \{[^}]*\} \S+) \S+", rb"\1", text)
