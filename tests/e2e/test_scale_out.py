"""Several routers behind a balancer on a Redis Cluster, of which one router and one node are killed under load."""

import sys

import pytest
from benchmarks.scaling.conversations import Plan
from benchmarks.scaling.scale_out import run

from tests.needs import program

PLAN = Plan(sessions=8, turns=14, think_s=(0.2, 0.6))


@pytest.mark.timeout(240)
def test_no_conversation_ends_on_another_model() -> None:
    program("haproxy")
    one, several, killed = run(PLAN, sys.stderr.write).values()
    for outcome in (one, several, killed):
        assert outcome.turns == PLAN.sessions * PLAN.turns
        assert outcome.lost_for_good == 0
    for outcome in (one, several):
        assert (outcome.failed, outcome.model_changes, outcome.forgotten) == (0, 0, 0), outcome
        assert outcome.bypassed == outcome.later_turns
    assert killed.failed == 0, killed
