import pytest

from smart_router.tui.decision_line import decision_parts, duration, lines
from tests.tui.fakes import AGENT, VISION, a_decision


def test_it_says_where_why_and_how_long() -> None:
    assert list(decision_parts(a_decision(), first_token_s=0.09, total_s=1.224)) == [
        "agent",
        AGENT,
        "classified",
        "confidence 0.97",
        "routing 5.60 ms",
        "first token 90 ms",
        "total 1.22 s",
    ]


def test_a_bypass_has_no_confidence_of_its_own() -> None:
    assert list(decision_parts(a_decision(reason="session", bypass_used=True)))[2:4] == ["session", "bypass"]


def test_a_change_and_a_substitute_are_told() -> None:
    parts = list(decision_parts(a_decision(context_changed=True, fallback_from=VISION)))
    assert parts[4:6] == ["context changed", f"in place of {VISION}"]


def test_what_the_router_says_steers_no_terminal() -> None:
    assert next(decision_parts(a_decision(use_case="ag\x1b[2Jent\n"))) == "ag[2Jent"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.00042, "0.42 ms"), (0.0384, "38 ms"), (0.0, "0.00 ms"), (1.2249, "1.22 s"), (74.6, "75 s")],
)
def test_times_have_the_digits_that_matter(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_a_line_breaks_between_parts() -> None:
    parts = ["agent", "a model", "bypass"]
    assert lines(parts, 80) == ["agent · a model · bypass"]
    assert lines(parts, 16) == ["agent · a model", "bypass"]
    assert lines(parts, 3) == parts
    assert lines([], 80) == [""]
