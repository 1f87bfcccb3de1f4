"""
Parameters of OpenAI-style bodies that have stopped or starved model servers: bounded, or refused unless the operator
lets them through. docs/security.md names the advisory of each.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Raw, Struct

from smart_router.decide.parameters import REFUSED, is_allowed
from smart_router.errors import BadRequest

NO_RAW = Raw()
_anything = msgspec.json.Decoder()
_NOTHING = (b"", b"null", b"{}", b"0")


class Parameters(Struct):
    """As they came; empty where there is none."""

    n: Raw = NO_RAW
    best_of: Raw = NO_RAW
    logprobs: Raw = NO_RAW
    top_logprobs: Raw = NO_RAW
    prompt_logprobs: Raw = NO_RAW
    logprob_token_ids: Raw = NO_RAW
    stop: Raw = NO_RAW
    stop_sequences: Raw = NO_RAW
    stop_token_ids: Raw = NO_RAW
    bad_words: Raw = NO_RAW
    allowed_token_ids: Raw = NO_RAW
    logit_bias: Raw = NO_RAW
    chat_template: Raw = NO_RAW
    chat_template_kwargs: Raw = NO_RAW
    prompt_embeds: Raw = NO_RAW
    logits_processors: Raw = NO_RAW
    mm_processor_kwargs: Raw = NO_RAW
    media_io_kwargs: Raw = NO_RAW
    kv_transfer_params: Raw = NO_RAW
    ec_transfer_params: Raw = NO_RAW
    vllm_xargs: Raw = NO_RAW
    priority: Raw = NO_RAW
    guided_decoding_backend: Raw = NO_RAW
    guided_json: Raw = NO_RAW
    guided_regex: Raw = NO_RAW
    guided_choice: Raw = NO_RAW
    guided_grammar: Raw = NO_RAW
    guided_whitespace_pattern: Raw = NO_RAW
    structural_tag: Raw = NO_RAW
    structured_outputs: Raw = NO_RAW
    response_format: Raw = NO_RAW
    output_config: Raw = NO_RAW
    output_format: Raw = NO_RAW
    text: Raw = NO_RAW
    tools: Raw = NO_RAW
    functions: Raw = NO_RAW
    ref_audio: Raw = NO_RAW


MOST_PROMPTS = 512  # each is a request of its own to a server
MOST_LOGPROBS = 20
MOST_ARGUMENTS = 16  # of chat_template_kwargs
MOST_OF_AN_ARGUMENT = 256  # characters
# Arguments of the function that fills a template in, not of a template.
MACHINERY = frozenset({
    "chat_template", "conversation", "messages", "tools", "documents", "tokenize", "add_generation_prompt",
    "continue_final_message", "padding", "truncation", "max_length", "return_tensors", "return_dict",
    "return_assistant_tokens_mask", "tokenizer_kwargs", "tokenizer", "model_config", "template_kwargs", "self",
})  # fmt: skip
_MANY = re.compile(rb"\s*+\[(?=\s*+[\[\"])")  # prompts; a list of numbers is one prompt
_PROMPT = re.compile(rb'\s*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"|\[[^\[\]{}"]*+\])\s*+[,\]]')  # with what follows it
_ARGUMENT = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class Several:
    """*most* entries, which together take at most *most_bytes*."""

    most: int
    most_bytes: int


_SEVERAL = {
    "stop": Several(16, 16_384),
    "stop_sequences": Several(16, 16_384),
    "stop_token_ids": Several(256, 4_096),
    "bad_words": Several(256, 16_384),
    "logprob_token_ids": Several(128, 4_096),
    "allowed_token_ids": Several(4_096, 65_536),
    "logit_bias": Several(1_024, 65_536),
}
_LOGPROBS = ("logprobs", "top_logprobs", "prompt_logprobs")
_CHOICES = ("n", "best_of")
_LOOKED_AT = (*_CHOICES, *_LOGPROBS, *_SEVERAL, *REFUSED, "chat_template_kwargs")
_values: Callable[[Parameters], Sequence[Raw]] = attrgetter(*_LOOKED_AT)


def check_parameters(given: Parameters, most_choices: int, allowed: frozenset[str]) -> None:
    """
    *allowed*: names that are not looked at, or `*` for all but the number of choices.

    Raises:
        BadRequest: one is out of bounds or refused; names it, and what to send.
    """
    values = _values(given)
    if not any(values):
        return
    for name, raw in zip(_LOOKED_AT, values, strict=True):
        if name in _CHOICES:
            _check_count(name, raw, most_choices)
        elif raw and bytes(raw) not in _NOTHING and not is_allowed(name, allowed):
            _check(name, raw)


def check_prompts(prompt: Raw) -> None:
    """
    One after the other, not all at once: a body may hold millions.

    Raises:
        BadRequest: there are too many, or among them something that is neither a text nor a list of tokens.
    """
    found = _MANY.match(prompt)
    count = 0
    while found is not None and found[0][-1:] != b"]":
        count += 1
        if count > MOST_PROMPTS:
            raise BadRequest(f"prompt: at most {MOST_PROMPTS} are taken at once; send fewer")
        found = _PROMPT.match(prompt, found.end())
        if found is None:
            raise BadRequest(f"prompt[{count - 1}]: is neither a text nor a list of tokens; send one of these")


def refused(name: str, place: str) -> BadRequest:
    return BadRequest(
        f"{place}: is not taken here; leave it out, or ask the operator to name {name} in ALLOW_PARAMETERS"
    )


def refuse_unless_allowed(name: str, place: str, allowed: frozenset[str]) -> None:
    """
    Raises:
        BadRequest: it is refused.
    """
    if not is_allowed(name, allowed):
        raise refused(name, place)


def decoded(name: str, raw: Raw, decoder: "msgspec.json.Decoder[Any]" = _anything) -> Any:
    """
    Raises:
        BadRequest: it cannot be read; names it.
    """
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as exc:  # of another type, or a number out of range
        raise BadRequest(f"{name}: {exc}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadRequest(
            f"{name}: cannot be read ({type(exc).__name__}); send it as the API's reference says"
        ) from None


def _check(name: str, raw: Raw) -> None:
    if name in REFUSED:
        raise refused(name, name)
    if name in _SEVERAL:
        _check_several(name, raw, _SEVERAL[name])
    elif name == "chat_template_kwargs":
        _check_arguments(raw)
    else:
        _check_count(name, raw, MOST_LOGPROBS)


def _check_count(name: str, raw: Raw, most: int) -> None:
    """A server also takes "8" and 8.0 for 8; so what is no whole number is no way around."""
    value = decoded(name, raw) if raw else None
    if value is None or (isinstance(value, bool) and name == "logprobs"):
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most or value != int(value):
        raise BadRequest(f"{name}: must be a whole number of at most {most}")


def _check_several(name: str, raw: Raw, bounds: Several) -> None:
    value = decoded(name, raw) if len(raw) <= bounds.most_bytes else None
    if value is None or (isinstance(value, list | dict) and len(value) > bounds.most):
        raise BadRequest(f"{name}: at most {bounds.most} are taken, of {bounds.most_bytes} bytes together; send fewer")


def _check_arguments(raw: Raw) -> None:
    name = "chat_template_kwargs"
    arguments = decoded(name, raw)
    if not isinstance(arguments, dict) or len(arguments) > MOST_ARGUMENTS:
        raise BadRequest(f"{name}: must be an object of at most {MOST_ARGUMENTS} arguments")
    wrong = next(_wrong(arguments), None)
    if wrong is not None:
        raise BadRequest(
            f"{name}: {wrong[:64]!r} is not taken; a template's own arguments are, such as enable_thinking: names whose"
            f" values are booleans, numbers and texts of at most {MOST_OF_AN_ARGUMENT} characters"
        )


def _wrong(arguments: dict[str, Any]) -> Iterator[str]:
    for name, value in arguments.items():
        small = len(value) <= MOST_OF_AN_ARGUMENT if isinstance(value, str) else isinstance(value, int | float | None)
        if not small or name in MACHINERY or not _ARGUMENT.fullmatch(name):
            yield name
