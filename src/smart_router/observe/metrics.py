"""Prometheus metrics. Label values come from the registry and from our own vocabulary, never from a client."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from smart_router.observe.finished import Finished

PREFIX = "smart_router"
# From a bypass in tens of microseconds to a long generation, in seconds.
BUCKETS = (
    50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3, 50e-3, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60,
)  # fmt: skip
CONFIDENCE_BUCKETS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
NONE = "none"


class Metrics:
    """One process's metrics in a registry of their own. Call it with each finished exchange."""

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
        self.replica_healthy = self._gauge("replica_healthy", "1 if the replica answers.", "model", "replica")
        self.failures = self._counter("upstream_failures", "Failed attempts at a replica.", "model", "kind")
        self.retries = self._counter("retries", "Attempts after the first of a request.")
        self.redis_degraded = self._gauge("redis_degraded", "1 while the session store does not answer.")
        self.redis = self._histogram("redis_seconds", "Round trips to the session store.")
        self.classifier_degraded = self._gauge("classifier_degraded", "1 while the classifier has no encoder.")
        self.confidence = Histogram(
            "classifier_confidence",
            "Probability of the chosen use case, of turns that were classified.",
            namespace=PREFIX,
            buckets=CONFIDENCE_BUCKETS,
            registry=self.registry,
        )

    def __call__(self, done: Finished) -> None:
        use_case, model, reason = done.use_case or NONE, done.model or NONE, done.reason or NONE
        self.requests.labels(use_case, model, reason, done.outcome).inc()
        if done.new_session and done.outcome == "ok":
            self.sessions_created.inc()
        if done.bypass:
            self.bypass.inc()
        if done.previous_use_case:
            self.context_changes.labels(done.previous_use_case, use_case).inc()
        if done.model and done.outcome in ("upstream_error", "timeout"):
            self.failures.labels(model, done.outcome).inc()
        if done.fallback_from:
            self.fallbacks.labels(done.fallback_from, model).inc()
        if done.encoded:
            self.confidence.observe(done.confidence)
        self._times(done, model)

    def _times(self, done: Finished, model: str) -> None:
        if done.routing_s is not None:
            self.routing.labels("bypass" if done.bypass else "classified").observe(done.routing_s)
        if done.first_token_s is not None:
            self.first_token.labels(model).observe(done.first_token_s)
        if done.inference_s is not None:
            self.inference.labels(model).observe(done.inference_s)
            self.overhead.observe(max(0.0, done.total_s - done.inference_s))
            self.tokens.labels(model, "prompt").inc(done.usage.prompt_tokens)
            self.tokens.labels(model, "completion").inc(done.usage.completion_tokens)

    def exposition(self) -> bytes:
        return generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, namespace=PREFIX, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, namespace=PREFIX, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, namespace=PREFIX, buckets=BUCKETS, registry=self.registry)
