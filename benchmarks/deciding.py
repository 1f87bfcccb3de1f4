"""
What deciding a later turn costs: the guard, and the whole decision where it bypasses and where the encoder reads; in
turn with the same kind of n-grams by what one would take from the shelf, scikit-learn's hashing vectoriser.

    python -m benchmarks.deciding [--rounds 5]
"""

import argparse
import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

from smart_router.chooser import Chooser
from smart_router.classify import lexical
from smart_router.classify.artifact import find_artifact
from smart_router.classify.base import Query
from smart_router.classify.head import Linear, load_head
from smart_router.classify.open import open_classifier
from smart_router.classify.scorer import Scorer
from smart_router.decide.switch import Standing
from smart_router.evaluate.sessions import load_sessions
from smart_router.registry import default_registry_path, load_registry
from smart_router.settings import Settings, load_settings
from smart_router.types import Ask

SESSIONS = Path(__file__).parents[1] / "quality" / "sessions.jsonl"
LONG = Query("word " * 20_000, (), "agent")  # 100,000 characters
SURE = 0.9  # confidence of the sessions' first decision
PEER = "the same kind of n-grams by scikit-learn"
GUARD, UNMET = "guard, words met before", "guard, all words new"
BYPASS, AMONG = "decision, bypass", "decision, bypass, between runs of the encoder"
ENCODED, LONGEST = "decision, encoder ran", "decision, 100,000 characters"


class Bench:
    """Microseconds by what was done."""

    def __init__(self, chooser: Chooser, guard: Linear, use_cases: tuple[str, ...]) -> None:
        self._chooser = chooser
        self._linear, self._use_cases = guard, use_cases
        self._guard = Scorer(guard, use_cases)
        self._peer = peer_of(guard)
        self.taken: dict[str, list[float]] = {}

    async def round(self, queries: Sequence[Query]) -> None:
        """One way after the other, each on all of *queries*: what one leaves in the caches is not another's burden."""
        for query in queries:
            self._time(GUARD, lambda query=query: self._guard(query))  # type: ignore[misc]
        bypassed = [query for query in queries if await self._decide(query, AMONG)]
        for query in bypassed:
            await self._decide(query, BYPASS)
        for query in queries:
            self._time(PEER, lambda query=query: self._peer(query.text))  # type: ignore[misc]
        for query in queries:
            unmet = Scorer(self._linear, self._use_cases)
            self._time(UNMET, lambda query=query, unmet=unmet: unmet(query))  # type: ignore[misc]
        await self._decide(LONG, LONGEST)

    async def _decide(self, query: Query, bypass: str) -> bool:
        """Whether it was one."""
        ask = Ask("bench", "bench", query.text, "bench")
        standing = None if query.standing is None else Standing(query.standing, SURE)
        started = perf_counter()
        decision = await self._chooser.choose(ask, standing, query.previous)
        self._add(bypass if decision.bypass else ENCODED, perf_counter() - started)
        return decision.bypass

    def _time(self, what: str, work: Callable[[], object]) -> None:
        started = perf_counter()
        work()
        self._add(what, perf_counter() - started)

    def _add(self, what: str, seconds: float) -> None:
        self.taken.setdefault(what, []).append(seconds * 1e6)


def peer_of(linear: Linear) -> Callable[[str], object]:
    """As many columns and weights; n-grams of characters within words, of the same sizes."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectoriser = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 5), n_features=lexical.DIMENSIONS, binary=True)
    return lambda text: vectoriser.transform([text]) @ linear.sparse


def turns() -> list[Query]:
    """Later turns without an attachment, in sessions that stand where they belong."""
    return [
        Query(turn.text, (), before.label, before.text)
        for conversation in load_sessions(SESSIONS)
        for before, turn in zip(conversation.turns, conversation.turns[1:], strict=False)
        if turn.modality is None
    ]


async def run(rounds: int, settings: Settings) -> dict[str, list[float]]:
    """*rounds* after one to warm up."""
    registry = load_registry(default_registry_path(), {})
    head = load_head(find_artifact(settings.encoder_model, settings.classifier_dir).folder / "head.npz")
    classifier = open_classifier(registry, settings)
    classifier.start()
    try:
        bench = Bench(Chooser(registry, classifier, settings), head.later.lexical, head.use_cases)
        await bench.round(turns())
        bench.taken.clear()
        for _ in range(rounds):
            await bench.round(turns())
        return bench.taken
    finally:
        classifier.close()


def table(taken: dict[str, list[float]]) -> str:
    """A row for each thing that was done more than once."""
    lines = ["| | times | p50, µs | p95, µs | p50, guard = 1 |", "|---|---|---|---|---|"]
    for what in (GUARD, UNMET, PEER, BYPASS, AMONG, ENCODED, LONGEST):
        times = taken.get(what, [])
        if len(times) > 1:
            p50, p95 = median(times), quantiles(times, n=20)[-1]
            lines.append(f"| {what} | {len(times)} | {p50:,.0f} | {p95:,.0f} | {p50 / median(taken[GUARD]):.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    sys.stdout.write(table(asyncio.run(run(parser.parse_args().rounds, load_settings()))))


if __name__ == "__main__":
    main()
