"""
Every error a client can see, each with its HTTP status, code and, where trying again helps, a delay.

    RouterError
    ├── BadRequest 400                 the request is at fault; the message says what to send
    │   ├── BodyTooLarge 413
    │   ├── MethodNotAllowed 405
    │   └── UnsupportedMedia 415
    ├── Unauthorized 401
    ├── Forbidden 403
    │   └── PolicyRefused              an operator's rule is against what is asked for, whatever model would answer
    ├── TooManyRequests 429            a limit of the caller; its model was not asked
    ├── UnknownSession 404             also for another caller's session: same body
    ├── UnknownUseCase 404
    ├── UnknownModel 404
    ├── UnknownPath 404
    ├── ModelConflict 409              a model cannot be loaded, put to sleep or pinned as things stand
    │   ├── NotManaged                 its lifecycle is always
    │   ├── ModelKept                  it is preloaded or pinned
    │   ├── ModelBusy                  requests are at it, or wait for it
    │   └── NoRoom                     whoever has the room is preloaded or pinned
    ├── BadConfiguration 422           a file of the operator's is at fault; the message names the place
    ├── UpstreamError 502              one attempt at one replica failed
    │   ├── BackendUnreachable         no connection; another replica may answer
    │   ├── BackendAsleep              its server sleeps: it has to be woken first
    │   ├── BackendBroke               an answer that cannot be used
    │   │   ├── BackendLost            the connection broke
    │   │   └── BackendAway            a proxy in front of it says that it is not there
    │   ├── BackendModelMissing        the server does not have this model; others of its models are well
    │   ├── BackendLocked              the server does not take the router's key
    │   ├── BackendBusy 503            told us to come back later
    │   ├── BackendTimeout 504         too slow
    │   └── BackendRejected 4xx        the model server refuses this request: no other replica would take it
    │       └── ContextOverflow        it is too long for the model; with less of the conversation it may fit
    ├── OrderFailed 502                a model server did not load or put to sleep what it was told to
    ├── StoreAway 503                  what only Redis could do, while it does not answer
    └── NoModelAvailable 503           nothing that serves the use case answers
        ├── ModelNotReady              it sleeps, and could not be woken in time
        ├── LinksWait                  too many hosts of other links are being looked up; no model was asked
        └── Overloaded                 it has no room: its queue is full, or the wait was too long

`make docs` makes docs/reference/errors.md of this file: of each class's docstring, whose first paragraph says when it
happens, of *remedy*, what its caller does then, and *operator*, what whoever runs the router does.

Not for clients: ConfigurationError (stops the start), StoreUnavailable (sessions go on in the process; 503 for what
only Redis could do), ArtifactUnusable (the classifier goes on with what it has), LifecycleFailed (a model could not be
woken or put to sleep).
"""

from smart_router.types import Admission, Decision


class RouterError(Exception):
    """
    Something went wrong in the router itself: a mistake of ours.

    *decision* and *routing_s* are set where the request had been decided before it failed, *admission* where its
    caller's requests are limited, *limit* to which limit of the caller or the model refused it, for the metric.
    *then* follows the message where that says only what happened.
    """

    status = 500
    code = "internal_error"
    remedy = "Ask again. If it fails again, give `request_id` to whoever runs the router."
    operator = "The log has the error with the same `request_id`, and where it happened. Please report it."
    then = ""
    retry_after_s: float | None = None
    admission: Admission | None = None
    limit: str | None = None
    decision: Decision | None = None
    routing_s: float | None = None

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s


class BadRequest(RouterError):
    """
    The request cannot be served as it is: a field is missing, unknown, out of bounds, or known to harm a model server.
    """

    status = 400
    code = "bad_request"
    remedy = (
        "Change what the message names, and send it again; the same request will be refused again. `POST /classify` "
        "tries a request without side effects."
    )
    operator = (
        "Limits are settings: `MAX_QUERY_CHARS`, `MAX_ATTACHMENTS`, `MAX_CHOICES`, `MEDIA_HOSTS`, `ALLOW_PARAMETERS`, "
        "`BODY_TIMEOUT`."
    )


class BodyTooLarge(BadRequest):
    """The body has more bytes than `MAX_BODY_BYTES`, attachments included."""

    status = 413
    code = "body_too_large"
    remedy = "Send less: a smaller picture, a shorter recording, or a link (`url`) in place of the file's bytes."
    operator = "`MAX_BODY_BYTES` may be raised, and with it the limit of every proxy in front."


class UnsupportedMedia(BadRequest):
    """The body is of another type than this path reads, or compressed."""

    status = 415
    code = "unsupported_media_type"
    remedy = (
        "Send `Content-Type: application/json`; a file to transcribe as `multipart/form-data`; neither with "
        "`Content-Encoding`."
    )
    operator = ""


class MethodNotAllowed(BadRequest):
    """The path is there, but not for this method."""

    status = 405
    code = "method_not_allowed"
    remedy = "Use the method that the message and the header `Allow` name."
    operator = ""

    def __init__(self, path: str, allowed: str) -> None:
        super().__init__(f"{path} takes {allowed}; send that instead")
        self.allowed = allowed


class Unauthorized(RouterError):
    """The router wants a key, and got none that it knows."""

    status = 401
    code = "unauthorized"
    remedy = (
        "Send the router's key, not a model server's, as `Authorization: Bearer …` or `X-API-Key: …`, in one header. "
        "A key that worked before has been revoked: ask for another."
    )
    operator = "`API_KEY` is the shared one; `smart-router keys list` names those of the file, `keys create` makes one."


class Forbidden(RouterError):
    """The key is known, but is not for this path, use case or model."""

    status = 403
    code = "forbidden"
    remedy = "Name a use case or a model that the message lists, or use a key with the scope that it names."
    operator = (
        "A key's scopes, use cases and models are in the file of keys (`API_KEYS_FILE`), read again as it changes."
    )


class PolicyRefused(Forbidden):
    """
    A rule of the operator's is against what is asked for, whichever model would answer.

    *rule* is the field, or the place of the pattern, that decided; *field* is given where one is at fault.
    """

    code = "policy_refused"
    limit = "policy"
    remedy = "Do as the message says: a cap names the field and what to send; for a text the words are the operator's."
    operator = (
        "The log's line `refused by policy` names the rule. Rules are `policy` in the registry and in the file of keys."
    )

    def __init__(self, message: str, rule: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.rule = rule
        self.field = field


class TooManyRequests(RouterError):
    """A limit of the caller's key is reached: requests a minute, or requests under way. No model was asked."""

    status = 429
    code = "rate_limited"
    remedy = (
        "Wait for as long as `Retry-After` says. `X-RateLimit-Remaining` tells beforehand how many requests are left."
    )
    operator = "`RATE_LIMIT_PER_MINUTE`, or `requests_per_minute`, `burst` and `concurrency` of the key."

    def __init__(
        self, message: str, limit: str = "rate", *, retry_after_s: float = 1.0, admission: Admission | None = None
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.limit = limit
        self.admission = admission


class UnknownSession(RouterError):
    """There is no such session of this caller's: it expired, was ended, or is another caller's."""

    status = 404
    code = "unknown_session"
    remedy = (
        "Go on without it: the next turn with that id begins a new session. What was said before is to be sent again."
    )
    operator = "`SESSION_TIMEOUT` is how long a session lives after its last turn; a full Redis forgets sooner."


class UnknownUseCase(RouterError):
    """`use_case` names none of the registry's."""

    status = 404
    code = "unknown_use_case"
    remedy = (
        "Send one that the message lists, or leave `use_case` out: then the query decides. `GET /use-cases` has all."
    )
    operator = "Use cases are `use_cases` of the registry; `POST /admin/reload` reads a changed one."


class UnknownModel(RouterError):
    """`model` names neither a model of the registry nor a use case, nor `auto`."""

    status = 404
    code = "model_not_found"
    remedy = "Send `auto`, or a name that the message lists. `GET /v1/models` has all that your key is for."
    operator = "Models are `models` of the registry; clients use the `id`, not `served_as`."


class UnknownPath(RouterError):
    """There is no such path here, or no stored response of this id."""

    status = 404
    code = "not_found"
    remedy = (
        "Look for a slip, such as `/v1` twice in a base URL; `/docs` shows what there is. A stored response "
        "(`/v1/responses/{id}`) that is not known any more has to be asked for anew."
    )
    operator = "Other paths of a model server are not passed on, on purpose."


class ModelConflict(RouterError):
    """A model cannot be loaded, put to sleep or pinned as things stand."""

    status = 409
    code = "model_conflict"
    remedy = "`GET /models` shows how things stand; change what the message names, then order it again."
    operator = ""


class NotManaged(ModelConflict):
    """The model is always awake: its `lifecycle` is `always`."""

    code = "not_managed"
    remedy = "Give it another `lifecycle` in the registry, or leave it alone."


class ModelKept(ModelConflict):
    """The model is to be put to sleep, and is pinned, preloaded, or carries an adapter that is."""

    code = "model_kept"
    remedy = "Unpin it (`DELETE /models/{id}/pin`). What `ROUTING_MODE=realtime` preloads stays awake."


class ModelBusy(ModelConflict):
    """The model is to be put to sleep while requests are at it or wait for it, or another router is at its group."""

    code = "model_busy"
    remedy = "Order it again once it is idle."


class NoRoom(ModelConflict):
    """The model is to be woken, and whoever has the room is pinned or preloaded."""

    code = "no_room"
    remedy = (
        "Unpin one that the message names, or have more room: `max_resident` of the group, `MAX_CONCURRENT_MODELS`."
    )


class BadConfiguration(RouterError):
    """A file that was to be read again is wrong; everything stays as it was."""

    status = 422
    code = "bad_configuration"
    remedy = "Mend the place that the message names, and reload again."
    operator = "The log has the same message."


class StoreAway(RouterError):
    """Redis does not answer, and this call is about what only it knows. Routing goes on without it."""

    status = 503
    code = "store_unavailable"
    retry_after_s = 1.0
    remedy = "Ask again shortly."
    operator = "See [SmartRouterRedisDegraded](../operations.md#smartrouterredisdegraded)."


class UpstreamError(RouterError):
    """
    A model server could not give an answer, and no other was left to ask.

    *replica_at_fault*: the replica is not fit to be asked; a bad answer to one request does not say that.
    """

    status = 502
    code = "upstream_error"
    replica_at_fault = False
    remedy = "Ask again; the session is kept. If it goes on, tell whoever runs the router."
    operator = "`GET /health` says which replica fails and why (`trouble`); the log's line `attempt failed` names it."
    then = "ask again shortly; if it goes on, tell whoever runs the router"


class BackendUnreachable(UpstreamError):
    """No connection to the model server was made in time. With several replicas another one is asked first."""

    code = "upstream_unreachable"
    replica_at_fault = True
    operator = "Is the server up, and is its address in the registry right as seen from the router? `CONNECT_TIMEOUT`."


class BackendAsleep(UpstreamError):
    """
    The model server sleeps. One that the registry lets come and go is woken; one that is `always` awake is not.

    It has done nothing wrong.
    """

    status = 503
    code = "upstream_asleep"
    retry_after_s = 1.0
    remedy = "Ask again after `Retry-After`."
    operator = "Wake it by hand, or give it `lifecycle: sleep`: [models that come and go](../model-lifecycle.md)."


class BackendBroke(UpstreamError):
    """The model server's answer cannot be used: an error of its own, or no answer in the form that was asked for."""

    code = "upstream_broke"
    operator = "The model server's own log says why. Does `backend` in the registry fit what runs there?"


class BackendLost(BackendBroke):
    """
    The connection to the model server broke, maybe in mid-answer.

    One lost connection does not say that the next is; who is gone refuses it.
    """

    remedy = "Ask again; in a stream, what came before the error is all there is of that answer."
    operator = "Did the model server restart, or run out of memory? A proxy in between may cut long answers."


class BackendAway(BackendBroke):
    """A proxy in front of the model server says that it is not there (502, 504)."""

    replica_at_fault = True
    operator = "Look at the proxy, and at the server behind it."


class BackendModelMissing(UpstreamError):
    """
    The model server does not have the model that the registry says it serves.

    Who does not have one model is no worse for another.
    """

    code = "upstream_model_missing"
    replica_at_fault = True
    remedy = "Tell whoever runs the router; asking again does not help."
    operator = "Correct `served_as` in the registry, or have the server serve that name; with Ollama, pull the model."
    then = ""


class BackendLocked(UpstreamError):
    """
    The model server does not take the router's key.

    The key is the router's own: a client's never goes upstream.
    """

    code = "upstream_locked"
    replica_at_fault = True
    remedy = "Tell whoever runs the router; your own key is not the reason."
    operator = "Give the model the right `api_key` in the registry."
    then = ""


class BackendBusy(UpstreamError):
    """All servers of the model are busy, or told the router to come back later."""

    status = 503
    code = "upstream_busy"
    retry_after_s = 1.0
    remedy = "Ask again after `Retry-After`, with more time from one try to the next."
    operator = "More replicas, a higher `max_in_flight` or `max_queue`, or another model as a fallback."
    then = "try again shortly"


class BackendTimeout(UpstreamError):
    """The model server was too slow: no first content, a gap in its answer, or no whole answer in time."""

    status = 504
    code = "upstream_timeout"
    remedy = "Ask for less (`max_tokens`), or stream: then only gaps count. Ask again."
    operator = "`FIRST_BYTE_TIMEOUT`, `BETWEEN_CHUNKS_TIMEOUT`, `OPEN_TIMEOUT`; is the server overloaded?"
    then = "ask again, for a shorter answer or as a stream"


class BackendRejected(UpstreamError):
    """The model server refuses this request; no other replica would take it. The status is the server's own, 4xx."""

    code = "upstream_rejected"
    remedy = "The message is the model server's: change what it names. The same request will be refused again."
    operator = ""
    then = ""

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ContextOverflow(BackendRejected):
    """The request is longer than the model reads, even without what was said before."""

    code = "context_overflow"
    remedy = "Send a shorter text, or ask for fewer tokens (`max_tokens`), or name a model that reads more."
    operator = "`--max-model-len` of the server is how much it reads; Ollama's is `OLLAMA_CONTEXT_LENGTH`."


class OrderFailed(RouterError):
    """A model server did not load, or did not put to sleep, what it was told to."""

    status = 502
    code = "lifecycle_failed"
    remedy = "Mend what the message names, then order it again."
    operator = "See [when something is wrong](../model-lifecycle.md#when-something-is-wrong)."


class NoModelAvailable(RouterError):
    """Nothing that serves the use case answers."""

    status = 503
    code = "no_model_available"
    retry_after_s = 2.0
    remedy = "Ask again after `Retry-After`. `GET /use-cases` says which use cases are available."
    operator = (
        "`GET /health` names each replica's `trouble`; then "
        "[SmartRouterUseCaseUnavailable](../operations.md#smartrouterusecaseunavailable)."
    )


class ModelNotReady(NoModelAvailable):
    """The model sleeps, and could not be woken in time. A wake that has begun goes on."""

    code = "model_not_ready"
    remedy = "Ask again after `Retry-After`: that is how long waking it usually takes."
    operator = (
        "`GET /models` says how it stands; [SmartRouterModelWakeFails](../operations.md#smartroutermodelwakefails)."
    )


class LinksWait(NoModelAvailable):
    """Too many hosts of other requests' links are being looked up; no model was asked."""

    code = "overloaded"
    retry_after_s = 1.0
    limit = "links"
    remedy = "Ask again after `Retry-After`, or send the file's bytes (base64) in place of a link."
    operator = "Slow DNS, or somebody sends many links: [links to media](../security.md#links-to-media)."


class Overloaded(NoModelAvailable):
    """
    There is no room at the model: too many requests wait for it already, or this one has waited too long.

    *limit* is which one, for the metric.
    """

    code = "overloaded"
    retry_after_s = 1.0
    remedy = "Ask again after `Retry-After`, with more time from one try to the next."
    operator = (
        "More replicas, or `max_in_flight`, `max_queue` and `QUEUE_TIMEOUT`; "
        "[SmartRouterLimitsHit](../operations.md#smartrouterlimitshit)."
    )

    def __init__(self, message: str, limit: str = "queue_full") -> None:
        super().__init__(message)
        self.limit = limit


class ConfigurationError(Exception):
    """The process must not start; the message names the place and what would be right."""

    remedy = "Mend each place that is named, one a line, and start again."


class StoreUnavailable(Exception):
    """The session store did not answer in time."""

    remedy = "Nothing for callers. See [SmartRouterRedisDegraded](../operations.md#smartrouterredisdegraded)."


class ArtifactUnusable(Exception):
    """A classifier artifact is missing, damaged or stale; the message says which."""

    remedy = (
        "`classifier.trouble` of `GET /health` says what is wrong; mostly `smart-router classifier build` mends it."
    )


class LifecycleFailed(Exception):
    """A model could not be woken or put to sleep; the message names it and says what an operator should change."""

    remedy = "See [when something is wrong](../model-lifecycle.md#when-something-is-wrong)."
