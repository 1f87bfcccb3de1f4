"""
What a router says, named as on the wire. Fields that this client does not know are skipped, and those that an older
router does not send have defaults: only what makes no sense without is required.
"""

from typing import Any

from msgspec import Struct


class Decision(Struct, frozen=True, kw_only=True):
    """
    Where a query goes, and why.

    Attributes:
        use_case: what kind of query it is.
        selected_model: the model that answers.
        session_id: the session; the router makes one where none was given.
        confidence: of the decision, a probability.
        reason: `explicit`, `modality`, `session`, `classified`, `switched`, `fallback` or `degraded`.
        bypass_used: the session's standing choice was used again, without classifying.
        context_changed: the conversation has turned to another use case.
        new_session: this was the session's first turn.
        routing_time: what deciding took, in seconds.
        request_id: the name of the request in the router's log.
        fallback_from: the model that should have answered, where another one does.
    """

    use_case: str
    selected_model: str
    session_id: str
    confidence: float = 0.0
    reason: str = ""
    bypass_used: bool = False
    context_changed: bool = False
    new_session: bool = False
    routing_time: float = 0.0
    request_id: str = ""
    fallback_from: str | None = None


class Usage(Struct, frozen=True, kw_only=True):
    """Tokens, as the model server counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class Answer(Decision, frozen=True, kw_only=True):
    """
    A whole answer, with its decision.

    Attributes:
        result: the text.
        inference_time: what the model took, in seconds.
        total_time: what all took, in seconds.
        usage: tokens in and out.
        finish_reason: why it ends: `stop`, or `length` where `max_tokens` cut it off.
    """

    result: str
    inference_time: float = 0.0
    total_time: float = 0.0
    usage: Usage = Usage()
    finish_reason: str | None = None


class Because(Struct, frozen=True, kw_only=True):
    """
    What a decision rested on.

    Attributes:
        hint: the kinds of media that came with the query, or were said to.
        guard_cues: use case -> how much the words alone speak for it, a probability.
        session_prior: the session's standing use case.
        conflict: the use case that the text asks for, although it does not take what came with it.
        note: a sentence for people.
    """

    hint: tuple[str, ...] = ()
    guard_cues: dict[str, float] = {}
    session_prior: str | None = None
    conflict: str | None = None
    note: str = ""


class Classification(Struct, frozen=True, kw_only=True):
    """
    How a router would decide; nothing was asked or remembered.

    Attributes:
        use_case: what kind of query it is.
        selected_model: the model that would answer.
        confidence: a probability.
        reason: as of a `Decision`.
        scores: use case -> probability; empty where the encoder was not needed.
        because: what the decision rests on.
        bypass_used: the session's standing choice would be used again.
        context_changed: the conversation would turn to another use case.
        session_id: the session that was asked about.
        request_id: the name of the request in the router's log.
    """

    use_case: str
    selected_model: str
    confidence: float = 0.0
    reason: str = ""
    scores: dict[str, float] = {}
    because: Because = Because()
    bypass_used: bool = False
    context_changed: bool = False
    session_id: str | None = None
    request_id: str = ""


class Lane(Struct, frozen=True, kw_only=True):
    """The last choice within one group of models."""

    use_case: str = ""
    model_id: str = ""
    endpoint: str = ""


class SessionInfo(Struct, frozen=True, kw_only=True):
    """
    What a router keeps of a session.

    Attributes:
        session_id: its name.
        use_case: its standing use case.
        model_id: the model that it stands with.
        endpoint: the server that has its conversation cached.
        confidence: of that choice, a probability.
        request_count: turns so far.
        created_at: ISO 8601, UTC.
        last_accessed: ISO 8601, UTC.
        bypass_enabled: follow-ups skip classification.
        pinned: the use case was fixed by hand.
        lanes: group of models -> the last choice within it.
    """

    session_id: str
    use_case: str = ""
    model_id: str = ""
    endpoint: str = ""
    confidence: float = 0.0
    request_count: int = 0
    created_at: str = ""
    last_accessed: str = ""
    bypass_enabled: bool = False
    pinned: bool = False
    lanes: dict[str, Lane] = {}


class SessionPage(Struct, frozen=True, kw_only=True):
    """
    Some of a caller's own sessions.

    Attributes:
        sessions: the newest first, where the store can tell.
        next_cursor: for the next page; None at the end.
    """

    sessions: tuple[SessionInfo, ...]
    next_cursor: str | None = None


class UseCase(Struct, frozen=True, kw_only=True):
    """
    What can be routed to.

    Attributes:
        id: its name.
        description: what its queries want.
        models: in order of preference.
        modalities: `text`, `image`, `audio`, `video`: what may come with a query.
        default: what nothing else fits goes here.
        available: a model that serves it answers, or can be woken.
    """

    id: str
    description: str = ""
    models: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    default: bool = False
    available: bool = True


class Model(Struct, frozen=True, kw_only=True):
    """
    What an OpenAI client may name as `model`.

    Attributes:
        id: the name.
        kind: `auto`, `use_case` or `model`.
        description: in words.
        resolves_to: the models that may answer, in order.
        modalities: what may come with a query.
        available: one of them answers, or can be woken.
    """

    id: str
    kind: str = "model"
    description: str = ""
    resolves_to: tuple[str, ...] = ()
    modalities: tuple[str, ...] = ()
    available: bool = True


class EndpointHealth(Struct, frozen=True, kw_only=True):
    """A group of model servers: the best of its replicas speaks for it. `response_time` in seconds."""

    status: str
    endpoint: str = ""
    response_time: float | None = None
    replicas: tuple[dict[str, Any], ...] = ()


class Health(Struct, frozen=True, kw_only=True):
    """
    The state of every part.

    Attributes:
        status: `healthy`, `degraded` or `unhealthy`.
        timestamp: ISO 8601, UTC.
        bypass_router: the session store: `connected`, `degraded` or `embedded`.
        classifier: `kind` (`hybrid`, `lexical`) and `trouble`.
        model_endpoints: by group of models.
    """

    status: str
    bypass_router: str
    model_endpoints: dict[str, EndpointHealth]
    timestamp: str = ""
    classifier: dict[str, Any] = {}


class PartStats(Struct, frozen=True, kw_only=True):
    """Of one use case or model. Seconds."""

    requests: int = 0
    errors: int = 0
    average_inference_time: float = 0.0


class ModelState(Struct, frozen=True, kw_only=True):
    """
    How a model stands, as the router that was asked sees it.

    Attributes:
        state: such as `awake`, `sleeping`, `waking` or `failed`.
        group: models of a group share GPU memory.
        lifecycle: `always`, or how it comes and goes.
        in_flight: requests that it works on.
        waiting: requests that wait for it.
    """

    state: str
    group: str = ""
    lifecycle: str = ""
    in_flight: int = 0
    waiting: int = 0


class Stats(Struct, frozen=True, kw_only=True):
    """
    Counts and averages since counting began; times in seconds.

    Attributes:
        scope: `cluster`, over all routers that share a Redis, else `replica`.
        total_requests: of all paths.
        bypass_requests: those that skipped classification.
        bypass_rate_percent: their share of what was decided.
        use_cases: by use case.
        models: by model.
        model_states: by model.
    """

    total_requests: int
    scope: str = "replica"
    bypass_requests: int = 0
    full_routing_requests: int = 0
    failed_requests: int = 0
    session_creations: int = 0
    context_changes: int = 0
    bypass_rate_percent: float = 0.0
    average_routing_time: float = 0.0
    average_bypass_time: float = 0.0
    average_inference_time: float = 0.0
    average_total_time: float = 0.0
    use_cases: dict[str, PartStats] = {}
    models: dict[str, PartStats] = {}
    model_states: dict[str, ModelState] = {}
