"""What a server says of its load, however its page is made."""

from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.load import WAITING_WEIGHT, Load, elsewhere, read_load

NAMES = ("vllm:num_requests_running", "vllm:num_requests_waiting")
LABELS = st.sampled_from(
    ["", '{engine="0"}', '{engine="1",model_name="a b } c"}', '{le="vllm:num_requests_running 9"}']
)
SERIES = st.lists(st.tuples(st.sampled_from(NAMES), LABELS, st.integers(0, 5000)), max_size=8)
OTHER = st.sampled_from(
    [
        "# HELP vllm:num_requests_running 7",
        "vllm:num_requests_running_total 7",
        "vllm:num_requests_running7",
        "xvllm:num_requests_waiting 7",
        "",
        "}",
    ]
)


@given(SERIES, st.lists(OTHER, max_size=5), st.randoms(use_true_random=False), st.sampled_from(["\n", "\r\n"]))
def test_every_series_is_counted_once_among_whatever_else_stands_there(
    series: list[tuple[str, str, int]], others: list[str], chance: object, end: str
) -> None:
    lines = [f"{name}{labels} {value}.0" for name, labels, value in series] + others
    chance.shuffle(lines)  # type: ignore[attr-defined]
    found = read_load(end.join(lines).encode())
    running, waiting = (sum(value for name, _, value in series if name == wanted) for wanted in NAMES)
    assert (found.running, found.waiting) == (running, waiting)


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_is_elsewhere_grows_with_what_runs_and_waits_and_is_never_below_nothing(
    running: int, waiting: int, ours: int
) -> None:
    found = elsewhere(Load(running, waiting), ours)
    assert found >= 0
    assert elsewhere(Load(running + 1, waiting), ours) - found in (0, 1)
    assert WAITING_WEIGHT - 1 <= elsewhere(Load(running, waiting + 1), ours) - found <= WAITING_WEIGHT
    assert elsewhere(Load(running, waiting), ours + 1) <= found
