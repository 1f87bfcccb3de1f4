"""How are the models doing: as the router sees them, and beside it as vLLM sees itself?"""

from grafana.board import Board, Section
from grafana.panels import graph, less_is_worse, more_is_worse, phases
from grafana.queries import (
    METRICS,
    WINDOW,
    Query,
    coded,
    gauge,
    observations,
    or_zero,
    quantile,
    quantiles,
    rate,
    share,
    vllm,
)
from smart_router.observe.metrics import BYPASS
from smart_router.observe.tally import Counter

VLLM_FIRST_TOKEN = f"sum by (le, model_name) (rate({vllm('time_to_first_token_seconds_bucket')}[{WINDOW}]))"
PREFIX_HITS = f"sum by (model_name) (rate({vllm('prefix_cache_hits_total')}[{WINDOW}]))"
PREFIX_QUERIES = f"sum by (model_name) (rate({vllm('prefix_cache_queries_total')}[{WINDOW}]))"
SLOW_START = more_is_worse(1, 3)

SPEED = (
    (
        graph(
            "Time to first token",
            "From asking the model server to its first content, as the router sees it.",
            "s",
            *quantiles(METRICS.first_token, "model", at=(0.5, 0.95)),
            bounds=SLOW_START,
        ),
        graph(
            "Time to first token, vLLM's own",
            "The same inside vLLM. Where the router's is much longer, the way between them is slow.",
            "s",
            Query(f"histogram_quantile(0.5, {VLLM_FIRST_TOKEN})", "p50 {{model_name}}"),
            Query(f"histogram_quantile(0.95, {VLLM_FIRST_TOKEN})", "p95 {{model_name}}"),
            bounds=SLOW_START,
        ),
    ),
    (
        graph(
            "Tokens per second",
            "As model servers count them: read (prompt) and written (completion).",
            "tokens/s",
            Query(or_zero(rate(METRICS.tokens, "model", "kind"), "model", "kind"), "{{model}} {{kind}}"),
        ),
        graph(
            "Inference time",
            "From asking the model server to the end of its answer.",
            "s",
            *quantiles(METRICS.inference, "model", at=(0.5, 0.95)),
            bounds=more_is_worse(10, 30),
        ),
    ),
)

LOAD = (
    (
        graph(
            "In flight",
            "Requests that the router has at each replica now.",
            "short",
            Query(gauge(METRICS.in_flight, "sum", "model", "replica"), "{{model}} {{replica}}"),
        ),
        graph(
            "Waiting for a place",
            "Requests that wait in the router: their model wakes, or all its replicas are at their `max_in_flight`.",
            "short",
            Query(gauge(METRICS.queue_depth, "sum", "model"), "{{model}}"),
        ),
        graph(
            "Time in the queue",
            "p95 of the requests that had to wait; zero where none had to.",
            "s",
            Query(or_zero(quantile(0.95, METRICS.queue_wait, "model"), "model"), "{{model}}"),
        ),
    ),
    (
        graph(
            "Running in vLLM",
            "Requests in vLLM's batches. More than the router has in flight: somebody else uses the server.",
            "short",
            Query(f"sum by (model_name) ({vllm('num_requests_running')})", "{{model_name}}"),
        ),
        graph(
            "Queue in vLLM",
            "Requests that wait for a place in a batch, after the router has sent them.",
            "short",
            Query(f"sum by (model_name) ({vllm('num_requests_waiting')})", "{{model_name}}"),
            bounds=more_is_worse(1, 10),
        ),
    ),
)

CACHE = (
    (
        graph(
            "KV cache in use",
            "vLLM's own, the fullest replica of each model. Near 100 % requests wait or are preempted.",
            "percentunit",
            Query(f"max by (model_name) ({vllm('kv_cache_usage_perc')})", "{{model_name}}"),
            bounds=more_is_worse(0.8, 0.95),
        ),
        graph(
            "Prefix cache hit rate",
            "Prompt tokens that vLLM found in its cache, which is what staying with a replica is for.",
            "percentunit",
            Query(share(PREFIX_HITS, PREFIX_QUERIES), "{{model_name}}"),
        ),
        graph(
            "Turns that stayed",
            "Turns that reused their session's choice without the encoder; beside it: the caches that they found warm.",
            "percentunit",
            Query(share(observations(METRICS.routing, path=BYPASS[0]), observations(METRICS.routing)), "bypassed"),
            bounds=less_is_worse(0.5, 0.7),
        ),
    ),
)

# In the order of what an operator should see where routers do not agree: the last.
STATES = (
    *(("sleeping", "#5a6472"), ("awake", "green"), ("draining", "#f2cc0c"), ("waking", "#7eb6ff")),
    *(("loading", "blue"), ("unknown", "orange"), ("failed", "red")),
)
NOT_OK = "failed|refused"


def a_minute(metric: Counter, *by: str, **only: str) -> str:
    return f"60 * ({or_zero(rate(metric, *by, **only), *by)})"


LIFE = (
    (
        phases(
            "Model states",
            "The state that each model is in: one that sleeps is woken by a request for it. Of models that are always "
            "up, what health checks say. Where routers do not agree, the state that is further to the right below.",
            Query(coded(METRICS.model_state, "state", [state for state, _ in STATES], "model"), "{{model}}"),
            *STATES,
        ),
    ),
    (
        graph(
            "Swaps",
            "Models woken, per minute. Zero where every model is always up.",
            "cpm",
            Query(a_minute(METRICS.model_wakes, "model", outcome="ok"), "{{model}}"),
            bounds=more_is_worse(1, 5),
        ),
        graph(
            "Swap time",
            "How long waking a model took, another one's eviction included; zero while none was woken.",
            "s",
            Query(or_zero(quantile(0.5, METRICS.model_swaps, "model"), "model"), "p50 {{model}}"),
            Query(or_zero(quantile(0.95, METRICS.model_swaps, "model"), "model"), "p95 {{model}}"),
            bounds=more_is_worse(5, 10),
        ),
        graph(
            "Wait for a model",
            "p95 of the requests that came while their model slept, whatever came of it. MODEL_SWITCH_TIMEOUT ends it.",
            "s",
            Query(or_zero(quantile(0.95, METRICS.model_wait, "model"), "model"), "{{model}}"),
            bounds=more_is_worse(5, 10),
        ),
    ),
    (
        graph(
            "Room",
            "Models that take a group's room, beside how many may (`max_resident`).",
            "short",
            Query(or_zero(gauge(METRICS.group_residents, "max", "group"), "group"), "{{group}} taken"),
            Query(or_zero(gauge(METRICS.group_max_resident, "max", "group"), "group"), "{{group}} in all"),
        ),
        graph(
            "Evictions",
            "Models put to sleep, per minute: to make room for others, or by an administrator.",
            "cpm",
            Query(a_minute(METRICS.model_evictions, "model", outcome="ok"), "{{model}}"),
            bounds=more_is_worse(1, 5),
        ),
        graph(
            "Failed swaps",
            "Models that did not wake or did not fall asleep, per minute; `/models` says why.",
            "cpm",
            Query(a_minute(METRICS.model_wakes, "model", outcome=NOT_OK), "{{model}} did not wake"),
            Query(a_minute(METRICS.model_evictions, "model", outcome=NOT_OK), "{{model}} did not fall asleep"),
            bounds=more_is_worse(0.1, 1),
        ),
    ),
    (
        graph(
            "Woken early",
            "Models woken before anybody asked for them, per minute, and what came of it: no request within half a "
            "minute is in vain. Zero unless PREDICTIVE_WAKE is on.",
            "cpm",
            Query(a_minute(METRICS.predicted_wakes, "model", outcome="used"), "{{model}} used"),
            Query(a_minute(METRICS.predicted_wakes, "model", outcome="unused"), "{{model}} in vain"),
        ),
    ),
)

MODELS = Board(
    "models",
    "models",
    "Speed, load, caches and states of the models, as the router sees them and as vLLM sees itself.",
    (Section("Speed", SPEED), Section("Load", LOAD), Section("Cache", CACHE), Section("Models that come and go", LIFE)),
)
