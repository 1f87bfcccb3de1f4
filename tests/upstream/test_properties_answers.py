"""Headers and numbers of a model server that no server should send: they are bounded, and never an error of ours."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from smart_router.errors import BackendBusy
from smart_router.types import Usage
from smart_router.upstream.openai_style import LONGEST_RETRY_AFTER_S
from smart_router.upstream.passing import MOST_TOKENS
from tests.fuzz.upstream_response import _passed, _whole
from tests.fuzz.wire import Server, run

from .scripted import answer, completion

DAYS = st.sampled_from(["Mon, ", "", "Fri,"])
NUMBERS = st.integers(-(10**25), 10**25) | st.integers(0, 99)
DATES = st.tuples(
    DAYS, NUMBERS, st.sampled_from(["Jan", "Dec"]), NUMBERS, NUMBERS, st.sampled_from(["GMT", "+9999", "-1"])
)
WORDS = DATES.map(lambda d: f"{d[0]}{d[1]} {d[2]} {d[3]} {d[4]}:00:00 {d[5]}")
LINES = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)


@pytest.mark.parametrize("way", [_passed, _whole])
@given(wait=WORDS | LINES | st.floats().map(str))
@example(wait="Mon, 01 Jan 99999999999999999999 00:00:00 GMT")
@example(wait="Mon, 01 Jan 2024 00:00:00 +99999999999999999999")
@example(wait="nan")
@example(wait="-inf")
def test_whenever_a_busy_server_wants_to_be_asked_again_it_is_busy_for_a_minute_at_most(way: object, wait: str) -> None:
    server = Server([answer(503, Retry_After=wait)])
    with pytest.raises(BackendBusy) as caught:
        run(way(server), server)  # type: ignore[operator]
    assert caught.value.retry_after_s is not None
    assert 0 <= caught.value.retry_after_s <= LONGEST_RETRY_AFTER_S


@given(st.integers(-(10**30), 10**400), st.integers(-5, 10**19))
def test_token_counts_are_never_below_nothing_nor_beyond_belief(sent: int, said: int) -> None:
    whole = answer(200, completion(usage={"prompt_tokens": sent, "completion_tokens": said}))
    expected = Usage(min(MOST_TOKENS, max(0, sent)), min(MOST_TOKENS, max(0, said)))
    server = Server([whole])
    (piece,) = run(_whole(server), server).said
    assert getattr(piece, "usage", None) == expected
    server = Server([whole])
    assert expected in run(_passed(server), server).said
