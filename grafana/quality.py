"""Does it decide well? What can be told without knowing the right answer."""

from grafana.board import Board, Section
from grafana.panels import graph, heat_map, less_is_worse, more_is_worse, number
from grafana.queries import METRICS, Query, heat, observations, or_zero, quantile, quantiles, rate, share

REQUESTS = rate(METRICS.requests)
DISAGREED = share(rate(METRICS.shadow_disagreement), rate(METRICS.shadow_checks))
FELL_BACK = or_zero(share(rate(METRICS.requests, reason="fallback"), REQUESTS))
SURE, RARE, SELDOM = less_is_worse(0.5, 0.7), more_is_worse(0.05, 0.1), more_is_worse(0.1, 0.2)

AT_A_GLANCE = (
    (
        number(
            "Median confidence",
            "Probability of the chosen use case, of turns that were classified.",
            "percentunit",
            Query(quantile(0.5, METRICS.confidence), "p50"),
            SURE,
        ),
        number(
            "Fallback rate",
            "Requests for which nothing was likely enough, so that they got the default use case.",
            "percentunit",
            Query(FELL_BACK, "fell back"),
            RARE,
        ),
        number(
            "Shadow disagreement",
            "Of the bypassed turns that were classified afterwards, those that would have gone elsewhere. Also zero "
            "while none was checked.",
            "percentunit",
            Query(or_zero(DISAGREED), "disagreed"),
            SELDOM,
        ),
    ),
)

CONFIDENCE = (
    (
        heat_map(
            "Confidence",
            "Probability of the chosen use case, of classified turns. Much in the middle: examples are missing.",
            "percentunit",
            heat(METRICS.confidence),
        ),
        graph(
            "Confidence, quantiles",
            "One turn in ten is decided with less than p10.",
            "percentunit",
            *quantiles(METRICS.confidence, at=(0.1, 0.25, 0.5)),
            bounds=SURE,
        ),
    ),
)

DECISIONS = (
    (
        graph(
            "Decisions by reason",
            "Why requests went where they went, per second. `none`: it failed before a decision.",
            "reqps",
            Query(or_zero(rate(METRICS.requests, "reason"), "reason"), "{{reason}}"),
            stacked=True,
        ),
        graph(
            "Classified turns",
            "Turns that the encoder decided or checked, per second.",
            "ops",
            Query(or_zero(observations(METRICS.confidence)), "classified"),
        ),
    ),
    (
        graph(
            "Fallbacks to the default use case",
            "Requests per second for which nothing was likely enough, and those decided without an encoder.",
            "reqps",
            Query(or_zero(rate(METRICS.requests, reason="fallback")), "fallback"),
            Query(or_zero(rate(METRICS.requests, reason="degraded")), "degraded"),
        ),
        graph(
            "Fallbacks to another model",
            "Answers per second by another model than the preferred one, from which to which.",
            "reqps",
            Query(or_zero(rate(METRICS.fallbacks, "from", "to"), "from", "to"), "{{from}} → {{to}}"),
        ),
    ),
)

CHANGES = (
    (
        graph(
            "Switches",
            "Turns per second that the encoder moved away from their session's use case.",
            "reqps",
            Query(or_zero(rate(METRICS.requests, "use_case", reason="switched"), "use_case"), "to {{use_case}}"),
        ),
        graph(
            "Context changes",
            "All turns that left their session's use case, also by an attachment or the client's word.",
            "ops",
            Query(or_zero(rate(METRICS.context_changes, "from", "to"), "from", "to"), "{{from}} → {{to}}"),
        ),
        graph(
            "Shadow disagreement",
            "Bypassed turns per second that were classified afterwards, and those that would have gone elsewhere.",
            "ops",
            Query(or_zero(rate(METRICS.shadow_checks)), "checked"),
            Query(or_zero(rate(METRICS.shadow_disagreement)), "disagreed"),
        ),
    ),
)

QUALITY = Board(
    "quality",
    "quality",
    "Confidence, fallbacks, switches and disagreement: signs of how well it decides.",
    (
        Section("At a glance", AT_A_GLANCE, height=4),
        Section("Confidence", CONFIDENCE),
        Section("Decisions", DECISIONS),
        Section("Changes of mind", CHANGES),
    ),
)
