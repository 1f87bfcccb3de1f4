"""POST /v1/chat/completions"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from smart_router.simulate import answers, conversation, logprobs
from smart_router.simulate.conversation import Conversation
from smart_router.simulate.errors import Refused
from smart_router.simulate.exchange import Exchange
from smart_router.simulate.fields import Fields
from smart_router.simulate.jobs import Counted, Job, Said, Step
from smart_router.simulate.model import SimulatedModel
from smart_router.simulate.sampling import Sampling, StreamOptions, check_logprobs, check_prompt, read_stream_options
from smart_router.simulate.simulation import read_json, simulation
from smart_router.simulate.wire import DONE, FINGERPRINT, Reply, data_event, encode, usage, usage_in_full, usage_so_far

_FORMATS = ("text", "json_object", "json_schema", "structural_tag")


async def chat_completions(request: Request) -> Response:
    here = simulation(request)
    body = await read_json(request)
    fault = here.strike()
    ask = ChatAsk.read(body)
    model = here.model_for(ask.model)
    check_tools(body, taken=model.auto_tool_choice)
    talk = conversation.read(model, ask.messages)
    job = chat_job(model, talk, ask.sampling, as_json=ask.as_json, choices=ask.choices)
    dialect = ChatDialect(Reply.to(request, model, "chatcmpl"), len(job.answers), ask.options, ask.logprobs)
    return Exchange(here.engine, job, dialect, stream=ask.options.stream, fault=fault)


@dataclass(frozen=True, slots=True)
class ChatAsk:
    model: str | None
    messages: Sequence[dict[str, Any]]
    sampling: Sampling
    options: StreamOptions
    logprobs: int | None  # how many alternatives to tell with each token
    as_json: bool
    choices: tuple[str, ...] = ()  # the answer must be one of these, if there are any

    @classmethod
    def read(cls, body: dict[str, Any]) -> "ChatAsk":
        """
        Raises:
            Invalid: a field has the wrong form.
            Refused: options for a stream without a stream, or too many logprobs.
        """
        fields = Fields(body)
        messages = fields.list("messages", required=True)
        conversation.check_form(fields, messages)
        model, told, top = fields.text("model"), fields.flag("logprobs"), fields.integer("top_logprobs")
        max_tokens, newer = fields.integer("max_tokens"), fields.integer("max_completion_tokens")
        sampling = Sampling.read(fields, max_tokens=max_tokens if newer is None else newer)
        format, choices = _read_format(fields), _read_choices(fields)
        options = read_stream_options(fields)
        check_logprobs(top, told=told)
        return cls(model, messages or (), sampling, options, (top or 0) if told else None, "json" in format, choices)


def chat_job(
    model: SimulatedModel,
    talk: Conversation,
    sampling: Sampling,
    *,
    as_json: bool = False,
    choices: Sequence[str] = (),
) -> Job:
    """
    Raises:
        Refused: the prompt is too long, or a parameter is out of range.
    """
    prompt = talk.tokens
    check_prompt(len(prompt), model.max_model_len)
    sampling.check(model.max_model_len)
    room = model.max_model_len - len(prompt)
    say = answers.to_chat_as_json if as_json else answers.to_chat
    chosen = answers.to_choices(talk, choices) if choices else None
    said = [chosen or say(model.id, talk, choice) for choice in range(sampling.n)]
    return Job(prompt, tuple(sampling.answer(text, room) for text in said), sampling.max_tokens or room)


def check_tools(body: dict[str, Any], *, taken: bool) -> None:
    """
    Raises:
        Refused: tools, which the real server takes only with options; and those that must be called, where it has them.
    """
    choice = body.get("tool_choice") or ("auto" if body.get("tools") else "none")
    if choice == "auto" and taken:
        return
    if choice == "auto":
        raise Refused('"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set')
    if choice != "none":
        raise Refused(f'tool_choice="{choice}" requires --tool-call-parser to be set')


class ChatDialect:
    media_type = "application/json"

    def __init__(self, reply: Reply, choices: int, options: StreamOptions, top_logprobs: int | None) -> None:
        self._reply, self._choices, self._options, self._top = reply, choices, options, top_logprobs

    def whole(self, choices: Sequence[Said], counted: Counted) -> bytes:
        return encode(
            self._reply.headed("chat.completion")
            | {
                "choices": [self._choice(index, said) for index, said in enumerate(choices)],
                "service_tier": None,
                "system_fingerprint": FINGERPRINT,
                "usage": usage_in_full(counted),
                "prompt_logprobs": None,
                "prompt_token_ids": None,
                "prompt_text": None,
                "kv_transfer_params": None,
                "ec_transfer_params": None,
                "metrics": None,
            }
        )

    def opening(self, counted: Counted) -> Iterator[bytes]:
        for index in range(self._choices):
            delta = {"role": "assistant", "content": ""}
            choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
            yield self._chunk([choice], counted, prompt_token_ids=None, prompt_text=None)

    def delta(self, step: Step, counted: Counted) -> Iterator[bytes]:
        choice: dict[str, Any] = {
            "index": step.choice,
            "delta": {"content": step.text},
            "logprobs": self._logprobs([step.text]),
            "finish_reason": step.finish,
        }
        if step.finish is None:
            yield self._chunk([choice | {"token_ids": None}], counted)
        else:
            choice |= {"stop_reason": step.stop_reason, "token_ids": None}
            yield self._chunk([choice], counted, **self._fingerprint(at_end=False))

    def closing(self, counted: Counted) -> Iterator[bytes]:
        if self._options.usage:
            last = self._reply.headed("chat.completion.chunk") | {"choices": [], "usage": usage(counted)}
            yield data_event(last | self._fingerprint(at_end=True))
        yield DONE

    def broken(self, error: dict[str, Any]) -> Iterator[bytes]:
        yield data_event(error)
        yield DONE

    def _choice(self, index: int, said: Said) -> dict[str, Any]:
        return {
            "index": index,
            "message": {
                "role": "assistant",
                "content": said.text,
                "refusal": None,
                "annotations": None,
                "audio": None,
                "function_call": None,
                "reasoning": None,
            },
            "logprobs": self._logprobs(said.tokens),
            "finish_reason": said.finish,
            "stop_reason": said.stop_reason,
            "token_ids": None,
            "routed_experts": None,
        }

    def _chunk(self, choices: list[dict[str, Any]], counted: Counted, **further: Any) -> bytes:
        body = self._reply.headed("chat.completion.chunk") | {"choices": choices}
        if self._options.continuous:
            body["usage"] = usage_so_far(counted)
        return data_event(body | further)

    def _fingerprint(self, *, at_end: bool) -> dict[str, str]:
        """It stands in the usage event if there is one, else in the last of a choice."""
        return {"system_fingerprint": FINGERPRINT} if at_end == self._options.usage else {}

    def _logprobs(self, tokens: Sequence[str]) -> dict[str, Any] | None:
        return None if self._top is None else logprobs.of_chat(tokens, self._top)


def _read_choices(fields: Fields) -> tuple[str, ...]:
    """Of vLLM's structured outputs, those that name the possible answers; the other kinds are not simulated."""
    outer = Fields(fields.object("structured_outputs") or {}, "body.structured_outputs")
    found = outer.list("choice") or []
    fields.include(outer)
    return tuple(map(str, found))


def _read_format(fields: Fields) -> str:
    given = fields.object("response_format")
    format = Fields(given or {}, "body.response_format")
    kind = format.choice("type", _FORMATS) or "text"
    fields.include(format)
    return kind
