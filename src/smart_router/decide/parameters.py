"""The parameters of OpenAI-style bodies that have stopped or starved model servers, by their names."""

from smart_router.types import ANY

# What a server may be made to do with these no bound makes harmless, or only the operator knows which would.
REFUSED = (
    "chat_template", "prompt_embeds", "logits_processors", "mm_processor_kwargs", "media_io_kwargs",
    "kv_transfer_params", "ec_transfer_params", "vllm_xargs", "priority", "guided_decoding_backend", "guided_grammar",
)  # fmt: skip
# The same, deeper in a body: parts of a message, and a field of `structured_outputs`.
REFUSED_WITHIN = ("image_embeds", "audio_embeds", "video_embeds", "grammar")
BOUNDED = (
    "logprobs", "top_logprobs", "prompt_logprobs", "logprob_token_ids", "stop", "stop_sequences", "stop_token_ids",
    "bad_words", "allowed_token_ids", "logit_bias", "chat_template_kwargs",
)  # fmt: skip
LISTS_OF_TOOLS = ("tools", "functions")
FORMATS = ("structured_outputs", "response_format", "output_config", "output_format", "text")
GUIDED = ("guided_json", "guided_regex", "guided_choice", "guided_whitespace_pattern", "structural_tag")
MAY_BE_ALLOWED = frozenset((*REFUSED, *REFUSED_WITHIN, *BOUNDED, *LISTS_OF_TOOLS, *FORMATS, *GUIDED))


def allowed_parameters(names: tuple[str, ...]) -> tuple[str, ...]:
    """
    The setting.

    Raises:
        ValueError: a name is none of a parameter that is refused or bounded.
    """
    if unknown := [name for name in names if name != ANY and name not in MAY_BE_ALLOWED]:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(sorted(MAY_BE_ALLOWED))} and *")
    return names


def is_allowed(name: str, allowed: frozenset[str]) -> bool:
    return name in allowed or ANY in allowed
