"""The messages of a chat request, as far as the simulator understands them."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from smart_router.simulate import media
from smart_router.simulate.errors import Refused, refused_value
from smart_router.simulate.fields import Fields
from smart_router.simulate.model import Kind, SimulatedModel
from smart_router.simulate.tokens import AUDIO_TOKENS, IMAGE_TOKENS, MESSAGE_TOKENS, VIDEO_TOKENS, tokenise

Media = Literal["image", "video", "audio"]

_TEXTS = {"text", "input_text", "output_text", "refusal", "thinking"}
_MEDIA: dict[str, Media] = {
    "image_url": "image",
    "input_image": "image",
    "video_url": "video",
    "input_audio": "audio",
    "audio_url": "audio",
}
_TAKEN: dict[Kind, frozenset[Media]] = {
    "text": frozenset(),
    "image": frozenset({"image", "video"}),
    "audio": frozenset(),
    "any": frozenset({"image", "video", "audio"}),
}
_PLACEHOLDERS: dict[Media, int] = {"image": IMAGE_TOKENS, "video": VIDEO_TOKENS, "audio": AUDIO_TOKENS}
_UNION = "ChatCompletionDeveloperMessageParam"  # pydantic names the first form it tried and failed


@dataclass(frozen=True, slots=True)
class Message:
    role: str
    text: str
    attached: tuple[Media, ...] = ()


@dataclass(frozen=True, slots=True)
class Conversation:
    messages: tuple[Message, ...]

    @property
    def question(self) -> str:
        """What the user said last; without a user, what anybody did."""
        texts = [message.text for message in self.messages if message.role == "user"]
        return (texts or [self.messages[-1].text])[-1]

    @property
    def attached(self) -> Counter[Media]:
        return Counter(kind for message in self.messages for kind in message.attached)

    @property
    def tokens(self) -> tuple[str, ...]:
        """The prompt: the words of every message, placeholders for what is attached, and the template around them."""
        return tuple(token for message in self.messages for token in _tokens(message))


def check_form(fields: Fields, messages: Sequence[Any] | None) -> None:
    """Note in *fields* what has not the form of a message."""
    for index, message in enumerate(messages or ()):
        _check_message(fields, f"messages.{index}", message)


def read(model: SimulatedModel, messages: Sequence[dict[str, Any]]) -> Conversation:
    """
    Raises:
        Refused: no message, an unknown part, or one that the model cannot take.
    """
    if not messages:
        raise Refused("Cannot apply chat template to an empty conversation. Provide at least one message.")
    return Conversation(tuple(_message(model, message) for message in messages))


def _check_message(fields: Fields, place: str, message: Any) -> None:
    if not isinstance(message, dict):
        fields.problem("dict_type", f"{place}.{_UNION}", "Input should be a valid dictionary", message)
        return
    if "role" not in message:
        fields.problem("missing", f"{place}.{_UNION}.role", "Field required", message)
    content, optional = message.get("content"), "content" not in message or message.get("role") == "assistant"
    if not (isinstance(content, str | list) or (content is None and optional)):
        fields.problem("string_type", f"{place}.{_UNION}.content", "Input should be a valid string", content)


def _message(model: SimulatedModel, message: dict[str, Any]) -> Message:
    content = message.get("content") or ""
    if isinstance(content, str):
        return Message(str(message["role"]), content)
    texts, attached = [], []
    for part in content:
        kind = _kind_of(part)
        if kind is None:
            texts.append(_text_of(part))
        else:
            _check_part(model, kind, part)
            attached.append(kind)
    return Message(str(message["role"]), "\n".join(texts), tuple(attached))


def _kind_of(part: Any) -> Media | None:
    """The medium of *part*, None for text."""
    if isinstance(part, str):
        return None
    type = part.get("type", "text") if isinstance(part, dict) else part
    if not isinstance(type, str) or type not in _TEXTS | _MEDIA.keys():
        supported = ", ".join(sorted(_TEXTS | _MEDIA.keys()))
        message = f"Unsupported chat content part type: {type!r}. Supported types: {supported}."
        raise refused_value(message, "type", type)
    return _MEDIA.get(type)


def _text_of(part: Any) -> str:
    if isinstance(part, str):
        return part
    return str(part.get("text") or part.get("refusal") or part.get("thinking") or "")


def _check_part(model: SimulatedModel, kind: Media, part: dict[str, Any]) -> None:
    taken = _TAKEN[model.kind]
    if not taken:
        raise Refused(f"{model.id} is not a multimodal model")
    if kind not in taken:
        raise Refused(f"At most 0 {kind}(s) may be provided in one prompt. (parameter={kind})", param=kind)
    if part["type"] == "input_audio":
        media.decode(str(_inside(part).get("data", "")))
    else:
        check = media.check_image if kind == "image" else media.check_location
        check(_url(part))


def _url(part: dict[str, Any]) -> str:
    given = part.get(part["type"]) or part.get("image_url")
    if isinstance(given, str):
        return given
    return str(_inside(part).get("url", ""))


def _inside(part: dict[str, Any]) -> dict[str, Any]:
    inside = part.get(part["type"])
    if not isinstance(inside, dict):
        raise Refused(f"1 validation error for the content part\n{part['type']}\n  Field required [type=missing]")
    return inside


def _tokens(message: Message) -> Iterator[str]:
    yield from (f"<|{message.role}|>",) * MESSAGE_TOKENS
    for kind in message.attached:
        yield from (f"<|{kind}|>",) * _PLACEHOLDERS[kind]
    yield from tokenise(message.text)
