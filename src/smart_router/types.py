"""The nouns that cross module borders. Frozen: whoever holds one may keep it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Modality = Literal["text", "image", "audio", "video"]
MediaKind = Literal["image", "audio", "video"]
Api = Literal["chat", "transcriptions", "speech"]
Reason = Literal["explicit", "modality", "session", "classified", "switched", "fallback", "degraded"]
RoutingMode = Literal["realtime", "standard"]

MEDIA_KINDS: tuple[MediaKind, ...] = ("image", "audio", "video")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a query: either a *url* or base64 *data*, never both."""

    type: MediaKind
    url: str | None = None
    data: str | None = None
    media_type: str | None = None

    @property
    def location(self) -> str:
        """What vLLM takes as a URL: the address itself, or the data as a `data:` URL."""
        if self.url is not None:
            return self.url
        return f"data:{self.media_type};base64,{self.data}"


@dataclass(frozen=True, slots=True)
class Ask:
    """One validated `/route` or `/classify` request."""

    request_id: str
    caller: str  # whose session it is; a digest, never a key
    query: str
    session_id: str
    modality: Modality | None = None
    context: Mapping[str, Any] = field(default_factory=dict)
    attachments: tuple[Attachment, ...] = ()
    max_tokens: int = 100
    temperature: float = 0.7
    use_case: str | None = None
    stream: bool = False
    remember: bool = True

    @property
    def attached(self) -> frozenset[MediaKind]:
        return frozenset(attachment.type for attachment in self.attachments)


@dataclass(frozen=True, slots=True)
class Because:
    """What a decision rested on, for people who ask why."""

    hint: tuple[MediaKind, ...] = ()
    cues: Mapping[str, float] = field(default_factory=dict)  # use case -> probability by the lexical guard
    session: str | None = None  # the session's standing use case
    note: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """Which use case a turn belongs to, how sure that is (probability, 0..1) and why."""

    use_case: str
    confidence: float
    reason: Reason
    bypass: bool = False
    context_changed: bool = False
    scores: Mapping[str, float] = field(default_factory=dict)
    because: Because = field(default_factory=Because)


@dataclass(frozen=True, slots=True)
class Lane:
    """Where a session last went within one backend group: its KV cache is warm there."""

    use_case: str
    model: str
    replica: str
    confidence: float = 1.0


@dataclass(frozen=True, slots=True)
class Session:
    """What is remembered of a session, apart from its conversation."""

    owner: str
    turn: int  # counts the changes of the pin; a commit that read an older one does not overwrite it
    group: str  # the current lane's backend group
    lanes: Mapping[str, Lane]
    count: int
    created: float  # seconds since the epoch
    accessed: float

    @property
    def lane(self) -> Lane:
        return self.lanes[self.group]


@dataclass(frozen=True, slots=True)
class Message:
    """One side's turn of a remembered conversation."""

    role: Literal["user", "assistant"]
    text: str
    attachments: tuple[Attachment, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one exchange, as the upstream counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens
