"""The nouns that cross module borders. Frozen: whoever holds one may keep it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal, Protocol, TypeVar

from msgspec import Struct

Modality = Literal["text", "image", "audio", "video"]
MediaKind = Literal["image", "audio", "video"]
Api = Literal["chat", "transcriptions", "speech"]
Reason = Literal["explicit", "modality", "session", "classified", "switched", "fallback", "degraded"]
RoutingMode = Literal["realtime", "standard"]
LogFormat = Literal["auto", "json", "console"]
Scope = Literal["route", "admin", "metrics"]

RESPONSE_ID = r"[A-Za-z0-9_-]{1,128}"  # of a stored response
Keeps = Literal["session", "peek", "nothing"]  # "peek": a session is looked at, but not counted, prolonged or moved

NOTHING: frozenset[Any] = frozenset()
ANY = "*"  # in a setting that lists names: all of them
MEDIA_KINDS: tuple[MediaKind, ...] = ("image", "audio", "video")
SCOPES: tuple[Scope, ...] = ("route", "admin", "metrics")


class Rate(Struct, frozen=True):
    """*per_minute* requests (1 to 60 million), spread evenly or up to *burst* (at least 1) of them at once."""

    per_minute: int
    burst: int


class Admission(Struct, frozen=True):
    """Whether one more request was *admitted* by *rate*, and what is left; seconds from now."""

    rate: Rate
    admitted: bool
    remaining: int  # requests that would be admitted at once
    reset_s: float  # until a whole burst would be
    retry_after_s: float  # until one more would be, 0 if this one was


class Deny(Struct, frozen=True):
    """A text in which *search* finds something is refused with *message*; *place* is where an operator wrote so."""

    search: Callable[[str], object]
    message: str
    place: str


class Rules(Struct, frozen=True):
    """What an operator lets requests ask for; None: any number."""

    max_tokens: int | None = None
    max_choices: int | None = None
    deny: tuple[Deny, ...] = ()


class Wish(Struct, frozen=True):
    """What of a request rules speak of, by the fields that say it."""

    tokens: Mapping[str, float] = {}  # how long the answer may be
    choices: Mapping[str, float] = {}  # how many answers there shall be
    open_ended: bool = False  # nothing is said of tokens where something could be
    texts: tuple[str, ...] = ()  # all that is said, one per message
    unreadable: str | None = None  # the field that says it in another way than by text


class Wants(Protocol):
    """Tells what a request wants, where rules apply to it; *size* is at most so many bytes."""

    @property
    def size(self) -> int: ...

    def wish(self, *, texts: bool) -> Wish:
        """With *texts* only if they are looked at, too. May raise BadRequest."""


class Grant(Struct, frozen=True):
    """What a caller may do. *id* is whose sessions are theirs; None of use cases, models, rate or rules: any."""

    id: str
    scopes: frozenset[Scope]
    use_cases: frozenset[str] | None = None
    models: frozenset[str] | None = None
    rate: Rate | None = None
    concurrency: int | None = None  # requests under way at once, in each process
    rules: Rules | None = None

    @property
    def limited(self) -> bool:
        """There is something to see to beyond the door."""
        return any(limit is not None for limit in (self.use_cases, self.models, self.rate, self.rules))

    @property
    def limits(self) -> "Grant | None":
        """Itself, for an `Ask`, if it is limited."""
        return self if self.limited else None


class Attachment(Struct, frozen=True):
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


class Ask(Struct, frozen=True):
    """One validated request: what there is to decide on, and how to answer."""

    request_id: str
    caller: str  # whose session it is: the id of a grant, never a key
    query: str
    session_id: str
    modality: Modality | None = None
    context: dict[str, Any] = {}
    attachments: tuple[Attachment, ...] = ()
    max_tokens: int = 100
    temperature: float = 0.7
    use_case: str | None = None
    stream: bool = False
    remember: bool = True
    # Of a request that is passed on as it came:
    model: str | None = None  # an explicit choice, by id
    media: frozenset[MediaKind] = NOTHING  # what its last turn brings
    carried: frozenset[MediaKind] = NOTHING  # what its earlier turns brought, and the model will see again
    needs: frozenset[str] = NOTHING  # what the model must be able to do: one of these capabilities or APIs
    usual: str | None = None  # then: the use case meant, if there is one of that name
    keeps: Keeps = "session"
    held_at: str | None = None  # the one replica that can answer
    path: str = "/route"  # of ours, for the log
    previous: str = ""  # what the user said in the turn before, where the client sends that along
    debug: bool = False  # the client wants to see why
    grant: Grant | None = None  # where it limits the caller
    wants: Wants | None = None  # for an operator's rules
    patience: "Patience | None" = None  # of a client that takes a stream
    trace: "Trace | None" = None  # where tracing is on

    @property
    def rate(self) -> Rate | None:
        """At which its caller may ask; None: any."""
        return None if self.grant is None else self.grant.rate

    @property
    def attached(self) -> frozenset[MediaKind]:
        """What comes with this turn."""
        return frozenset(attachment.type for attachment in self.attachments) if self.attachments else self.media


class Because(Struct, frozen=True):
    """What a decision rested on, for people who ask why."""

    hint: tuple[MediaKind, ...] = ()
    cues: dict[str, float] = {}  # use case -> probability by the lexical guard
    session: str | None = None  # the session's standing use case
    conflict: str = ""  # the use case that the text asks for, although it does not take what came with it
    note: str = ""


class Decision(Struct, frozen=True):
    """Which use case a turn belongs to, how sure that is (probability, 0..1) and why."""

    use_case: str
    confidence: float
    reason: Reason
    bypass: bool = False
    context_changed: bool = False
    scores: dict[str, float] = {}
    because: Because = Because()


class Lane(Struct, frozen=True):
    """Where a session last went within one backend group: its KV cache is warm there."""

    use_case: str
    model: str
    replica: str
    confidence: float = 1.0


class Steer(Struct, frozen=True):
    """What a person asked of a session, and when: seconds since the epoch, 0: never."""

    pinned: str = ""  # the use case that its turns are for; empty: none
    pinned_at: float = 0.0
    bypass: bool | None = None  # whether turns may be bypassed; None: as the router's mode says
    bypass_at: float = 0.0


class Session(Struct, frozen=True):
    """What is remembered of a session, apart from its conversation."""

    owner: str
    turn: int  # counts the changes of the pin; a commit that read an older one does not overwrite it
    group: str  # the current lane's backend group
    lanes: dict[str, Lane]
    count: int
    created: float  # seconds since the epoch
    accessed: float
    chosen: float = 0.0  # when its use case was; after the choice that this one followed, whatever the clocks say
    steer: Steer = Steer()

    @property
    def lane(self) -> Lane:
        return self.lanes[self.group]


class Message(Struct, frozen=True):
    """One side's turn of a remembered conversation."""

    role: Literal["user", "assistant"]
    text: str
    attachments: tuple[Attachment, ...] = ()


class Usage(Struct, frozen=True):
    """Tokens of one exchange, as the upstream counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


_T = TypeVar("_T")
Headers = tuple[tuple[bytes, bytes], ...]  # names in lower case


class Patience(Protocol):
    """Tells a client that it has to wait, before its connection seems dead."""

    def decided(self, decision: Decision, model: str, admission: Admission | None) -> None:
        """What its request was decided on, the model that is preferred, and where its caller's requests are limited."""

    async def waiting(self, model: str, awaited: Awaitable[_T]) -> _T:
        """Wait until *model* is awake."""


class Trace(Protocol):
    """The spans of one request: `observe/tracing.py`. Call it with the record of what became of the request."""

    id: str | None  # 32 hexadecimal digits; None of a trace that is not kept

    def __call__(self, done: Any, /) -> None: ...

    async def session(self, awaited: Awaitable[_T]) -> _T:
        """Wait for the session."""

    async def classifying(self, awaited: Awaitable[Decision]) -> Decision:
        """Wait for a decision, which the classifier may have had a part in."""

    async def asking(self, model: str, replica: str, attempt: Callable[[Headers], Awaitable[_T]]) -> _T:
        """Wait until a replica accepts; *attempt* gets the headers that tell it of the trace."""

    def end(self) -> None:
        """The request is over, and whatever of it is still open."""
