"""What a vLLM server's own metrics say of its load."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smart_router.decide.load import Load, elsewhere, read_load

PAGE = b"""\
# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 2.0
vllm:num_requests_waiting_by_reason{engine="0",model_name="m",reason="capacity"} 9.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.25
"""


def test_it_reads_running_waiting_and_the_cache() -> None:
    assert read_load(PAGE) == Load(running=3, waiting=2, kv_usage=0.25)


def test_engines_and_models_are_summed_and_the_fullest_cache_counts() -> None:
    more = b"".join(
        b'vllm:%s{engine="1",model_name="m"} %s\n' % pair
        for pair in [
            (b"num_requests_running", b"4"),
            (b"num_requests_waiting", b"1e0"),
            (b"kv_cache_usage_perc", b"0.75"),
        ]
    )
    assert read_load(PAGE + more) == Load(running=7, waiting=3, kv_usage=0.75)


def test_the_old_name_of_the_cache_is_known() -> None:
    assert read_load(b"vllm:gpu_cache_usage_perc 0.5\n").kv_usage == 0.5


def test_a_cache_is_never_more_than_full() -> None:
    assert read_load(b"vllm:kv_cache_usage_perc 1.2\n").kv_usage == 1.0


def test_labels_may_hold_anything() -> None:
    assert read_load(b'vllm:num_requests_running{model_name="a } 7 \\" {b"} 5 1700000000\n').running == 5


def test_lines_may_end_as_windows_ends_them_and_the_last_one_not_at_all() -> None:
    assert read_load(b"vllm:num_requests_running 5\r\nvllm:num_requests_waiting 2") == Load(5, 2)


@pytest.mark.parametrize("page", [b"", b"<html>404</html>", b"up 1\n", b"vllm:num_requests_running", b"\xff\x00\n\n"])
def test_a_page_without_them_says_nothing(page: bytes) -> None:
    assert read_load(page) == Load(0, 0, None)


@pytest.mark.parametrize("value", [b"NaN", b"+Inf", b"-1", b"1e300", b"many", b"", b"{", b'{a="b" 3'])
def test_garbage_counts_for_nothing(value: bytes) -> None:
    lines = [b"vllm:num_requests_running", b"vllm:num_requests_waiting", b"vllm:kv_cache_usage_perc"]
    assert read_load(b"".join(line + b" " + value + b"\n" for line in lines)) in (Load(), Load(0, 0, 1.0))
    assert read_load(b"vllm:num_requests_running{} " + value + b"\nvllm:num_requests_running{} 2\n").running == 2


@given(st.binary(max_size=200) | st.text('vllm:num_requests_running{}" 0.5\n\\e', max_size=200).map(str.encode))
def test_no_page_breaks_it(page: bytes) -> None:
    found = read_load(b"vllm:num_requests_waiting " + page)
    assert found.running >= 0
    assert found.waiting >= 0
    assert found.kv_usage is None or 0 <= found.kv_usage <= 1


def test_a_long_page_is_read_quickly() -> None:
    noise = b"".join(b'vllm:request_queue_time_seconds_bucket{engine="0",le="%d"} 1.0\n' % i for i in range(1700))
    assert len(noise) > 100_000
    begun = time.process_time()
    assert read_load(noise + PAGE + noise) == read_load(PAGE)
    assert time.process_time() - begun < 1, "it takes a millisecond"


# of others


def test_what_is_not_ours_is_elsewheres() -> None:
    assert elsewhere(Load(running=10), ours=4) == 6


def test_our_own_requests_are_not_counted_twice_nor_below_nothing() -> None:
    assert elsewhere(Load(running=3), ours=5) == 0


def test_one_that_waits_weighs_as_much_as_four_that_run() -> None:
    assert elsewhere(Load(running=0, waiting=1), ours=0) == elsewhere(Load(running=4), ours=0)
    assert elsewhere(Load(running=3, waiting=1), ours=4) == 3
