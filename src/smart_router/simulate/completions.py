"""POST /v1/completions"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from smart_router.simulate import answers, logprobs
from smart_router.simulate.errors import Refused
from smart_router.simulate.exchange import Exchange
from smart_router.simulate.fields import Fields
from smart_router.simulate.jobs import Counted, Job, Said, Step
from smart_router.simulate.model import SimulatedModel
from smart_router.simulate.sampling import Sampling, StreamOptions, check_logprobs, check_prompt, read_stream_options
from smart_router.simulate.simulation import read_json, simulation
from smart_router.simulate.tokens import Vocabulary, tokenise
from smart_router.simulate.wire import DONE, FINGERPRINT, Reply, data_event, encode, usage, usage_in_full, usage_so_far

DEFAULT_MAX_TOKENS = 16


async def completions(request: Request) -> Response:
    here = simulation(request)
    body = await read_json(request)
    fault = here.strike()
    ask = CompletionAsk.read(body, here.vocabulary)
    model = here.model_for(ask.model)
    if not ask.prompts:
        message = "Either prompt or prompt_embeds must be provided and non-empty. (parameter=prompt)"
        raise Refused(message, param="prompt")
    job = _job(model, ask)
    dialect = CompletionDialect(Reply.to(request, model, "cmpl"), ask)
    return Exchange(here.engine, job, dialect, stream=ask.options.stream, fault=fault)


@dataclass(frozen=True, slots=True)
class Prompt:
    text: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompletionAsk:
    model: str | None
    prompts: tuple[Prompt, ...]
    sampling: Sampling
    options: StreamOptions
    logprobs: int | None
    echo: bool

    @classmethod
    def read(cls, body: dict[str, Any], vocabulary: Vocabulary) -> "CompletionAsk":
        """
        Raises:
            Invalid: a field has the wrong form.
            Refused: options for a stream without a stream, or too many logprobs.
        """
        fields = Fields(body)
        model = fields.text("model")
        prompts = _read_prompts(fields, vocabulary)
        echo, max_tokens, told = fields.flag("echo"), fields.integer("max_tokens"), fields.integer("logprobs")
        default = DEFAULT_MAX_TOKENS if max_tokens is None else max_tokens
        sampling = Sampling.read(fields, max_tokens=default)
        options = read_stream_options(fields)
        check_logprobs(told)
        return cls(model, prompts, sampling, options, told, echo)

    def echoed(self, choice: int) -> str:
        """What stands before the answer of *choice*."""
        return self.prompts[choice // self.sampling.n].text if self.echo else ""


class CompletionDialect:
    media_type = "application/json"

    def __init__(self, reply: Reply, ask: CompletionAsk) -> None:
        self._reply, self._ask, self._options = reply, ask, ask.options

    def whole(self, choices: Sequence[Said], counted: Counted) -> bytes:
        return encode(
            self._reply.headed("text_completion")
            | {
                "choices": [self._choice(index, said) for index, said in enumerate(choices)],
                "service_tier": None,
                "system_fingerprint": FINGERPRINT,
                "usage": usage_in_full(counted),
                "kv_transfer_params": None,
                "ec_transfer_params": None,
                "metrics": None,
            }
        )

    def opening(self, counted: Counted) -> Iterator[bytes]:
        return iter(())

    def delta(self, step: Step, counted: Counted) -> Iterator[bytes]:
        before = self._ask.echoed(step.choice) if step.position == 1 else ""
        choice = {
            "index": step.choice,
            "text": before + step.text,
            "logprobs": self._logprobs([step.text], before),
            "finish_reason": step.finish,
            "stop_reason": step.stop_reason,
            "prompt_token_ids": None,
            "token_ids": None,
        }
        body = self._reply.headed("text_completion") | {"choices": [choice]}
        if step.finish and not self._options.usage:
            body["system_fingerprint"] = FINGERPRINT
        if self._options.continuous:
            body["usage"] = usage_so_far(counted)
        yield data_event(body)

    def closing(self, counted: Counted) -> Iterator[bytes]:
        if self._options.usage:
            last = {"choices": [], "usage": usage(counted), "system_fingerprint": FINGERPRINT}
            yield data_event(self._reply.headed("text_completion") | last)
        yield DONE

    def broken(self, error: dict[str, Any]) -> Iterator[bytes]:
        yield data_event(error)
        yield DONE

    def _choice(self, index: int, said: Said) -> dict[str, Any]:
        before = self._ask.echoed(index)
        return {
            "index": index,
            "text": before + said.text,
            "logprobs": self._logprobs(said.tokens, before),
            "finish_reason": said.finish,
            "stop_reason": said.stop_reason,
            "token_ids": None,
            "prompt_logprobs": None,
            "prompt_token_ids": None,
            "routed_experts": None,
        }

    def _logprobs(self, tokens: Sequence[str], before: str) -> dict[str, Any] | None:
        top = self._ask.logprobs
        return None if top is None else logprobs.of_completion(tokens, top, len(before))


def _job(model: SimulatedModel, ask: CompletionAsk) -> Job:
    sampling = ask.sampling
    longest = max(len(prompt.tokens) for prompt in ask.prompts)
    check_prompt(longest, model.max_model_len)
    sampling.check(model.max_model_len)
    made = tuple(
        sampling.answer(answers.to_prompt(model.id, prompt.text, choice), model.max_model_len - len(prompt.tokens))
        for prompt in ask.prompts
        for choice in range(sampling.n)
    )
    return Job(tuple(token for prompt in ask.prompts for token in prompt.tokens), made, sampling.max_tokens)


def _read_prompts(fields: Fields, vocabulary: Vocabulary) -> tuple[Prompt, ...]:
    """A text, a list of token numbers, or a list of either."""
    given = fields.body.get("prompt")
    if given is not None and not isinstance(given, str):
        given = fields.list("prompt")
    if not given:
        return ()
    many = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    return tuple(_prompt(one, vocabulary) for one in many)


def _prompt(given: Any, vocabulary: Vocabulary) -> Prompt:
    if isinstance(given, list):
        return Prompt(vocabulary.text(given), tuple(f"<|{number}|>" for number in given))
    return Prompt(str(given), tokenise(str(given)))
