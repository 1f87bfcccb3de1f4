"""
The OpenAI-style paths: a request is decided on and passed on as it came, but for `model`.

An allowlist: what is sent upstream is a path of `APIS`, never the client's own.
"""

import re
import uuid
from collections.abc import Awaitable, Mapping
from random import getrandbits

from msgspec import Struct
from msgspec.structs import replace

from smart_router.api.asgi import Receive, Scope, Send, check_length
from smart_router.api.body import Head, read_head, with_fields, with_model
from smart_router.api.conversation import Turn, derived_session, last_turn
from smart_router.api.envelopes import Dialect
from smart_router.api.passing import Pass
from smart_router.api.patience import with_patience
from smart_router.api.upload import Upload
from smart_router.api.visit import Desk, Visit
from smart_router.api.wants import BodyWants
from smart_router.errors import BadRequest, MethodNotAllowed, UnknownModel, UnknownPath
from smart_router.pipeline import Onwards, Pipeline
from smart_router.registry import Registry
from smart_router.sessions.base import Held
from smart_router.types import NOTHING, RESPONSE_ID, Ask, Grant, Headers, Keeps
from smart_router.upstream.base import Forward, Forwarded
from smart_router.upstream.fleet import Lease
from smart_router.upstream.response import Header

AUTO = "auto"


class Api(Struct, frozen=True):
    """
    One path. *needs*: what a model must be registered for when `auto` has no words to go by; *usual*: the use case that
    is meant, where the registry has one of that name; *limits*: the fields that say how long an answer may be, the one
    to fill in first; *events*: asked for a stream, it answers with server-sent events.
    """

    path: str
    keeps: Keeps = "session"
    needs: frozenset[str] = NOTHING
    usual: str | None = None
    dialect: Dialect = "openai"
    upload: bool = False
    limits: tuple[str, ...] = ()
    events: bool = False


_TRANSCRIBES = frozenset({"transcriptions", "speech_recognition"})

APIS: Mapping[str, Api] = {
    api.path: api
    for api in (
        Api("/v1/chat/completions", limits=("max_tokens", "max_completion_tokens"), events=True),
        Api("/v1/completions", limits=("max_tokens",), events=True),
        Api("/v1/responses", dialect="responses", limits=("max_output_tokens",), events=True),
        Api("/v1/messages", dialect="anthropic", limits=("max_tokens",), events=True),
        Api("/v1/messages/count_tokens", "peek", dialect="anthropic"),
        Api("/tokenize", "peek"),
        Api("/detokenize", "peek"),
        Api("/v1/embeddings", "nothing", frozenset({"embeddings", "embedding"})),
        Api("/v1/rerank", "nothing", frozenset({"rerank", "reranking"})),
        Api("/v1/score", "nothing", frozenset({"score", "scoring", "rerank", "reranking"})),
        Api("/v1/audio/speech", "nothing", frozenset({"speech", "speech_generation"}), "tts"),
        Api("/v1/audio/transcriptions", "nothing", _TRANSCRIBES, "stt", upload=True),
        Api("/v1/audio/translations", "nothing", _TRANSCRIBES, "stt", upload=True),
    )
}
# A minimal chat: `model` may be left out, and it streams unless told not to.
CHAT_PATH = "/api/chat"
CHAT = APIS["/v1/chat/completions"]
_RESPONSE = re.compile(rf"/v1/responses/({RESPONSE_ID})(/cancel)?")
# Passed on: what describes the body, and what follows a request through a system.
_PASSED_ON = frozenset({
    b"content-type", b"accept", b"traceparent", b"tracestate", b"anthropic-version", b"anthropic-beta",
})  # fmt: skip
# Then the trace goes on with a span of our own.
_PASSED_ON_WHEN_TRACED = _PASSED_ON - {b"traceparent", b"tracestate"}


class OpenAIApi:
    """The handlers of `APIS`, and of stored responses."""

    def __init__(self, pipeline: Pipeline, desk: Desk, registry: Registry) -> None:
        self._pipeline = pipeline
        self._desk = desk
        self._registry = registry
        self._ids = _ids(registry)
        self._comes_and_goes = registry.comes_and_goes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Any path under `/v1/` that nobody else serves."""
        api = CHAT if scope["path"] == CHAT_PATH else APIS.get(scope["path"])
        visit = Visit(scope, receive, self._desk.presence, api.dialect if api else "openai", self._desk.tracing)
        passing: Pass | None = None
        attempt: Onwards
        try:
            if api is None:
                visit.ask, attempt = await self._stored(visit, scope)
            else:
                ask, attempt = await self._asked(visit, api, scope, receive)
                patient = api.events and self._comes_and_goes
                visit.ask = with_patience(ask, visit, send, self._desk.settings) if patient else ask
            passing = Pass(await self._pipeline.forward(visit.ask, attempt), visit, self._desk.settings.send_timeout)
            await passing(send)
        except BaseException as exc:
            await self._desk.failed(visit, send, exc, observe=passing is None)
        finally:
            visit.leave()

    async def _asked(self, visit: Visit, api: Api, scope: Scope, receive: Receive) -> tuple[Ask, Onwards]:
        grant = self._desk.admit(visit, scope)
        if api.upload:
            return await self._uploaded(visit, api, grant, receive)
        body = await visit.json_body(receive, self._desk.settings)
        head = read_head(body)
        if visit.path == CHAT_PATH and (lacking := _lacking(head)):
            body = with_fields(body, lacking)
            head = read_head(body)
        await self._desk.armour.inspect(body, head)
        return await self._read(visit, api, grant, body, head)

    async def _read(self, visit: Visit, api: Api, grant: Grant, body: bytes, head: Head) -> tuple[Ask, Onwards]:
        use_case, model = self.resolve(head.model)
        session = visit.session(None if b"x-session-id" in visit.headers else head.session_id)
        turn = Turn()
        if (model is None or session is None) and not api.needs:
            turn = last_turn(head)
        held = await self._previous(api, grant.id, head.previous_response_id)
        if held is not None:
            model = held.model
        if session is None:
            session = held.session_id if held else _session_of(head, grant.id, turn)
        ask = Ask(
            visit.request_id,
            grant.id,
            turn.text,
            session,
            use_case=use_case,
            stream=head.stream is True,
            model=model,
            media=turn.media,
            carried=turn.carried,
            needs=api.needs,
            usual=api.usual,
            keeps=api.keeps,
            held_at=held.replica if held else None,
            path=api.path,
            previous=turn.previous,
            debug=visit.debug,
            grant=grant.limits,
            wants=BodyWants(body, api.limits),
            trace=visit.trace,
        )
        return ask, Onward(api, self._headers(visit), body, head)

    async def _previous(self, api: Api, caller: str, id: str | None) -> Held | None:
        """
        Where the response is kept that this request goes on from.

        Raises:
            UnknownPath: nobody knows it, or it is another caller's.
        """
        if api.dialect != "responses" or id is None:
            return None
        held = await self._held(caller, id) if re.fullmatch(RESPONSE_ID, id) else None
        if held is None:
            raise UnknownPath(
                "previous_response_id: no such response is known, it may have expired; send what was said in `input`"
            )
        return held

    async def _held(self, caller: str, id: str) -> Held | None:
        """None also where the model that answered is not registered any more."""
        held = await self._pipeline.held(caller, id)
        return held if held is not None and held.model in self._registry.models else None

    async def _uploaded(self, visit: Visit, api: Api, grant: Grant, receive: Receive) -> tuple[Ask, Onwards]:
        most, headers = self._desk.settings.max_body_bytes, visit.headers
        check_length(headers.get(b"content-length"), most)
        visit.expect_body(self._desk.settings)
        upload = Upload(
            headers.get(b"content-type", b""), headers.get(b"content-length"), receive, most, visit.presence
        )
        await upload.begin()
        use_case, model = self.resolve(upload.model)
        session = visit.session(None) or uuid.uuid4().hex
        ask = Ask(
            visit.request_id,
            grant.id,
            "",
            session,
            use_case=use_case,
            model=model,
            needs=api.needs,
            usual=api.usual,
            keeps=api.keeps,
            path=api.path,
            debug=visit.debug,
            grant=grant.limits,
            trace=visit.trace,
        )
        return ask, OnwardUpload(api.path, self._headers(visit), upload)

    async def _stored(self, visit: Visit, scope: Scope) -> tuple[Ask, Onwards]:
        """`GET /v1/responses/{id}` and `POST /v1/responses/{id}/cancel`: only the replica that answered knows it."""
        found = _RESPONSE.fullmatch(scope["path"])
        if found is None:
            raise UnknownPath(f"{visit.path[:200]}: there is no such path here; see /docs for what there is")
        caller = self._desk.door.enter(scope, "route").id
        id, cancel = found.groups()
        method = "POST" if cancel else "GET"
        if scope["method"] != method:
            raise MethodNotAllowed(visit.path, method)
        visit.presence.all_read()
        held = await self._held(caller, id)
        if held is None:
            raise UnknownPath(f"no response {id} is known, it may have expired; ask anew with POST /v1/responses")
        ask = Ask(
            visit.request_id, caller, "", held.session_id, model=held.model, keeps="nothing", held_at=held.replica,
            path="/v1/responses/{id}", debug=visit.debug, trace=visit.trace,
        )  # fmt: skip
        query = b"?" + scope["query_string"] if scope["query_string"] and not cancel else b""
        return ask, Stored(method, found[0], query, self._headers(visit))

    def resolve(self, name: object) -> tuple[str | None, str | None]:
        """
        Use case and model that a client's `model` stands for; both None for `auto`.

        Raises:
            BadRequest: there is none.
            UnknownModel: nothing here is called that.
        """
        if name == AUTO:
            return None, None
        if not isinstance(name, str) or not name:
            raise BadRequest(f"model: is missing; send {AUTO}, a use case or a model: {', '.join(self._ids)}")
        if name in self._registry.use_cases:
            return name, None
        model = self._ids.get(name)
        if model is None:
            raise UnknownModel(f"model: there is no {name[:100]!r} here; there are {', '.join(self._ids)}")
        return None, model

    def _headers(self, visit: Visit) -> tuple[Header, ...]:
        passes = _PASSED_ON if visit.trace is None else _PASSED_ON_WHEN_TRACED
        passed = [(name, value) for name, value in visit.headers.items() if name in passes]
        # vLLM makes it the id of its own request, which must be its only one: a client may send one id twice.
        return (*passed, (b"x-request-id", f"{visit.request_id}-{getrandbits(32):08x}".encode()))


def _ids(registry: Registry) -> dict[str, str | None]:
    """What `model` may be, and the model that it names, if it names one. A server's own name for a model works too."""
    served = [model.served_name for model in registry.models.values()]
    aliases = {m.served_name: m.id for m in registry.models.values() if served.count(m.served_name) == 1}
    use_cases: dict[str, str | None] = dict.fromkeys(registry.use_cases)
    return {AUTO: None} | use_cases | aliases | {id: id for id in registry.models}


def _lacking(head: Head) -> dict[str, object]:
    """What `/api/chat` fills in."""
    model: dict[str, object] = {} if isinstance(head.model, str) else {"model": AUTO}
    return model if isinstance(head.stream, bool) else model | {"stream": True}


def _session_of(head: Head, caller: str, turn: Turn) -> str:
    reference = head.conversation_ref
    opening = (reference,) if reference is not None else turn.opening
    return derived_session(caller, opening) or uuid.uuid4().hex


class Onward:
    """Passes a JSON body on, under the name that the server knows the model by."""

    again = True

    def __init__(self, api: Api, headers: tuple[Header, ...], body: bytes, head: Head) -> None:
        self._api = api
        self._headers = headers
        self._body = body
        self._head = head

    def __call__(self, lease: Lease, within_s: float, headers: Headers = ()) -> Awaitable[Forwarded]:
        body = with_model(self._body, self._head, lease.model.served_name)
        path = self._api.path.encode()
        forward = Forward(path, body, self._headers + headers, stream=self._head.stream is True, model=lease.model)
        return lease.upstream.forward(forward, lease.endpoint, within_s)

    def filled(self, most_tokens: int) -> "Onward":
        body = with_fields(self._body, {self._api.limits[0]: most_tokens})
        return Onward(self._api, self._headers, body, self._head)


class OnwardUpload:
    """Passes an upload on while it arrives."""

    def __init__(self, path: str, headers: tuple[Header, ...], upload: Upload) -> None:
        self._path = path.encode()
        self._headers = headers
        self._upload = upload

    @property
    def again(self) -> bool:
        return self._upload.again

    def __call__(self, lease: Lease, within_s: float, headers: Headers = ()) -> Awaitable[Forwarded]:
        body, length = self._upload.with_model(lease.model.served_name)
        forward = Forward(self._path, body, self._headers + headers, length=length, model=lease.model)
        return lease.upstream.forward(forward, lease.endpoint, within_s)

    def filled(self, most_tokens: int) -> "OnwardUpload":
        return self  # no upload says how long its answer may be


class Stored:
    """Asks for an answer that a server keeps."""

    again = False

    def __init__(self, method: str, path: str, query: bytes, headers: tuple[Header, ...]) -> None:
        self._forward = Forward(path.encode() + query, headers=headers, method=method.encode())

    def __call__(self, lease: Lease, within_s: float, headers: Headers = ()) -> Awaitable[Forwarded]:
        forward = replace(self._forward, headers=self._forward.headers + headers, model=lease.model)
        return lease.upstream.forward(forward, lease.endpoint, within_s)

    def filled(self, most_tokens: int) -> "Stored":
        return self  # it is answered already
