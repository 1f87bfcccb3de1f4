"""Runs labelled files through the router as it is configured, and through what it is compared with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import structlog

from smart_router.chooser import Chooser
from smart_router.classify.artifact import find_artifact
from smart_router.classify.examples import load_examples
from smart_router.classify.open import open_classifier
from smart_router.errors import ArtifactUnusable
from smart_router.evaluate import queries, sessions
from smart_router.evaluate.calibration import calibration_error
from smart_router.evaluate.jsonl import has_sessions
from smart_router.evaluate.peers import SemanticRouter
from smart_router.evaluate.policies import Policy, policies
from smart_router.evaluate.queries import Judged, Labelled, Row
from smart_router.evaluate.sessions import Conversation, JudgedTurn, SessionRow
from smart_router.registry import Registry
from smart_router.settings import Settings

log = structlog.get_logger("eval")

Progress = Callable[[int, int], object]
Judge = Callable[[], object]  # hears that one more has been judged


@dataclass
class Evaluation:
    """Of one file: queries or conversations, the rest is empty."""

    path: Path
    judged: list[Judged] = field(default_factory=list)
    peers: list[Row] = field(default_factory=list)  # text only, by other routers
    session_rows: list[SessionRow] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        return queries.report(self.judged) if self.judged else []

    @property
    def text_only(self) -> list[Judged]:
        """Queries that belong somewhere and come with nothing: those that words decide."""
        return [one for one in self.judged if one.query.modality is None and one.query.label]

    @property
    def confusions(self) -> dict[tuple[str, str], int]:
        return queries.confusions(self.judged)

    @property
    def calibration_error(self) -> float:
        return calibration_error(self.text_only)


async def evaluated(
    registry: Registry, settings: Settings, paths: Sequence[Path], *, compare: bool, progress: Progress | None = None
) -> list[Evaluation]:
    """
    *progress* hears how many of how many have been judged.

    Raises:
        ConfigurationError: the examples are wrong, or a file is not of the form that it has to be.
    """
    labelled = {path: sessions.load_sessions(path) if has_sessions(path) else () for path in paths}
    single = {path: () if labelled[path] else queries.load_labelled(path) for path in paths}
    classifier = open_classifier(registry, settings)
    classifier.start()
    try:
        realtime = Chooser(registry, classifier, settings.model_copy(update={"routing_mode": "realtime"}))
        standard = Chooser(registry, classifier, settings.model_copy(update={"routing_mode": "standard"}))
        compared = policies(realtime, standard) if compare else policies(realtime, standard)[:1]
        judged = _counting(progress, sum(map(len, single.values())) + len(compared) * sum(map(len, labelled.values())))
        peer = _peer(registry, settings) if compare and any(single.values()) else None
        return [
            await _sessions(path, labelled[path], compared, judged)
            if labelled[path]
            else await _queries(path, single[path], realtime, peer, judged)
            for path in paths
        ]
    finally:
        classifier.close()


def _counting(progress: Progress | None, of: int) -> Judge:
    """Counts how often it is called."""
    done = count(1)
    return (lambda: None) if progress is None else (lambda: progress(next(done), of))


def _peer(registry: Registry, settings: Settings) -> SemanticRouter | None:
    try:
        encoder = find_artifact(settings.encoder_model, settings.classifier_dir).encoder()
        return SemanticRouter(encoder, load_examples(registry))
    except (ImportError, ArtifactUnusable) as exc:
        log.warning("not compared with semantic-router", why=str(exc))
        return None


async def _queries(
    path: Path, labelled: Sequence[Labelled], chooser: Chooser, peer: SemanticRouter | None, judged: Judge
) -> Evaluation:
    found = Evaluation(path, await queries.judge(labelled, chooser, judged))
    if peer is not None:
        text = [one.query for one in found.text_only]
        right = sum(peer.choose(query.text) == query.label for query in text)
        found.peers = [Row("text only", peer.name, len(text), right)]
    return found


async def _sessions(
    path: Path, labelled: Sequence[Conversation], compared: Sequence[Policy], judged: Judge
) -> Evaluation:
    """The first of *compared* by source, too."""
    ours, *others = compared
    turns = await sessions.judge_sessions(labelled, ours, judged)
    rows = [sessions.row(ours.name, "all", turns), *_by_source(ours, turns)]
    rows += [sessions.row(one.name, "all", await sessions.judge_sessions(labelled, one, judged)) for one in others]
    return Evaluation(path, session_rows=rows)


def _by_source(policy: Policy, judged: Sequence[JudgedTurn]) -> list[SessionRow]:
    names = sorted({one.source for one in judged})
    if len(names) < 2:
        return []
    return [sessions.row(policy.name, name, [one for one in judged if one.source == name]) for name in names]
