"""The worker: batches, a bounded queue, and lexical scores whenever the encoder does not deliver."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from smart_router.classify.base import Query, Said
from smart_router.classify.classifier import BATCH, Classifier
from smart_router.classify.head import Head, Linear, Pair
from smart_router.classify.lexical import DIMENSIONS
from tests.fakes import FakeEncoder

from .worlds import USE_CASES, a_head

QUERY = Query("please transcribe the recording")
LATER = Query("make it shorter", (), "agent", "write a poem")
Open = Callable[..., Classifier]


@pytest.fixture(scope="module")
def head() -> Head:
    return a_head(encoder=FakeEncoder())


@pytest.fixture
def encoder() -> FakeEncoder:
    return FakeEncoder()


@pytest.fixture
def started(head: Head, encoder: FakeEncoder) -> Iterator[Open]:
    """Starts a classifier on the fake encoder; what warmed it up is forgotten."""
    made: list[Classifier] = []

    def start(**options: Any) -> Classifier:
        made.append(Classifier(head, encoder, **{"timeout_s": 10.0} | options))
        made[-1].start()
        encoder.batches.clear()
        return made[-1]

    yield start
    encoder.let_go()
    for classifier in made:
        classifier.close()


def encoder_threads() -> int:
    return sum(thread.name == "encoder" for thread in threading.enumerate())


async def held(classifier: Classifier, encoder: FakeEncoder) -> "asyncio.Task[Any]":
    """A query that the encoder is busy with until `let_go`."""
    encoder.hold()
    task = asyncio.create_task(classifier.scores(Query("first")))
    assert await asyncio.to_thread(encoder.entered.wait, 10)
    return task


def texts_of(encoder: FakeEncoder) -> list[list[str]]:
    return [[one.text for one in batch] for batch in encoder.batches]


@pytest.mark.parametrize("query", [QUERY, LATER])
async def test_scores_are_full_and_sum_to_one(started: Open, query: Query) -> None:
    found = await started().scores(query)
    assert found.full
    assert tuple(found.probabilities) == USE_CASES
    assert sum(found.probabilities.values()) == pytest.approx(1, abs=1e-5)


async def test_the_same_query_gets_the_same_scores(started: Open) -> None:
    classifier = started()
    assert await classifier.scores(QUERY) == await classifier.scores(QUERY)


async def test_it_is_warm_before_the_first_query(head: Head, encoder: FakeEncoder) -> None:
    classifier = Classifier(head, encoder)
    classifier.start()
    assert len(encoder.batches) == 1
    classifier.close()


async def test_what_waits_is_encoded_together_but_never_too_much_at_once(started: Open, encoder: FakeEncoder) -> None:
    classifier = started()
    first = await held(classifier, encoder)
    texts = [f"query {i}" for i in range(BATCH + 3)]
    waiting = [asyncio.create_task(classifier.scores(Query(text))) for text in texts]
    await asyncio.sleep(0)
    encoder.let_go()
    found = await asyncio.gather(first, *waiting)
    assert texts_of(encoder) == [["first"], texts[:BATCH], texts[BATCH:]]
    assert all(scores.full for scores in found)


async def test_everybody_of_a_batch_gets_their_own_scores(started: Open, encoder: FakeEncoder) -> None:
    classifier = started()
    texts = [f"write query {i}" for i in range(5)]
    alone = [await classifier.scores(Query(text)) for text in texts]
    first = await held(classifier, encoder)
    waiting = [asyncio.create_task(classifier.scores(Query(text))) for text in texts]
    await asyncio.sleep(0)
    encoder.let_go()
    assert list(await asyncio.gather(*waiting)) == alone
    await first


async def test_a_full_queue_falls_back_at_once(started: Open, encoder: FakeEncoder) -> None:
    classifier = started(queue_size=2)
    tasks = [await held(classifier, encoder)]
    tasks += [asyncio.create_task(classifier.scores(Query(f"waits {i}"))) for i in range(2)]
    await asyncio.sleep(0)
    found = await asyncio.wait_for(classifier.scores(QUERY), 8)
    assert (found.full, found.probabilities) == (False, classifier.cues(QUERY))
    encoder.let_go()
    assert all(scores.full for scores in await asyncio.gather(*tasks))


async def test_an_encoder_that_raises_falls_back_and_may_recover(started: Open, encoder: FakeEncoder) -> None:
    classifier = started()
    encoder.failure = RuntimeError("onnxruntime is unhappy")
    found = await classifier.scores(QUERY)
    assert (found.full, found.probabilities) == (False, classifier.cues(QUERY))
    encoder.failure = None
    assert (await classifier.scores(QUERY)).full


async def test_an_encoder_that_raises_from_the_start_does_not_stop_the_start(head: Head, encoder: FakeEncoder) -> None:
    encoder.failure = RuntimeError("onnxruntime is unhappy")
    classifier = Classifier(head, encoder)
    classifier.start()
    try:
        assert not (await classifier.scores(QUERY)).full
    finally:
        classifier.close()


async def test_a_slow_encoder_falls_back_after_the_deadline(started: Open, encoder: FakeEncoder) -> None:
    classifier = started(timeout_s=0.5)
    first = await held(classifier, encoder)
    found = await classifier.scores(QUERY)
    assert (found.full, found.probabilities) == (False, classifier.cues(QUERY))
    assert not (await first).full


async def test_whom_nobody_waits_for_is_not_encoded(started: Open, encoder: FakeEncoder) -> None:
    classifier = started(timeout_s=0.5)
    await (await held(classifier, encoder))
    for i in range(5):
        await classifier.scores(Query(f"given up {i}"))
    encoder.let_go()
    classifier.close()
    assert texts_of(encoder) == [["first"]]


async def test_a_caller_who_leaves_does_not_harm_the_others(started: Open, encoder: FakeEncoder) -> None:
    classifier = started()
    first = await held(classifier, encoder)
    leaving, staying = (asyncio.create_task(classifier.scores(Query(name))) for name in ("leaving", "staying"))
    await asyncio.sleep(0)
    leaving.cancel()
    first.cancel()
    await asyncio.wait((leaving, first))  # a cancellation takes effect when the loop runs
    encoder.let_go()
    assert (await staying).full
    assert texts_of(encoder) == [["first"], ["staying"]]


async def test_the_event_loop_goes_on_while_the_encoder_works(started: Open, encoder: FakeEncoder) -> None:
    classifier = started()
    first = await held(classifier, encoder)
    for _ in range(100):
        await asyncio.sleep(0)  # would not return if the loop waited for the encoder
    assert not first.done()
    assert classifier.cues(QUERY)
    encoder.let_go()
    assert (await first).full


async def test_closing_ends_the_thread(head: Head, encoder: FakeEncoder) -> None:
    before = encoder_threads()
    classifier = Classifier(head, encoder)
    classifier.start()
    assert encoder_threads() == before + 1
    classifier.close()
    classifier.close()
    assert encoder_threads() == before


def test_closing_before_the_start_is_fine(head: Head, encoder: FakeEncoder) -> None:
    Classifier(head, encoder).close()


async def test_without_an_encoder_it_is_lexical(head: Head) -> None:
    classifier = Classifier(head, None, trouble="no artifact")
    classifier.start()
    found = await classifier.scores(QUERY)
    assert (classifier.kind, classifier.trouble) == ("lexical", "no artifact")
    assert (found.full, found.probabilities) == (False, classifier.cues(QUERY))
    classifier.close()


def test_a_head_without_an_encoders_part_is_lexical(encoder: FakeEncoder) -> None:
    assert Classifier(a_head(), encoder).kind == "lexical"


async def test_a_head_with_an_encoders_part_for_some_turns_only_is_lexical(encoder: FakeEncoder) -> None:
    some = Head(("a", "b", "c", "d"), "hash", Pair(always(0), always(1)), Pair(always(0), None), NONE_KNOWN, {})
    classifier = Classifier(some, encoder)
    assert classifier.kind == "lexical"
    assert [(await classifier.scores(query)).full for query in (QUERY, LATER)] == [False, False]


def test_cues_need_no_encoder_and_no_start(head: Head, encoder: FakeEncoder) -> None:
    cues = Classifier(head, encoder).cues(QUERY)
    assert max(cues, key=lambda name: cues[name]) == "stt"
    assert encoder.batches == []


# first and later turns


NONE_KNOWN = np.array([], np.uint32)


def always(place: int) -> Linear:
    """Sure of the use case at *place*."""
    bias = np.zeros(4, np.float32)
    bias[place] = 50
    nothing = np.zeros((DIMENSIONS, 4), np.float32)
    return Linear(sparse=nothing, attached=np.zeros((3, 4), np.float32), bias=bias, temperature=1.0)


@pytest.fixture
def of_four(encoder: FakeEncoder) -> Iterator[Classifier]:
    """Each of its heads is sure of a use case that is named after the head."""
    names = ("first lexical", "first hybrid", "later lexical", "later hybrid")
    one, two, three, four = map(always, range(4))
    classifier = Classifier(Head(names, "hash", Pair(one, two), Pair(three, four), NONE_KNOWN, {}), encoder)
    classifier.start()
    yield classifier
    classifier.close()


def chosen(scores: dict[str, float]) -> str:
    return max(scores, key=lambda name: scores[name])


@pytest.mark.parametrize(("query", "turn"), [(QUERY, "first"), (LATER, "later")])
async def test_each_turn_is_scored_by_its_own_heads(of_four: Classifier, query: Query, turn: str) -> None:
    assert chosen(of_four.cues(query)) == f"{turn} lexical"
    assert chosen((await of_four.scores(query)).probabilities) == f"{turn} hybrid"


@pytest.mark.parametrize(("query", "turn"), [(QUERY, "first"), (LATER, "later")])
async def test_each_turn_falls_back_to_its_own_head(
    of_four: Classifier, encoder: FakeEncoder, query: Query, turn: str
) -> None:
    encoder.failure = RuntimeError("onnxruntime is unhappy")
    assert chosen((await of_four.scores(query)).probabilities) == f"{turn} lexical"


async def test_a_turn_after_an_unknown_one_is_a_later_turn_too(of_four: Classifier) -> None:
    found = await of_four.scores(Query("make it shorter", (), "agent"))
    assert chosen(found.probabilities) == "later hybrid"


async def test_the_encoder_reads_a_later_turn_behind_what_it_comes_after(started: Open, encoder: FakeEncoder) -> None:
    classifier = started()
    for query in (QUERY, LATER, Query("and now", (), "stt")):
        await classifier.scores(query)
    assert encoder.batches == [
        [Said(QUERY.text)],
        [Said(LATER.text, "agent: write a poem")],
        [Said("and now", "stt: ")],
    ]


async def test_first_and_later_turns_share_a_batch(started: Open, encoder: FakeEncoder) -> None:
    classifier = started()
    alone = [await classifier.scores(query) for query in (QUERY, LATER)]
    first = await held(classifier, encoder)
    waiting = [asyncio.create_task(classifier.scores(query)) for query in (QUERY, LATER)]
    await asyncio.sleep(0)
    encoder.let_go()
    assert await asyncio.gather(*waiting) == alone
    assert encoder.batches[-1] == [QUERY.said, LATER.said]
    await first


async def test_once_closed_it_decides_without_the_encoder_at_once(started: Open) -> None:
    classifier = started(timeout_s=60.0)
    classifier.close()
    assert not (await asyncio.wait_for(classifier.scores(QUERY), 20)).full
