"""What breaks, and what was done about it?"""

from grafana.board import Board, Section
from grafana.panels import graph, more_is_worse, number, states
from grafana.queries import METRICS, NOT_WELL, Query, gauge, name, observations, or_zero, quantiles, rate, share

RETRIED = or_zero(share(rate(METRICS.retries), observations(METRICS.overhead)))
RETRY_BUDGET = more_is_worse(0.1, 0.2)

AT_A_GLANCE = (
    (
        number(
            "Routers",
            "Routers whose metrics are scraped.",
            "none",
            Query(f"count({name(METRICS.redis_degraded)}) or vector(0)", "routers"),
            ((None, "red"), (1, "green")),
            decimals=0,
        ),
        number(
            "Replicas down",
            "Replicas that at least one router cannot reach.",
            "none",
            Query(or_zero(f"count({gauge(METRICS.replica_healthy, 'min', 'model', 'replica')} == 0)"), "down"),
            more_is_worse(1, 2),
            decimals=0,
        ),
        number(
            "Retries",
            "Attempts after the first, as a share of answered requests. They stop at the budget: 20 % unless changed.",
            "percentunit",
            Query(RETRIED, "retried"),
            RETRY_BUDGET,
        ),
    ),
)

MODEL_SERVERS = (
    (
        graph(
            "Upstream failures",
            "Failed attempts at a model server per second, by how they failed.",
            "ops",
            Query(or_zero(rate(METRICS.failures, "model", "kind"), "model", "kind"), "{{model}} {{kind}}"),
            bounds=more_is_worse(0.1, 1),
        ),
        graph(
            "Retries",
            "Attempts after the first of a request, per second.",
            "ops",
            Query(or_zero(rate(METRICS.retries)), "retries"),
        ),
    ),
    (
        states(
            "Replica health",
            "Whether each replica answers its health checks; with several routers, the least happy one's view. One "
            "that is ejected for failing requests still counts as healthy here.",
            Query(gauge(METRICS.replica_healthy, "min", "model", "replica"), "{{model}} {{replica}}"),
            off="down",
            on="healthy",
        ),
        states(
            "Ejected",
            "Replicas that answer their health checks but fail requests, and are left out for a while.",
            Query(gauge(METRICS.replica_ejected, "max", "model", "replica"), "{{model}} {{replica}}"),
            off="in use",
            on="ejected",
            on_colour="orange",
        ),
    ),
    (
        graph(
            "In flight by replica",
            "A healthy replica that stays at zero beside busy ones rests, as it asked to; `GET /health` says so.",
            "short",
            Query(gauge(METRICS.in_flight, "sum", "model", "replica"), "{{model}} {{replica}}"),
        ),
    ),
)

SESSION_STORE = (
    (
        graph(
            "Redis round trips",
            "How long a round trip to the session store took. Without a Redis there is nothing to show.",
            "s",
            *quantiles(METRICS.redis),
            bounds=more_is_worse(0.01, 0.05),
        ),
        graph(
            "Redis round trips per second",
            "Commands of concurrent requests share round trips, so that these grow more slowly than requests.",
            "ops",
            Query(or_zero(observations(METRICS.redis)), "round trips"),
        ),
        states(
            "Degraded",
            "Session store: Redis does not answer, sessions live in the routers. Encoder: n-grams alone decide.",
            Query(gauge(METRICS.redis_degraded, "max"), "session store"),
            Query(gauge(METRICS.classifier_degraded, "max"), "encoder"),
            off="well",
            on="degraded",
            on_colour="red",
        ),
    ),
)

CLIENTS = (
    (
        graph(
            "Requests that did not end well",
            "Per second, by outcome; `aborted`: the client left.",
            "reqps",
            Query(or_zero(rate(METRICS.requests, "outcome", outcome=NOT_WELL), "outcome"), "{{outcome}}"),
        ),
        graph(
            "Limits",
            "Requests refused by a limit per second, by which.",
            "reqps",
            Query(or_zero(rate(METRICS.limited, "reason"), "reason"), "{{reason}}"),
            bounds=more_is_worse(0.1, 1),
        ),
    ),
)

RELIABILITY = Board(
    "reliability",
    "reliability",
    "Redis, retries, failures, replicas and limits: what breaks, and what was done about it.",
    (
        Section("At a glance", AT_A_GLANCE, height=4),
        Section("Model servers", MODEL_SERVERS),
        Section("Session store", SESSION_STORE),
        Section("Clients", CLIENTS),
    ),
)
