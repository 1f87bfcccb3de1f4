"""Prometheus metrics. Label values come from the registry and from our own vocabulary, never from a client."""

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from smart_router.observe.finished import Finished
from smart_router.observe.tally import UNLABELLED, Counter, Gauge, Histogram

PREFIX = "smart_router"
# From a bypass in tens of microseconds to a long generation, in seconds.
BUCKETS = (
    50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60,
)  # fmt: skip
CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
NONE = "none"
BYPASS, CLASSIFIED = ("bypass",), ("classified",)


class Metrics:
    """One process's metrics in a registry of their own. Call it with each finished exchange, on the event loop."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("requests", "Finished requests.", "use_case", "model", "reason", "outcome")
        self.bypass = self._counter("bypass", "Turns that reused the session's choice without the encoder.")
        self.context_changes = self._counter("context_changes", "Turns that left the session's use case.", "from", "to")
        self.sessions_created = self._counter("sessions_created", "First turns of a session.")
        self.routing = self._histogram("routing_seconds", "From the request to the decision.", "path")
        self.overhead = self._histogram("overhead_seconds", "Total time minus the wait for the upstream.")
        self.first_token = self._histogram("time_to_first_token_seconds", "Upstream's first content.", "model")
        self.inference = self._histogram("inference_seconds", "From asking the upstream to its end.", "model")
        self.tokens = self._counter("tokens", "Tokens as the upstream counts them.", "model", "kind")
        self.fallbacks = self._counter("fallbacks", "Answers by another model than the preferred one.", "from", "to")
        self.in_flight = self._gauge("in_flight", "Requests at a replica now.", "model", "replica")
        self.replica_healthy = self._gauge(
            "replica_healthy", "1 if the replica answers, or sleeps.", "model", "replica"
        )
        self.replica_ejected = self._gauge(
            "replica_ejected", "1 while the replica is left out, as it fails requests.", "model", "replica"
        )
        # *kind* is the code of an UpstreamError, whether the replica failed before it accepted or in mid-answer.
        self.failures = self._counter("upstream_failures", "Failed attempts at a replica.", "model", "kind")
        self.retries = self._counter("retries", "Attempts after the first of a request.")
        self.redis_degraded = self._gauge("redis_degraded", "1 while the session store does not answer.")
        self.redis = self._histogram("redis_seconds", "Round trips to the session store.")
        self.classifier_degraded = self._gauge("classifier_degraded", "1 while the classifier has no encoder.")
        # *state* is one of `decide.swap.STATES`; of a model that is always awake, as its health checks tell.
        self.model_state = self._gauge("model_state", "1 for the state that a model is in.", "model", "state")
        self.shadow_checks = self._counter("shadow_checks", "Bypassed turns that were classified afterwards.")
        self.shadow_disagreement = self._counter("shadow_disagreement", "Of these, those that would have switched.")
        # *reason* is rate, concurrency, queue_full, queue_timeout, links or policy.
        self.limited = self._counter("limited", "Requests refused by a limit.", "reason")
        self.queue_depth = self._gauge("queue_depth", "Requests that wait for a model, or a place there.", "model")
        self.queue_wait = self._histogram("queue_seconds", "Waits for a place, of requests that had to wait.", "model")
        self.model_swaps = self._histogram(
            "model_swap_seconds", "Waking a model, another one's eviction included.", "model"
        )
        self.model_wait = self._histogram("model_wait_seconds", "Waits of requests for a model to wake.", "model")
        # *outcome* is ok or failed; of evictions also refused, where the server cannot be managed as the registry says.
        self.model_wakes = self._counter("model_wakes", "Models woken.", "model", "outcome")
        self.model_evictions = self._counter("model_evictions", "Models put to sleep.", "model", "outcome")
        # *outcome* is used or unused: whether a request came for it.
        self.predicted_wakes = self._counter(
            "predicted_wakes", "Models woken before anybody asked for them.", "model", "outcome"
        )
        self.group_residents = self._gauge("group_residents", "Models that take the group's room now.", "group")
        self.group_max_resident = self._gauge("group_max_resident", "For how many there is room.", "group")
        self.confidence = Histogram(
            self.registry,
            f"{PREFIX}_classifier_confidence",
            "Probability of the chosen use case, of turns that were classified.",
            (),
            CONFIDENCE_BUCKETS,
        )

    def __call__(self, done: Finished) -> None:
        use_case, model, outcome = done.use_case or NONE, done.model or NONE, done.outcome
        self.requests.add((use_case, model, done.reason or NONE, outcome))
        if done.new_session and outcome == "ok":
            self.sessions_created.add(UNLABELLED)
        if done.bypass:
            self.bypass.add(UNLABELLED)
        if done.previous_use_case:
            self.context_changes.add((done.previous_use_case, use_case))
        if done.limit:
            self.limited.add((done.limit,))
        if done.failure and done.model:
            self.failures.add((model, done.failure))
        if done.fallback_from:
            self.fallbacks.add((done.fallback_from, model))
        if done.encoded:
            self.confidence.add(UNLABELLED, done.confidence)
        self._times(done, model)

    def _times(self, done: Finished, model: str) -> None:
        by_model, inference_s, trace = (model,), done.inference_s, done.trace_id
        if done.routing_s is not None:
            self.routing.add(BYPASS if done.bypass else CLASSIFIED, done.routing_s, trace)
        if done.first_token_s is not None:
            self.first_token.add(by_model, done.first_token_s, trace)
        if inference_s is not None:
            waited_elsewhere = done.total_s - inference_s
            self.inference.add(by_model, inference_s, trace)
            self.overhead.add(UNLABELLED, waited_elsewhere if waited_elsewhere > 0.0 else 0.0, trace)
            self.tokens.add((model, "prompt"), done.usage.prompt_tokens)
            self.tokens.add((model, "completion"), done.usage.completion_tokens)

    def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """The text and its content type: OpenMetrics, with traces as exemplars, for those who *accept* it."""
        encoder, content_type = choose_encoder(accept)
        return encoder(self.registry), content_type

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(self.registry, f"{PREFIX}_{name}", text, labels)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(self.registry, f"{PREFIX}_{name}", text, labels)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(self.registry, f"{PREFIX}_{name}", text, labels, BUCKETS)
