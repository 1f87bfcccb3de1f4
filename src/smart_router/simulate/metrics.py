"""The Prometheus metrics of a vLLM server, by their real names, fed by what the simulator does."""

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

CONTENT_TYPE = CONTENT_TYPE_LATEST
FINISHED_REASONS = ("stop", "length", "abort", "error", "repetition")
SLEEP_STATES = {"awake": None, "weights_offloaded": 1, "discard_all": 2}  # and the levels of sleep

_LABELS = ("engine", "model_name")
_FIRST_TOKEN_S = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_PER_TOKEN_S = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75),
    *(1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)
_REQUEST_S = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0),
    *(30.0, 40.0, 50.0, 60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
_TOKENS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000)


class Metrics:
    """The metrics of one server, in a registry of their own."""

    def __init__(self, model: str) -> None:
        self._registry = CollectorRegistry()
        self._model = model
        for collector in (GCCollector, PlatformCollector, ProcessCollector):
            collector(registry=self._registry)

        self.running = self._gauge("num_requests_running", "Number of requests in model execution batches.")
        self.waiting = self._gauge("num_requests_waiting", "Number of requests waiting to be processed.")
        self.kv_cache_usage = self._gauge("kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.")
        self._sleep_state = Gauge(
            "vllm:engine_sleep_state",
            "Engine sleep state; awake = 0 means engine is sleeping; awake = 1 means engine is awake; "
            "weights_offloaded = 1 means sleep level 1; discard_all = 1 means sleep level 2.",
            (*_LABELS, "sleep_state"),
            registry=self._registry,
        )
        self._success = Counter(
            "vllm:request_success",
            "Count of successfully processed requests.",
            (*_LABELS, "finished_reason"),
            registry=self._registry,
        )

        self.prefix_queries = self._counter("prefix_cache_queries", "Prefix cache queries, in number of tokens.")
        self.prefix_hits = self._counter("prefix_cache_hits", "Prefix cache hits, in number of cached tokens.")
        self.prompt_tokens = self._counter("prompt_tokens", "Number of prefill tokens processed.")
        self.generation_tokens = self._counter("generation_tokens", "Number of generation tokens processed.")
        self.preemptions = self._counter("num_preemptions", "Cumulative number of preemption from the engine.")

        self.first_token_s = self._times("time_to_first_token_seconds", _FIRST_TOKEN_S)
        self.between_tokens_s = self._times("inter_token_latency_seconds", _PER_TOKEN_S)
        self.per_output_token_s = self._times("request_time_per_output_token_seconds", _PER_TOKEN_S)
        self.end_to_end_s = self._times("e2e_request_latency_seconds", _REQUEST_S)
        self.queued_s = self._times("request_queue_time_seconds", _REQUEST_S)
        self.prefill_s = self._times("request_prefill_time_seconds", _REQUEST_S)
        self.decode_s = self._times("request_decode_time_seconds", _REQUEST_S)
        self.inference_s = self._times("request_inference_time_seconds", _REQUEST_S)
        self.prompt_length = self._histogram("request_prompt_tokens", "Number of prefill tokens processed.", _TOKENS)
        self.answer_length = self._histogram("request_generation_tokens", "Number of generated tokens.", _TOKENS)
        self.asked_n = self._histogram("request_params_n", "Histogram of the n parameter.", (1, 2, 5, 10, 20))
        self.asked_max_tokens = self._histogram("request_params_max_tokens", "Of the max_tokens parameter.", _TOKENS)

        self.sleep_level(None)
        for reason in FINISHED_REASONS:
            self._success.labels("0", self._model, reason)

    def finished(self, reason: str) -> None:
        self._success.labels("0", self._model, reason).inc()

    def sleep_level(self, level: int | None) -> None:
        """*level* None is awake; 0 keeps everything in place and is none of the states."""
        for state, its_level in SLEEP_STATES.items():
            self._sleep_state.labels("0", self._model, state).set(level == its_level)

    def page(self) -> bytes:
        return generate_latest(self._registry)

    def _gauge(self, name: str, documentation: str) -> Gauge:
        return Gauge(f"vllm:{name}", documentation, _LABELS, registry=self._registry).labels("0", self._model)

    def _counter(self, name: str, documentation: str) -> Counter:
        return Counter(f"vllm:{name}", documentation, _LABELS, registry=self._registry).labels("0", self._model)

    def _times(self, name: str, buckets: tuple[float, ...]) -> Histogram:
        return self._histogram(name, f"Histogram of {name.replace('_', ' ')}.", buckets)

    def _histogram(self, name: str, documentation: str, buckets: tuple[float, ...]) -> Histogram:
        family = Histogram(f"vllm:{name}", documentation, _LABELS, buckets=buckets, registry=self._registry)
        return family.labels("0", self._model)
