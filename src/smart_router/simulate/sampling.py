"""The parameters that say how an answer is made and where it ends."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from smart_router.simulate.errors import Refused, refused_value
from smart_router.simulate.fields import Fields
from smart_router.simulate.jobs import Answer
from smart_router.simulate.tokens import tokenise

END = ""  # the end-of-text token: counted, but nothing to read
MOST_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class StreamOptions:
    stream: bool = False
    usage: bool = False  # tell the usage at the end
    continuous: bool = False  # and with every event


@dataclass(frozen=True, slots=True)
class Sampling:
    max_tokens: int | None = None
    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    ignore_eos: bool = False

    @classmethod
    def read(cls, fields: Fields, *, max_tokens: int | None) -> "Sampling":
        n, temperature, top_p = fields.integer("n"), fields.number("temperature"), fields.number("top_p")
        return cls(
            max_tokens=max_tokens,
            n=1 if n is None else n,
            temperature=1.0 if temperature is None else temperature,
            top_p=1.0 if top_p is None else top_p,
            stop=_stops(fields),
            ignore_eos=fields.flag("ignore_eos"),
        )

    def check(self, max_model_len: int) -> None:
        """
        Raises:
            Refused: a value is out of its range.
        """
        asked, heat, top_p = self.max_tokens, self.temperature, self.top_p
        if asked is not None and asked > max_model_len:
            raise _beyond(asked, max_model_len)
        if heat < 0:
            raise refused_value(f"temperature must be non-negative, got {heat}.", "temperature", heat)
        if heat > 2:
            raise refused_value(f"temperature must be in [0, 2], got {heat}.", "temperature", heat)
        if not 0 < top_p <= 1:
            raise refused_value(f"top_p must be in (0, 1], got {top_p}.", "top_p", top_p)
        if asked is not None and asked < 1:
            raise refused_value(f"max_tokens must be at least 1, got {asked}.", "max_tokens", asked)
        if self.n < 1:
            raise Refused(f"n must be at least 1, got {self.n}.")
        if self.n > 1 and heat == 0:
            raise Refused(f"n must be 1 when using greedy sampling, got {self.n}.")

    def answer(self, text: str, room: int) -> Answer:
        """*text* as far as a stop string, `max_tokens` or *room* (tokens left in the context) lets it go."""
        limit = room if self.max_tokens is None else min(self.max_tokens, room)
        met = _first_met(text, self.stop)
        if met is not None:
            at, stop = met
            whole = Answer(tuple(_cut(tokenise(text), keep=at, cover=at + len(stop))), "stop", stop)
        elif self.ignore_eos:
            whole = Answer(tuple(itertools.islice(itertools.cycle(tokenise(text)), limit + 1)))
        else:
            whole = Answer((*tokenise(text), END))
        return whole if len(whole.tokens) <= limit else Answer(whole.tokens[:limit], "length")


def check_prompt(tokens: int, max_model_len: int) -> None:
    """
    Raises:
        Refused: no room is left for a single token of answer.
    """
    if tokens >= max_model_len:
        least = max_model_len + 1
        raise refused_value(
            f"This model's maximum context length is {max_model_len} tokens. However, your prompt contains at least "
            f"{least} input tokens, which exceeds this limit even without any output tokens. "
            "Please reduce the length of the input prompt.",
            "input_tokens",
            least,
        )


def read_stream_options(fields: Fields) -> StreamOptions:
    """
    Raises:
        Refused: options for a stream without a stream.
    """
    stream, given = fields.flag("stream"), fields.object("stream_options")
    fields.check()
    if given and not stream:
        message = "Stream options can only be defined when `stream=True`. (parameter=stream_options)"
        raise Refused(message, param="stream_options")
    options = Fields(given or {}, "body.stream_options")
    usage, continuous = options.flag("include_usage"), options.flag("continuous_usage_stats")
    options.check()
    return StreamOptions(stream, usage, usage and continuous)


def check_logprobs(asked: int | None, *, told: bool = True) -> None:
    """
    Raises:
        Refused: more alternatives than the server tells, less than none, or any without being *told* to tell.
    """
    if asked and not told:
        message = "when using `top_logprobs`, `logprobs` must be set to true. (parameter=top_logprobs)"
        raise Refused(message, param="top_logprobs")
    if asked is not None and not 0 <= asked <= MOST_LOGPROBS:
        message = f"Requested sample logprobs of {asked}, which is not in the allowed range 0 to {MOST_LOGPROBS}."
        raise refused_value(message, "logprobs", asked)


def _beyond(asked: int, max_model_len: int) -> Refused:
    return refused_value(
        f"max_tokens={asked} cannot be greater than max_model_len={max_model_len}. Please request fewer output tokens.",
        "max_tokens",
        asked,
    )


def _stops(fields: Fields) -> tuple[str, ...]:
    given = fields.body.get("stop")
    if given is None:
        return ()
    if isinstance(given, str):
        return (given,)
    return tuple(stop for stop in fields.list("stop") or () if isinstance(stop, str) and stop)


def _first_met(text: str, stops: Sequence[str]) -> tuple[int, str] | None:
    """Where the earliest of *stops* stands in *text*, and which one it is."""
    met = [(at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    return min(met, default=None)


def _cut(tokens: Sequence[str], *, keep: int, cover: int) -> Iterator[str]:
    """The tokens that cover *cover* characters, without what lies beyond *keep*."""
    at = 0
    for token in tokens:
        if at >= cover:
            return
        yield token[: max(0, keep - at)]
        at += len(token)
