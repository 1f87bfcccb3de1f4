"""What a run adds up to, and which runs pass."""

import argparse
import random
from collections.abc import Iterable

import pytest
from loadtests.asking import Decided
from loadtests.gates import Limits, Verdict, all_passed, limits_from, verdicts
from loadtests.histogram import Histogram
from loadtests.options import add_run_options
from loadtests.tally import Sample, Tally

BYPASSED, CLASSIFIED = Decided("agent", True, 1.0), Decided("agent", False, 20.0)
WRONG = Decided("tts", True, 1.0)
SECONDS = 100.0


def a_tally(samples: Iterable[Sample]) -> Tally:
    """One sample a second."""
    tally = Tally(slice_s=1)
    for second, sample in enumerate(samples):
        tally.add(sample, second, users=1)
    return tally


def a_turn(decided: Decided = BYPASSED, latency_ms: float = 100, *, follow_up: bool = True) -> Sample:
    return Sample("realtime", latency_ms, about="agent", follow_up=follow_up, decided=decided)


def verdict(gate: str, samples: Iterable[Sample], **limits: float) -> Verdict:
    found = verdicts(a_tally(samples), Limits(**limits), SECONDS)
    return next(each for each in found if each.gate == gate)


def test_a_run_without_a_flaw_passes() -> None:
    assert all_passed(verdicts(a_tally([a_turn()] * 10), Limits(), SECONDS))


def test_a_run_that_measured_nothing_fails() -> None:
    assert not all_passed(verdicts(a_tally([]), Limits(), SECONDS))


def test_a_mistake_of_the_load_test_fails_the_run() -> None:
    assert not all_passed(verdicts(a_tally([a_turn()] * 10), Limits(), SECONDS, broken=1))


@pytest.mark.parametrize(("classified", "passes"), [(2, True), (3, False)])
def test_too_few_bypassed_follow_ups_fail(classified: int, passes: bool) -> None:
    turns = [a_turn(CLASSIFIED)] * classified + [a_turn()] * (10 - classified)
    assert verdict("follow-ups bypassed", turns, min_bypass=80).passed is passes


def test_first_turns_need_no_bypass() -> None:
    first = a_turn(CLASSIFIED, follow_up=False)
    assert verdict("follow-ups bypassed", [first, a_turn()], min_bypass=100).value == "100 %"


def test_a_gate_without_a_figure_says_so_and_passes() -> None:
    assert verdict("follow-ups bypassed", [Sample("batch", 100)]) == Verdict("follow-ups bypassed", "≥ 85 %", "-", True)


@pytest.mark.parametrize(
    ("gate", "limit"),
    [("latency p95", "max_p95_ms"), ("latency p99", "max_p99_ms")],
)
def test_slow_answers_fail(gate: str, limit: str) -> None:
    turns = [a_turn(latency_ms=100)] * 80 + [a_turn(latency_ms=900)] * 20
    assert verdict(gate, turns, **{limit: 900}).passed
    assert not verdict(gate, turns, **{limit: 899}).passed


def test_slow_decisions_fail() -> None:
    assert verdict("routing p95", [a_turn(CLASSIFIED)] * 10, max_routing_p95_ms=20).passed
    assert not verdict("routing p95", [a_turn(CLASSIFIED)] * 10, max_routing_p95_ms=19).passed


def test_refusals_slow_readers_and_failures_are_no_latencies() -> None:
    others = [
        Sample("hostile", 9000, meant_to_fail=True),
        Sample("idle", 9000, decided=BYPASSED, paced=True),
        Sample("realtime", 9000, error="status 503"),
    ]
    assert verdict("latency p99", [a_turn(latency_ms=100), *others]).value == "100 ms"


def test_errors_fail_and_are_told_by_kind() -> None:
    tally = a_tally([a_turn()] * 98 + [Sample("batch", error="status 503")] * 2)
    found = {each.gate: each for each in verdicts(tally, Limits(max_errors=1), SECONDS)}
    assert (found["errors"].value, found["errors"].passed) == ("2 %", False)
    assert tally.errors == {"batch: status 503": 2}


def test_errors_of_endless_variety_are_not_all_kept() -> None:
    tally = a_tally(Sample("batch", error=f"request {number}") for number in range(1000))
    assert len(tally.errors) < 50
    assert sum(tally.errors.values()) == 1000


def test_a_wrong_use_case_is_gated_only_where_asked() -> None:
    turns = [a_turn(WRONG), a_turn()]
    assert all_passed(verdicts(a_tally(turns), Limits(), SECONDS))
    assert verdict("wrong use case", turns, max_wrong=10) == Verdict("wrong use case", "≤ 10 %", "50 %", False)


@pytest.mark.parametrize(("late_ms", "passes"), [(150, True), (200, False)])
def test_a_soak_fails_when_answers_get_slower(late_ms: float, passes: bool) -> None:
    turns = [a_turn(latency_ms=100)] * 50 + [a_turn(latency_ms=late_ms)] * 50
    assert verdict("latency p95, late to early", turns, max_drift=1.5).passed is passes


@pytest.mark.parametrize(("shape", "drift"), [("soak", 1.5), ("steady", None)])
def test_only_a_soak_looks_for_drift_unasked(shape: str, drift: float | None) -> None:
    parser = argparse.ArgumentParser()
    add_run_options(parser)
    assert limits_from(parser.parse_args(["--shape", shape])) == Limits(max_drift=drift)


def test_a_percentile_is_right_within_five_percent() -> None:
    values = sorted(random.Random(7).lognormvariate(5, 1) for _ in range(5000))
    histogram = Histogram(values)
    for percent in (1, 50, 95, 99):
        exact = values[int(len(values) * percent / 100) - 1]
        assert histogram.percentile(percent) == pytest.approx(exact, rel=0.051)


def test_nothing_has_no_percentile() -> None:
    assert Histogram().percentile(95) is None
    assert Histogram([0.0]).percentile(95) == 0.0
