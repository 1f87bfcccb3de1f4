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
    └── NoModelAvailable 503           nothing that serves the use case answers
        ├── ModelNotReady              it sleeps, and could not be woken in time
        ├── LinksWait                  too many hosts of other links are being looked up; no model was asked
        └── Overloaded                 it has no room: its queue is full, or the wait was too long

Not for clients: ConfigurationError (stops the start), StoreUnavailable (sessions go on in the process; 503 for what
only Redis could do), ArtifactUnusable (the classifier goes on with what it has), LifecycleFailed (a model could not be
woken or put to sleep).
"""

from smart_router.types import Admission, Decision


class RouterError(Exception):
    """
    *decision* and *routing_s* are set where the request had been decided before it failed, *admission* where its
    caller's requests are limited, *limit* to which limit of the caller or the model refused it, for the metric.
    """

    status = 500
    code = "internal_error"
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
    status = 400
    code = "bad_request"


class BodyTooLarge(BadRequest):
    status = 413
    code = "body_too_large"


class UnsupportedMedia(BadRequest):
    status = 415
    code = "unsupported_media_type"


class MethodNotAllowed(BadRequest):
    status = 405
    code = "method_not_allowed"

    def __init__(self, path: str, allowed: str) -> None:
        super().__init__(f"{path} takes {allowed}")
        self.allowed = allowed


class Unauthorized(RouterError):
    status = 401
    code = "unauthorized"


class Forbidden(RouterError):
    status = 403
    code = "forbidden"


class PolicyRefused(Forbidden):
    """*rule* is the field, or the place of the pattern, that decided; *field* is given where one is at fault."""

    code = "policy_refused"
    limit = "policy"

    def __init__(self, message: str, rule: str = "", field: str | None = None) -> None:
        super().__init__(message)
        self.rule = rule
        self.field = field


class TooManyRequests(RouterError):
    status = 429
    code = "rate_limited"

    def __init__(
        self, message: str, limit: str = "rate", *, retry_after_s: float = 1.0, admission: Admission | None = None
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.limit = limit
        self.admission = admission


class UnknownSession(RouterError):
    status = 404
    code = "unknown_session"


class UnknownUseCase(RouterError):
    status = 404
    code = "unknown_use_case"


class UnknownModel(RouterError):
    status = 404
    code = "model_not_found"


class UnknownPath(RouterError):
    status = 404
    code = "not_found"


class ModelConflict(RouterError):
    status = 409
    code = "model_conflict"


class NotManaged(ModelConflict):
    code = "not_managed"


class ModelKept(ModelConflict):
    code = "model_kept"


class ModelBusy(ModelConflict):
    code = "model_busy"


class NoRoom(ModelConflict):
    code = "no_room"


class BadConfiguration(RouterError):
    status = 422
    code = "bad_configuration"


class UpstreamError(RouterError):
    """*replica_at_fault*: the replica is not fit to be asked; a bad answer to one request does not say that."""

    status = 502
    code = "upstream_error"
    replica_at_fault = False


class BackendUnreachable(UpstreamError):
    code = "upstream_unreachable"
    replica_at_fault = True


class BackendAsleep(UpstreamError):
    """It has done nothing wrong."""

    status = 503
    code = "upstream_asleep"
    retry_after_s = 1.0


class BackendBroke(UpstreamError):
    code = "upstream_broke"


class BackendLost(BackendBroke):
    """One lost connection does not say that the next is; who is gone refuses it."""


class BackendAway(BackendBroke):
    replica_at_fault = True


class BackendModelMissing(UpstreamError):
    """Who does not have one model is no worse for another."""

    code = "upstream_model_missing"
    replica_at_fault = True


class BackendLocked(UpstreamError):
    """The key is the router's own: a client's never goes upstream."""

    code = "upstream_locked"
    replica_at_fault = True


class BackendBusy(UpstreamError):
    status = 503
    code = "upstream_busy"
    retry_after_s = 1.0


class BackendTimeout(UpstreamError):
    status = 504
    code = "upstream_timeout"


class BackendRejected(UpstreamError):
    code = "upstream_rejected"

    def __init__(self, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ContextOverflow(BackendRejected):
    code = "context_overflow"


class OrderFailed(RouterError):
    status = 502
    code = "lifecycle_failed"


class NoModelAvailable(RouterError):
    status = 503
    code = "no_model_available"
    retry_after_s = 2.0


class ModelNotReady(NoModelAvailable):
    code = "model_not_ready"


class LinksWait(NoModelAvailable):
    code = "overloaded"
    retry_after_s = 1.0
    limit = "links"


class Overloaded(NoModelAvailable):
    """*limit* is which one, for the metric."""

    code = "overloaded"
    retry_after_s = 1.0

    def __init__(self, message: str, limit: str = "queue_full") -> None:
        super().__init__(message)
        self.limit = limit


class ConfigurationError(Exception):
    """The process must not start; the message names the place and what would be right."""


class StoreUnavailable(Exception):
    """The session store did not answer in time."""


class ArtifactUnusable(Exception):
    """A classifier artifact is missing, damaged or stale; the message says which."""


class LifecycleFailed(Exception):
    """A model could not be woken or put to sleep; the message names it and says what an operator should change."""
