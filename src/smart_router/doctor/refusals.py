"""What a refusal of the router means for whoever runs it, by its code."""

from collections.abc import Mapping

from smart_router.doctor.deployment import Answer

KEY = (
    "give the router's key with --key or API_KEY; `smart-router keys list` shows which there are: "
    "docs/security.md#who-may-use-the-router"
)
SERVER = (
    "start the model server, or correct its `endpoints` in the registry (VLLM_AGENT_URL, VLLM_MULTIMODAL_URL, "
    "VLLM_AUDIO_URL in the shipped one); from the router's host, `curl <endpoint>/health` must answer: "
    "docs/operations.md#smartroutermodelunavailable"
)
NOBODY = "see `model servers` above for which, and why: docs/operations.md#smartrouterusecaseunavailable"
BROKEN = "see the model server's own log, then restart it: docs/operations.md#smartroutererrorratehigh"
SLOW = (
    "see whether the model server hangs or has too much to do (its log, `vllm:num_requests_waiting` of its "
    "/metrics); FIRST_BYTE_TIMEOUT and OPEN_TIMEOUT bound the router's wait, --timeout this command's: "
    "docs/operations.md#smartroutererrorratehigh"
)
RATE = (
    "wait, or give --key one with room: requests_per_minute of the key, else RATE_LIMIT_PER_MINUTE, is used up: "
    "docs/security.md#how-much"
)
ROOM = (
    "more replicas in the registry's `endpoints`, or a higher max_in_flight or max_queue of the model if its server "
    "has room; QUEUE_TIMEOUT bounds the wait: docs/operations.md#smartrouterlimitshit"
)
SCOPE = (
    "make one with `smart-router keys create --scope route`, or widen its scopes, use_cases and models in the file "
    "of API_KEYS_FILE: docs/security.md#who-may-use-the-router"
)
POLICY = "`policy` in the registry, or of the key, refuses what doctor asks: docs/security.md#policy"
MISSING = (
    "have the server serve the model under its `served_as` in the registry (VLLM_AGENT_MODEL and the like in the "
    "shipped one; `curl <endpoint>/v1/models` lists what it has): docs/backends.md#errors"
)
LOCKED = "set the model's `api_key` in the registry to the key that its server wants: docs/backends.md#keys"
WAKING = (
    "`smart-router models` says why in TROUBLE; where it is only slow, raise MODEL_SWITCH_TIMEOUT: "
    "docs/model-lifecycle.md#when-something-is-wrong"
)
BUG = "see the router's log at that time (LOG_LEVEL=info); keep the stack: docs/operations.md#logs"
REJECTED = (
    "the model does not take what doctor sent: compare `accepts` and `api` in the registry with what its server can "
    "do: docs/backends.md#errors"
)
BODY = "a limit of a proxy, or MAX_BODY_BYTES, is lower than an attachment of some kilobytes: docs/configuration.md"
GATEWAY = "a proxy in front answers for the router: see its log, and its timeouts: docs/kubernetes.md#let-people-in"

BY_CODE: Mapping[str, str] = {
    "unauthorized": KEY,
    "forbidden": SCOPE,
    "policy_refused": POLICY,
    "body_too_large": BODY,
    "rate_limited": RATE,
    "overloaded": ROOM,
    "upstream_busy": ROOM,
    "no_model_available": NOBODY,
    "upstream_unreachable": SERVER,
    "model_not_ready": WAKING,
    "upstream_asleep": WAKING,
    "upstream_timeout": SLOW,
    "upstream_broke": BROKEN,
    "upstream_error": BROKEN,
    "upstream_model_missing": MISSING,
    "upstream_locked": LOCKED,
    "upstream_rejected": REJECTED,
    "context_overflow": REJECTED,
    "internal_error": BUG,
}


def seen(answer: Answer) -> str:
    """503 no_model_available: nothing that serves agent answers"""
    return f"{answer.status} {answer.code}".strip() + f": {answer.told}"


def advice(answer: Answer) -> str:
    if found := BY_CODE.get(answer.code):
        return found
    return GATEWAY if answer.status in (413, 502, 503, 504) else BUG
