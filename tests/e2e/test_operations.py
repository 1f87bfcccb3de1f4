"""What operators look at: /stats, /health, /livez, /ready, /use-cases, /metrics, /docs."""

import re
from datetime import datetime
from html.parser import HTMLParser
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from .asking import FOLLOW_UP, PICTURE, PYTHON, a_session, an_image
from .models import AGENT, AUDIO, MULTIMODAL, Models
from .routers import Router

USE_CASES = {"agent", "multimodal", "video", "stt", "tts", "avatar"}
MODEL_IDS = {AGENT, MULTIMODAL, AUDIO}
REASONS = {"explicit", "modality", "session", "classified", "switched", "fallback", "degraded"}
COUNTS = ("total_requests", "bypass_requests", "full_routing_requests", "session_creations", "context_changes")
TIMES = ("average_routing_time", "average_bypass_time", "average_inference_time", "average_total_time")
LABELS = {
    "smart_router_requests_total": {"use_case", "model", "reason", "outcome"},
    "smart_router_bypass_total": set(),
    "smart_router_context_changes_total": {"from", "to"},
    "smart_router_sessions_created_total": set(),
    "smart_router_routing_seconds_count": {"path"},
    "smart_router_overhead_seconds_count": set(),
    "smart_router_time_to_first_token_seconds_count": {"model"},
    "smart_router_inference_seconds_count": {"model"},
    "smart_router_tokens_total": {"model", "kind"},
    "smart_router_in_flight": {"model", "replica"},
}


def a_known_series(router: Router) -> None:
    """Six requests: two bypasses, four full routings, two sessions, one change."""
    first, second = a_session(), a_session()
    router.answer(PYTHON, session_id=first)
    router.answer(FOLLOW_UP, session_id=first)
    router.answer(FOLLOW_UP, session_id=first)
    router.answer(PICTURE, session_id=first, attachments=[an_image()])
    router.answer(PYTHON, session_id=second)
    router.route(PYTHON, session_id=second, use_case="agent", stream=True).read()


def test_stats_count_a_known_series(router: Router) -> None:
    before = router.get("/stats")
    a_known_series(router)
    after = router.get("/stats")
    assert {name: after[name] - before[name] for name in COUNTS} == {
        "total_requests": 6,
        "bypass_requests": 2,
        "full_routing_requests": 4,
        "session_creations": 2,
        "context_changes": 1,
    }
    routed = after["bypass_requests"] + after["full_routing_requests"]
    assert after["bypass_rate_percent"] == pytest.approx(100 * after["bypass_requests"] / routed, abs=0.1)


def test_stats_average_times_in_seconds(router: Router) -> None:
    a_known_series(router)
    stats = router.get("/stats")
    assert all(0 < stats[name] < 5 for name in TIMES), stats
    assert stats["average_bypass_time"] < stats["average_routing_time"]


def test_stats_break_down_by_use_case_and_model(router: Router) -> None:
    a_known_series(router)
    stats = router.get("/stats")
    assert stats["scope"]
    told = str({name: value for name, value in stats.items() if isinstance(value, (dict, list))})
    assert all(name in told for name in ("agent", "multimodal", AGENT, MULTIMODAL))


def test_bad_requests_are_not_routed_and_move_no_average(router: Router) -> None:
    a_known_series(router)
    before = router.get("/stats")
    for _ in range(20):
        router.http.post("/route", json={"query": ""})
    after = router.get("/stats")
    still = (*COUNTS[1:], *TIMES, "bypass_rate_percent")
    assert {name: after[name] for name in still} == {name: before[name] for name in still}


def test_health_tells_every_group(router: Router, models: Models) -> None:
    health = router.get("/health")
    assert health["status"] == "healthy"
    assert datetime.fromisoformat(health["timestamp"])
    assert health["bypass_router"] in ("connected", "embedded")
    assert health["model_endpoints"].keys() == {"gpu0", "gpu1", "gpu2"}
    for group, server in zip(("gpu0", "gpu1", "gpu2"), models.all, strict=True):
        told = health["model_endpoints"][group]
        assert told["status"] == "healthy"
        assert server.url in str(told["endpoint"])
        assert 0 <= told["response_time"] < 20


def test_health_tells_the_kind_of_store(embedded_router: Router, redis_router: Router) -> None:
    assert embedded_router.get("/health")["bypass_router"] == "embedded"
    assert redis_router.get("/health")["bypass_router"] == "connected"


@pytest.mark.parametrize("path", ["/livez", "/ready"])
def test_probes_say_yes(router: Router, path: str) -> None:
    assert router.http.get(path).status_code == 200


def test_use_cases_tell_their_models(embedded_router: Router) -> None:
    told = embedded_router.http.get("/use-cases")
    assert told.status_code == 200
    assert all(id in told.text for id in USE_CASES | MODEL_IDS)
    assert "Understanding moving footage" in told.text


def test_metrics_have_the_promised_names_and_labels(embedded_router: Router) -> None:
    a_known_series(embedded_router)
    seen = samples(embedded_router)
    for name, labels in LABELS.items():
        assert name in seen, name
        assert all(sample.keys() == labels for sample, _ in seen[name]), name


def test_metrics_count_what_happened(embedded_router: Router) -> None:
    before = samples(embedded_router)
    a_known_series(embedded_router)
    after = samples(embedded_router)

    def grown(name: str, **labels: str) -> float:
        return total(after, name, **labels) - total(before, name, **labels)

    assert grown("smart_router_requests_total") == 6
    assert grown("smart_router_requests_total", use_case="agent", model=AGENT) == 5
    assert grown("smart_router_requests_total", use_case="multimodal", reason="modality") == 1
    assert grown("smart_router_bypass_total") == 2
    assert grown("smart_router_sessions_created_total") == 2
    assert grown("smart_router_context_changes_total", **{"from": "agent", "to": "multimodal"}) == 1
    assert grown("smart_router_routing_seconds_count", path="bypass") == 2
    assert grown("smart_router_tokens_total", model=AGENT) > 0
    assert total(after, "smart_router_in_flight") == 0


@pytest.mark.parametrize("path", ["/livez", "/docs", "/v1/models", "/nowhere", "/v1/chat/completions"])
def test_every_answer_says_how_browsers_should_take_it(router: Router, path: str) -> None:
    headers = router.http.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["referrer-policy"] == "no-referrer"


def test_label_values_come_from_the_registry_not_from_clients(embedded_router: Router, models: Models) -> None:
    planted = "planted-by-a-client"
    embedded_router.answer(planted, session_id=planted, user_id=planted, context={"language": planted})
    embedded_router.route(PYTHON, use_case=planted)
    embedded_router.http.get(f"/{planted}")
    embedded_router.http.get(f"/sessions/{planted}")
    embedded_router.http.post("/route", json={planted: 1})
    page = embedded_router.http.get("/metrics").text
    assert planted not in page
    for name, found in samples(embedded_router).items():
        if not name.startswith("smart_router_"):
            continue
        for labels, _ in found:
            allowed: dict[str, set[str]] = {
                "use_case": USE_CASES | {"none", "unknown", ""},
                "model": MODEL_IDS | {"none", "unknown", ""},
                "reason": REASONS | {"none", "unknown", ""},
                "path": {"bypass", "classified"},
                "from": USE_CASES,
                "to": USE_CASES | MODEL_IDS,
                "replica": {server.url for server in models.all},
            }
            assert all(labels[label] in allowed[label] for label in labels.keys() & allowed.keys()), (name, labels)


def test_metrics_are_plain_text_for_prometheus(embedded_router: Router) -> None:
    response = embedded_router.http.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")


class Loads(HTMLParser):
    """What a page loads, by address, and the text of its own scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.scripts: list[str] = []
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_script = tag == "script"
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "data", "action")]

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append(data)


def test_docs_load_nothing_from_elsewhere(embedded_router: Router) -> None:
    response = embedded_router.http.get("/docs")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    page = Loads(response.text)
    assert len(page.addresses) >= 3, "a script, a style and a picture"
    for address in page.addresses:
        assert re.match("/[^/]", address), address
        assert embedded_router.http.get(address).status_code == 200, address
    (script,) = (script for script in page.scripts if script.strip())
    assert "'/openapi.json'" in script
    assert '"validatorUrl": null' in script, "else it asks one on the internet"
    assert not re.search(r"https?://|'//", script)
    assert "frame-ancestors 'none'" in response.headers["content-security-policy"]


def test_files_of_the_docs_are_what_they_say_and_no_part_of_the_api(embedded_router: Router) -> None:
    page = Loads(embedded_router.http.get("/docs").text)
    kinds = {"js": "javascript", "css": "text/css", "png": "image/png"}
    for address in page.addresses:
        assert kinds[address.rpartition(".")[2]] in embedded_router.http.get(address).headers["content-type"]
    folder = page.addresses[0].rpartition("/")[0]
    for path in ("nothing.js", "../../pyproject.toml", "%2e%2e/__init__.py", ""):
        assert embedded_router.http.get(f"{folder}/{path}").status_code == 404
    assert not [path for path in embedded_router.get("/openapi.json")["paths"] if path.startswith((folder, "/docs"))]
    assert embedded_router.http.get("/redoc").status_code == 404


def test_stats_tell_how_the_models_stand(embedded_router: Router) -> None:
    told = embedded_router.get("/stats")
    assert told["model_states"].keys() == MODEL_IDS
    for state in told["model_states"].values():
        assert state == {"state": "awake", "lifecycle": "always", "group": state["group"], "in_flight": 0, "waiting": 0}
    assert told["model_groups"] == {}, "nobody comes and goes"


def test_the_schema_describes_both_planes(embedded_router: Router) -> None:
    schema = embedded_router.get("/openapi.json")
    methods = {(re.sub(r"{\w+}", "{}", path), method) for path, item in schema["paths"].items() for method in item}
    assert methods >= {
        *(("/route", "post"), ("/classify", "post")),
        *(("/sessions", "get"), *(("/sessions/{}", method) for method in ("get", "patch", "delete"))),
        *((path, "get") for path in ("/stats", "/health", "/livez", "/ready", "/use-cases", "/metrics")),
    }


def test_the_schema_describes_routes_fields(embedded_router: Router) -> None:
    schema = embedded_router.get("/openapi.json")
    body = schema["paths"]["/route"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    request = resolved(schema, body)
    assert request["properties"].keys() == {
        *("query", "session_id", "user_id", "modality", "context", "max_tokens", "temperature"),
        *("attachments", "use_case", "stream", "remember"),
    }
    assert request["required"] == ["query"]
    assert {"200", "400", "503"} <= schema["paths"]["/route"]["post"]["responses"].keys()


def resolved(schema: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in part:
        found: Any = schema
        for step in part["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        part = found
    return part


Samples = dict[str, list[tuple[dict[str, str], float]]]


def samples(router: Router) -> Samples:
    """Every sample of /metrics by its name."""
    found: Samples = {}
    for family in text_string_to_metric_families(router.http.get("/metrics").text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def total(seen: Samples, name: str, **labels: str) -> float:
    return sum(value for its, value in seen.get(name, []) if labels.items() <= its.items())
