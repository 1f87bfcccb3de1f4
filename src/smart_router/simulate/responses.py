"""POST /v1/responses. Nothing is stored: getting, cancelling or continuing a response always fails."""

import secrets
from collections.abc import Iterator, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from smart_router.simulate import conversation
from smart_router.simulate.chat import chat_job
from smart_router.simulate.errors import Refused
from smart_router.simulate.exchange import Exchange
from smart_router.simulate.fields import Fields
from smart_router.simulate.jobs import Counted, Said, Step
from smart_router.simulate.sampling import Sampling
from smart_router.simulate.simulation import read_json, simulation
from smart_router.simulate.wire import Reply, encode, named_event


async def responses(request: Request) -> Response:
    here = simulation(request)
    body = await read_json(request)
    fault = here.strike()
    fields = Fields(body)
    messages = _read_input(fields)
    model, stream, max_tokens = fields.text("model"), fields.flag("stream"), fields.integer("max_output_tokens")
    sampling = Sampling.read(fields, max_tokens=max_tokens)
    fields.check()
    asked = here.model_for(model)
    _check_storeless(body)
    job = chat_job(asked, conversation.read(asked, messages), sampling)
    dialect = ResponsesDialect(Reply.to(request, asked, "resp"), body, sampling, job.max_tokens)
    return Exchange(here.engine, job, dialect, stream=stream, fault=fault)


async def stored_response(request: Request) -> Response:
    raise _not_found(request.path_params["response_id"])


class ResponsesDialect:
    media_type = "application/json"

    def __init__(self, reply: Reply, body: dict[str, Any], sampling: Sampling, max_tokens: int | None) -> None:
        self._id, self._item_id = reply.id.replace("-", "_", 1), f"msg_{secrets.token_hex(8)}"
        self._reply, self._body, self._sampling, self._max_tokens = reply, body, sampling, max_tokens
        self._number = 0
        self._steps: list[Step] = []

    def whole(self, choices: Sequence[Said], counted: Counted) -> bytes:
        return encode(self._response(choices[0], counted))

    def opening(self, counted: Counted) -> Iterator[bytes]:
        for type in ("response.created", "response.in_progress"):
            yield self._event(type, response=self._response(None, counted))
        item = {"id": self._item_id, "content": [], "role": "assistant", "status": "in_progress", "type": "message"}
        yield self._event("response.output_item.added", item=item | {"phase": None}, output_index=0)
        part = {"annotations": [], "text": "", "type": "output_text", "logprobs": []}
        yield self._event("response.content_part.added", **self._in_part(), part=part)

    def delta(self, step: Step, counted: Counted) -> Iterator[bytes]:
        self._steps.append(step)
        if step.text:
            yield self._event("response.output_text.delta", **self._in_part(), delta=step.text, logprobs=[])

    def closing(self, counted: Counted) -> Iterator[bytes]:
        last = self._steps[-1]
        said = Said(tuple(step.text for step in self._steps), last.finish or "abort", last.stop_reason)
        yield self._event("response.output_text.done", **self._in_part(), logprobs=[], text=said.text)
        yield self._event("response.content_part.done", **self._in_part(), part=_part(said))
        yield self._event("response.output_item.done", item=self._item(said), output_index=0)
        yield self._event("response.completed", response=self._response(said, counted))

    def broken(self, error: dict[str, Any]) -> Iterator[bytes]:
        yield self._event("error", **error)

    def _event(self, type: str, **fields: Any) -> bytes:
        body = fields | {"sequence_number": self._number, "type": type}
        self._number += 1
        return named_event(body)

    def _in_part(self) -> dict[str, Any]:
        return {"content_index": 0, "item_id": self._item_id, "output_index": 0}

    def _item(self, said: Said) -> dict[str, Any]:
        return {
            "id": self._item_id,
            "content": [_part(said)],
            "role": "assistant",
            "status": "completed",
            "type": "message",
            "phase": None,
        }

    def _response(self, said: Said | None, counted: Counted) -> dict[str, Any]:
        """The response object: before its end without output and usage."""
        cut = said is not None and said.finish == "length"
        return {
            "id": self._id,
            "created_at": self._reply.created,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "instructions": self._body.get("instructions"),
            "metadata": self._body.get("metadata"),
            "model": self._reply.model,
            "object": "response",
            "output": [] if said is None else [self._item(said)],
            "parallel_tool_calls": True,
            "temperature": self._sampling.temperature,
            "tool_choice": "none",
            "tools": [],
            "top_p": self._sampling.top_p,
            "background": False,
            "max_output_tokens": self._max_tokens,
            "max_tool_calls": None,
            "previous_response_id": None,
            "prompt": None,
            "reasoning": None,
            "service_tier": "auto",
            "status": "in_progress" if said is None else "incomplete" if cut else "completed",
            "text": None,
            "top_logprobs": None,
            "truncation": "disabled",
            "usage": None if said is None else _usage(counted),
            "user": None,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "kv_transfer_params": None,
            "ec_transfer_params": None,
            "input_messages": None,
            "output_messages": None,
        }


def _part(said: Said) -> dict[str, Any]:
    return {"annotations": [], "text": said.text, "type": "output_text", "logprobs": None}


def _usage(counted: Counted) -> dict[str, Any]:
    of_input = {"cached_tokens": 0, "cache_write_tokens": 0, "input_tokens_per_turn": [], "cached_tokens_per_turn": []}
    of_output = {
        "reasoning_tokens": 0,
        "tool_output_tokens": 0,
        "output_tokens_per_turn": [],
        "tool_output_tokens_per_turn": [],
    }
    return {
        "input_tokens": counted.prompt,
        "input_tokens_details": of_input,
        "output_tokens": counted.completion,
        "output_tokens_details": of_output,
        "total_tokens": counted.total,
    }


def _read_input(fields: Fields) -> list[dict[str, Any]]:
    """The input as messages; a text is one of the user, instructions are the system's."""
    given = fields.body.get("input")
    if isinstance(given, str):
        messages = [{"role": "user", "content": given}]
    else:
        messages = [message for message in fields.list("input", required=True) or () if isinstance(message, dict)]
        messages = [{"role": "user"} | message for message in messages]
    if instructions := fields.text("instructions"):
        messages.insert(0, {"role": "system", "content": instructions})
    return messages


def _check_storeless(body: dict[str, Any]) -> None:
    if body.get("background"):
        raise Refused(
            "This simulated engine does not support `store=True` and therefore does not support the background mode.",
            type="invalid_request_error",
            param="background",
        )
    if previous := body.get("previous_response_id"):
        raise _not_found(str(previous))


def _not_found(response_id: str) -> Refused:
    message = f"Response with id '{response_id}' not found."
    return Refused(message, 404, type="invalid_request_error", param="response_id")
