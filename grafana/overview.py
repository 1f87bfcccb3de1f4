"""How is it going, at one glance?"""

from grafana.board import Board, Section
from grafana.panels import graph, heat_map, less_is_worse, more_is_worse, number, states
from grafana.queries import FAILED, METRICS, Query, gauge, heat, observations, or_zero, quantiles, rate, share
from smart_router.observe.metrics import BYPASS, CLASSIFIED

REQUESTS = rate(METRICS.requests)
ERRORS = or_zero(share(rate(METRICS.requests, outcome=FAILED), REQUESTS))
FAILED_HOW = rate(METRICS.requests, "outcome", outcome=FAILED)
ERRORS_BY_OUTCOME = f"{FAILED_HOW} / ignoring(outcome) group_left() ({REQUESTS} > 0)"
DECISIONS = observations(METRICS.routing)
FOLLOW_UPS = f"({DECISIONS} - {rate(METRICS.sessions_created)})"
BYPASSED = share(rate(METRICS.bypass), DECISIONS)
BYPASSED_OF_FOLLOW_UPS = f"clamp_max({share(rate(METRICS.bypass), FOLLOW_UPS)}, 1)"
MUCH_BYPASSED, FEW_ERRORS = less_is_worse(0.7, 0.8), more_is_worse(0.005, 0.01)

AT_A_GLANCE = (
    (
        number("Requests per second", "Finished requests.", "reqps", Query(or_zero(REQUESTS), "requests")),
        number(
            "Bypass rate of follow-ups",
            "How many turns after a session's first one reused its choice without the encoder. Of all use cases.",
            "percentunit",
            Query(BYPASSED_OF_FOLLOW_UPS, "bypassed"),
            MUCH_BYPASSED,
        ),
        number(
            "Error rate",
            "Requests that failed through no fault of the client's; those that clients gave up are not among them.",
            "percentunit",
            Query(ERRORS, "failed"),
            FEW_ERRORS,
            decimals=2,
        ),
    ),
)

TRAFFIC = (
    (
        graph(
            "Requests by use case and outcome",
            "Finished requests per second. The use case `none`: it failed before one was decided.",
            "reqps",
            Query(
                or_zero(rate(METRICS.requests, "use_case", "outcome"), "use_case", "outcome"),
                "{{use_case}} {{outcome}}",
            ),
            stacked=True,
        ),
        graph(
            "Bypass rate",
            "Turns that reused their session's choice without the encoder. First turns cannot, which is why the share "
            "of follow-ups says more. Of all use cases, whatever is chosen above.",
            "percentunit",
            Query(BYPASSED_OF_FOLLOW_UPS, "of follow-ups"),
            Query(BYPASSED, "of all turns"),
            bounds=MUCH_BYPASSED,
        ),
    ),
    (
        graph(
            "New sessions",
            "First turns of a session, per second.",
            "ops",
            Query(or_zero(rate(METRICS.sessions_created)), "sessions"),
        ),
        graph(
            "Context changes",
            "Conversations that left their use case, per second, from which to which.",
            "ops",
            Query(or_zero(rate(METRICS.context_changes, "from", "to"), "from", "to"), "{{from}} → {{to}}"),
        ),
        graph(
            "Error rate",
            "Share of all requests that failed, by how. `client_error` and `aborted` are the clients' own.",
            "percentunit",
            Query(or_zero(ERRORS_BY_OUTCOME, "outcome"), "{{outcome}}"),
            bounds=FEW_ERRORS,
        ),
    ),
)

LATENCY = (
    (
        graph(
            "Routing time, classified",
            "From the request to the decision, of turns that were not bypassed. The encoder is most of it.",
            "s",
            *quantiles(METRICS.routing, path=CLASSIFIED[0]),
            bounds=more_is_worse(0.05, 0.1),
        ),
        graph(
            "Routing time, bypassed",
            "From the request to the decision, of follow-ups that skipped the encoder: mostly the session store.",
            "s",
            *quantiles(METRICS.routing, path=BYPASS[0]),
            bounds=more_is_worse(0.005, 0.02),
        ),
        graph(
            "Inference time",
            "From asking a model server to the end of its answer.",
            "s",
            *quantiles(METRICS.inference),
            bounds=more_is_worse(10, 30),
        ),
    ),
    (
        heat_map(
            "Routing time, all turns",
            "Two bands are usual: bypassed below, classified above.",
            "s",
            heat(METRICS.routing),
        ),
        heat_map(
            "Inference time, all answers", "Long answers are above, short ones below.", "s", heat(METRICS.inference)
        ),
    ),
)

HEALTH = (
    (
        states(
            "Model endpoints",
            "Whether each replica answers its health checks; with several routers, the least happy one's view.",
            Query(gauge(METRICS.replica_healthy, "min", "model", "replica"), "{{model}} {{replica}}"),
            off="down",
            on="healthy",
        ),
        graph(
            "Router overhead",
            "Time that a request spent in the router: total minus the wait for the model server.",
            "s",
            *quantiles(METRICS.overhead),
            bounds=more_is_worse(0.05, 0.1),
        ),
    ),
)

OVERVIEW = Board(
    "overview",
    "overview",
    "Traffic, bypass, latency, errors and endpoints at one glance.",
    (
        Section("At a glance", AT_A_GLANCE, height=4),
        Section("Traffic", TRAFFIC),
        Section("Latency", LATENCY),
        Section("Health", HEALTH),
    ),
)
