"""
Build time only (the `build` extra): teaches an encoder and the heads that serve with it, together, from lessons.

Together, because embeddings of texts that the encoder has learnt by heart teach a head nothing about texts that it has
not: a regression on them afterwards decided 86 % of queries by strangers rightly where the heads that had learnt with
the encoder decided 92 %.

Cross-entropy through two linear heads, for first and for later turns. AdamW with warm-up and linear decay for the
encoder, at a rate and for a number of epochs that Devlin et al. 2019 ("BERT", appendix A.3) recommend.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from smart_router.classify import lexical
from smart_router.classify.base import Example, Said
from smart_router.classify.encoder_st import TorchEncoder
from smart_router.classify.examples import NOWHERE
from smart_router.classify.head import Linear
from smart_router.classify.lessons import Lessons
from smart_router.types import MEDIA_KINDS

VERSION = 1  # part of the artifact's identity: raise it when teaching changes
EPOCHS = 2.0
BATCH = 32
RATE = 5e-5  # of the encoder
HEAD_RATE = 5e-3  # of the heads, which start from nothing
NGRAM_RATE = 2e-2  # of their n-grams, of which each is seen seldom
EMBEDDING_SCALE = 8.0  # unit-length embeddings need large weights
EMBEDDING_DROPOUT = 0.1
MEDIA_DROPOUT = 0.3  # share of the lessons in which what is attached is not shown: the words shall count too
WARM_UP = 100  # steps
SMOOTHING = 0.05  # of the labels
WEIGHT_DECAY = 0.01
LARGEST_GRADIENT = 1.0  # its norm
LEAST_SEEN = 3  # lessons that an n-gram must be in to count
CHUNK = 16  # batches among which texts of similar length are put together
REPORTED = 200  # steps between two words of progress
SEED = 0

FIRST_TURN = -1  # in place of the session's use case


@dataclass(frozen=True, slots=True)
class _Lesson:
    said: Said
    tokens: int
    columns: lexical.Columns
    media: tuple[float, ...]  # one per kind, 1 if attached
    standing: int  # place of the session's use case
    wanted: tuple[float, ...]  # probabilities of the use cases


def teach(
    encoder: TorchEncoder, lessons: Lessons, use_cases: Sequence[str], say: Callable[[str], None] = print
) -> tuple[Linear, Linear]:
    """
    Change *encoder*'s weights; return the heads for first and for later turns, not yet calibrated. The same arguments
    on the same machine give the same weights.
    """
    import torch

    torch.manual_seed(SEED)
    torch.set_flush_denormal(True)  # weights that fade away would make each step twice as slow
    order = random.Random(SEED)  # noqa: S311 - an order of lessons is no secret
    taught = _lessons(encoder, lessons, list(use_cases))
    heads = _heads(encoder.dimension, len(use_cases))
    steps = max(1, round(EPOCHS * len(taught) / BATCH))
    optimisers = _optimisers(encoder.model, heads, steps)
    encoder.model.train()
    loss_sum = 0.0
    for step, batch in zip(range(1, steps + 1), _batches(taught, order), strict=False):
        loss_sum += _step(encoder, heads, optimisers, batch)
        if step % REPORTED == 0 or step == steps:
            say(f"    step {step} of {steps}, loss {loss_sum / (step % REPORTED or REPORTED):.3f}")
            loss_sum = 0.0
    encoder.model.eval()
    seen = np.bincount(np.concatenate([lesson.columns for lesson in taught]), minlength=lexical.DIMENSIONS)
    kept = seen >= LEAST_SEEN
    return heads.first.linear(kept), heads.later.linear(kept)


def _step(encoder: TorchEncoder, heads: Any, optimisers: Sequence[tuple[Any, Any]], batch: Sequence[_Lesson]) -> float:
    import torch
    from torch.nn.functional import cross_entropy, dropout

    embeddings = dropout(encoder.tensor([lesson.said for lesson in batch]), EMBEDDING_DROPOUT)
    shown = torch.rand(len(batch), 1) >= MEDIA_DROPOUT
    media = torch.tensor([lesson.media for lesson in batch]) * shown
    standing = torch.tensor([lesson.standing for lesson in batch])
    columns = [torch.from_numpy(lesson.columns) for lesson in batch]
    parts = (head(embeddings, columns, media, standing) for head in (heads.first, heads.later))
    logits = torch.where((standing == FIRST_TURN)[:, None], *parts)
    loss = cross_entropy(logits, torch.tensor([lesson.wanted for lesson in batch]), label_smoothing=SMOOTHING)
    for optimiser, _ in optimisers:
        optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(encoder.model.parameters(), LARGEST_GRADIENT)
    for optimiser, schedule in optimisers:
        optimiser.step()
        schedule.step()
    return float(loss.item())


def _lessons(encoder: TorchEncoder, lessons: Lessons, use_cases: list[str]) -> list[_Lesson]:
    standing = [FIRST_TURN] * len(lessons.first) + [use_cases.index(one.standing) for one in lessons.later]
    columns = lexical.columns(example.text for example in lessons.turns)
    lengths = encoder.lengths(lessons.said)
    known = zip(lessons.said, lengths, columns, lessons.turns, standing, strict=True)
    return [_Lesson(said, n, c, _media(turn), place, _wanted(turn, use_cases)) for said, n, c, turn, place in known]


def _media(turn: Example) -> tuple[float, ...]:
    return tuple(float(turn.attached == kind) for kind in MEDIA_KINDS)


def _wanted(turn: Example, use_cases: list[str]) -> tuple[float, ...]:
    if turn.use_case == NOWHERE:
        return (1 / len(use_cases),) * len(use_cases)
    return tuple(float(name == turn.use_case) for name in use_cases)


def _heads(dimension: int, classes: int) -> Any:
    import torch

    class Head(torch.nn.Module):  # type: ignore[misc]  # torch is absent in most environments
        """`Linear`, in a form that learns."""

        def __init__(self) -> None:
            super().__init__()
            self.dense = torch.nn.Linear(dimension, classes)
            self.attached = torch.nn.Linear(len(MEDIA_KINDS), classes, bias=False)
            self.standing = torch.nn.Embedding(classes, classes)
            self.ngrams = torch.nn.EmbeddingBag(lexical.DIMENSIONS, classes, mode="sum", sparse=True)
            for parameter in self.parameters():
                torch.nn.init.zeros_(parameter)

        def forward(self, embeddings: Any, columns: Any, media: Any, standing: Any) -> Any:
            counts = torch.tensor([len(some) for some in columns])
            ngrams = self.ngrams(torch.cat(columns), torch.cumsum(counts, 0) - counts)
            ngrams = ngrams / counts.clamp(min=1).sqrt()[:, None]
            known = self.standing(standing.clamp(min=0)) * (standing != FIRST_TURN)[:, None]
            return self.dense(embeddings * EMBEDDING_SCALE) + self.attached(media) + known + ngrams

        def linear(self, kept: np.ndarray) -> Linear:
            """What serves; n-grams that are not *kept* count for nothing."""
            arrays = {name: parameter.detach().numpy() for name, parameter in self.named_parameters()}
            return Linear(
                sparse=arrays["ngrams.weight"] * kept[:, None].astype(np.float32),
                attached=arrays["attached.weight"].T.copy(),
                bias=arrays["dense.bias"],
                temperature=1.0,
                standing=arrays["standing.weight"],
                dense=arrays["dense.weight"].T * np.float32(EMBEDDING_SCALE),
            )

    return torch.nn.ModuleDict({"first": Head(), "later": Head()})


def _optimisers(model: Any, heads: Any, steps: int) -> list[tuple[Any, Any]]:
    """Each with the schedule of its rate."""
    import torch

    ngrams = [head.ngrams.weight for head in heads.values()]
    others = [parameter for name, parameter in heads.named_parameters() if "ngrams" not in name]
    groups = [
        {"params": model.parameters(), "lr": RATE, "weight_decay": WEIGHT_DECAY},
        {"params": others, "lr": HEAD_RATE, "weight_decay": 0.0},
    ]
    found = torch.optim.AdamW(groups, fused=True), torch.optim.SparseAdam(ngrams, lr=NGRAM_RATE)

    def share(step: int) -> float:
        return min(1.0, (step + 1) / WARM_UP) * max(0.0, 1 - step / steps)

    return [(optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, share)) for optimiser in found]


def _batches(lessons: Sequence[_Lesson], order: random.Random) -> Iterator[list[_Lesson]]:
    """For ever, every lesson once in each round, with others of similar length."""
    while True:
        shuffled = order.sample(lessons, len(lessons))
        chunks = (
            sorted(shuffled[i : i + BATCH * CHUNK], key=lambda lesson: lesson.tokens)
            for i in range(0, len(shuffled), BATCH * CHUNK)
        )
        batches = [chunk[i : i + BATCH] for chunk in chunks for i in range(0, len(chunk), BATCH)]
        order.shuffle(batches)
        yield from batches


def recipe() -> tuple[float, ...]:
    """All constants that weights depend on."""
    return (
        VERSION, EPOCHS, BATCH, RATE, HEAD_RATE, NGRAM_RATE, EMBEDDING_SCALE, EMBEDDING_DROPOUT, MEDIA_DROPOUT,
        WARM_UP, SMOOTHING, WEIGHT_DECAY, LARGEST_GRADIENT, LEAST_SEEN, CHUNK, SEED,
    )  # fmt: skip
