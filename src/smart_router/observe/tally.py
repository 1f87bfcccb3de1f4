"""
Counters, gauges and histograms that cost well under a microsecond per event.

They print what prometheus_client's objects of the same names would, and are collected by its registry, but have no
locks and one dict instead of an object per series: **only the event loop's thread may touch them**.

    failures = Counter(registry, "smart_router_upstream_failures", "Failed attempts.", ("model", "kind"))
    failures.labels("qwen", "upstream_busy").inc()    # as with prometheus_client
    failures.add(("qwen", "upstream_busy"))           # the same, for what every request does
"""

import os
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from time import time

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Exemplar
from prometheus_client.utils import floatToGoString

Labels = tuple[str, ...]
UNLABELLED: Labels = ()
_Bucket = tuple[str, float] | tuple[str, float, Exemplar]  # its bound, and how many values it and those below got
# prometheus_client's own switch, read as it reads it.
WITH_CREATED = os.environ.get("PROMETHEUS_DISABLE_CREATED_SERIES", "false").lower() not in ("true", "1", "t")


class Counter:
    """Sums that only grow. The exposition adds `_total` to *name*."""

    _type = "counter"

    def __init__(self, registry: CollectorRegistry, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self._name, self._text, self._labelnames = name, text, tuple(labels)
        self._sums: dict[Labels, float] = {}
        self._created: dict[Labels, float] = {}
        if not labels:
            self._begin(UNLABELLED)
        registry.register(self)

    def add(self, labels: Labels, amount: float = 1) -> None:
        """*labels*: the values, in the order in which the names were declared."""
        if amount < 0:
            raise ValueError(f"{self._name} only grows; not by {amount}")
        try:
            self._sums[labels] += amount
        except KeyError:
            self._begin(labels)
            self._sums[labels] += amount

    def inc(self, amount: float = 1) -> None:
        self.add(_none_of(self._labelnames), amount)

    def labels(self, *values: object) -> "OneCounter":
        """The series of these *values*; it is shown from now on."""
        labels = _checked(self._labelnames, values)
        self._begin(labels)
        return OneCounter(self, labels)

    def describe(self) -> Iterable[Metric]:
        return [CounterMetricFamily(self._name, self._text, labels=self._labelnames)]

    def collect(self) -> Iterable[Metric]:
        family = CounterMetricFamily(self._name, self._text, labels=self._labelnames)
        for labels, value in self._sums.items():
            family.add_metric(labels, value, created=self._created[labels] if WITH_CREATED else None)
        return [family]

    def _begin(self, labels: Labels) -> None:
        if labels not in self._sums:
            self._sums[labels], self._created[labels] = 0.0, time()


class OneCounter:
    """One series of a counter."""

    def __init__(self, counter: Counter, labels: Labels) -> None:
        self._counter, self._labels = counter, labels

    def inc(self, amount: float = 1) -> None:
        self._counter.add(self._labels, amount)


class Gauge:
    """Values as they are now."""

    _type = "gauge"

    def __init__(self, registry: CollectorRegistry, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self._name, self._text, self._labelnames = name, text, tuple(labels)
        self._values: dict[Labels, float] = {} if labels else {UNLABELLED: 0.0}
        registry.register(self)

    def put(self, labels: Labels, value: float) -> None:
        """*labels*: the values, in the order in which the names were declared."""
        self._values[labels] = value

    def set(self, value: float) -> None:
        self.put(_none_of(self._labelnames), value)

    def labels(self, *values: object) -> "OneGauge":
        """The series of these *values*; it is shown from now on."""
        labels = _checked(self._labelnames, values)
        self._values.setdefault(labels, 0.0)
        return OneGauge(self, labels)

    def clear(self) -> None:
        """Forget every series, for those whose subject is gone; a gauge without labels stays as it is."""
        if self._labelnames:
            self._values.clear()

    def remove(self, *values: object) -> None:
        """Forget one series, if it is there."""
        self._values.pop(_checked(self._labelnames, values), None)

    def describe(self) -> Iterable[Metric]:
        return [GaugeMetricFamily(self._name, self._text, labels=self._labelnames)]

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=self._labelnames)
        for labels, value in self._values.items():
            family.add_metric(labels, value)
        return [family]


class OneGauge:
    """One series of a gauge."""

    def __init__(self, gauge: Gauge, labels: Labels) -> None:
        self._gauge, self._labels = gauge, labels

    def set(self, value: float) -> None:
        self._gauge.put(self._labels, value)


class Histogram:
    """How often values fell at or below each of *bounds*, which rise from zero or above."""

    _type = "histogram"

    def __init__(
        self, registry: CollectorRegistry, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        if list(bounds) != sorted(bounds) or bounds[0] < 0:
            raise ValueError(f"{name}: the bounds must rise from zero or above")
        self._name, self._text, self._labelnames = name, text, tuple(labels)
        self._bounds = tuple(map(float, bounds))
        self._shown = [*map(floatToGoString, self._bounds), "+Inf"]
        # How many values each bucket alone got, the last one being those above every bound; then the values' sum.
        self._series: dict[Labels, list[float]] = {}
        self._created: dict[Labels, float] = {}
        self._exemplars: dict[tuple[Labels, int], Exemplar] = {}  # the latest of each bucket
        if not labels:
            self._begin(UNLABELLED)
        registry.register(self)

    def add(self, labels: Labels, value: float, trace_id: str | None = None) -> None:
        """*labels*: the values, in the order in which the names were declared."""
        try:
            series = self._series[labels]
        except KeyError:
            series = self._begin(labels)
        bucket = bisect_left(self._bounds, value)
        series[bucket] += 1
        series[-1] += value
        if trace_id is not None:
            self._exemplars[labels, bucket] = Exemplar({"trace_id": trace_id}, value, time())

    def observe(self, value: float) -> None:
        self.add(_none_of(self._labelnames), value)

    def labels(self, *values: object) -> "OneHistogram":
        """The series of these *values*; it is shown from now on."""
        labels = _checked(self._labelnames, values)
        self._begin(labels)
        return OneHistogram(self, labels)

    def describe(self) -> Iterable[Metric]:
        return [HistogramMetricFamily(self._name, self._text, labels=self._labelnames)]

    def collect(self) -> Iterable[Metric]:
        family = HistogramMetricFamily(self._name, self._text, labels=self._labelnames)
        for labels, series in self._series.items():
            family.add_metric(labels, self._cumulative(labels, series), series[-1])
            if WITH_CREATED:  # the family's own method knows no such series
                named = dict(zip(self._labelnames, labels, strict=True))
                family.add_sample(f"{self._name}_created", named, self._created[labels])
        return [family]

    def _cumulative(self, labels: Labels, series: list[float]) -> list[_Bucket]:
        so_far = 0.0
        buckets: list[_Bucket] = []
        for i, (bound, count) in enumerate(zip(self._shown, series, strict=False)):  # the sum is not a bucket
            so_far += count
            exemplar = self._exemplars.get((labels, i))
            buckets.append((bound, so_far, exemplar) if exemplar else (bound, so_far))
        return buckets

    def _begin(self, labels: Labels) -> list[float]:
        if labels not in self._series:
            self._series[labels], self._created[labels] = [0] * len(self._shown) + [0.0], time()
        return self._series[labels]


class OneHistogram:
    """One series of a histogram."""

    def __init__(self, histogram: Histogram, labels: Labels) -> None:
        self._histogram, self._labels = histogram, labels

    def observe(self, value: float) -> None:
        self._histogram.add(self._labels, value)


def _checked(names: Labels, values: tuple[object, ...]) -> Labels:
    if len(values) != len(names) or not names:
        raise ValueError(f"{len(values)} values for the labels {names}")
    return tuple(map(str, values))


def _none_of(names: Labels) -> Labels:
    if names:
        raise ValueError(f"say which: the labels {names} have no values")
    return UNLABELLED
