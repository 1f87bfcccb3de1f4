"""The running server keeps to its own OpenAPI schema, whatever is sent to it and whoever sends it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from smart_router.access.keyfile import change_keys, new_entry
from smart_router.api.openai import APIS, CHAT_PATH
from smart_router.types import Scope

from .asking import a_sound
from .models import AGENT, AUDIO, Models
from .routers import KEY, Router, a_client, a_registry, running_router, until
from .test_openai_paths import FORMS, JSONS

DECLARED = ["status_code_conformance", "content_type_conformance", "response_schema_conformance"]
HELD_TO = ["not_a_server_error", *DECLARED]
CASES = 6  # per operation, of data that the schema admits, and as many of data that it does not
FEW = 2
CHANGED = "/sessions/{session_id}"
GOOD: dict[str, Any] = {case.path: case.sent for case in JSONS} | {
    "/route": {"query": "Hi"},
    "/classify": {"query": "Hi"},
    CHAT_PATH: JSONS[0].body,
    CHANGED: {"bypass_enabled": True},
    "/v1/audio/speech": {"model": AUDIO, "input": "Hi"},
    "/v1/rerank": {"model": AUDIO, "query": "Hi", "documents": ["Hello"]},
    "/v1/score": {"model": AUDIO, "text_1": "Hi", "text_2": "Hello"},
    **{path: {"model": AUDIO, "file": a_sound()} for path in FORMS},
}
STORED = "/v1/responses/{response_id}"
NOT_SERVED = {"/v1/rerank", "/v1/score", STORED, f"{STORED}/cancel"}  # by the simulated servers
ORDERS = {f"/models/{{model_id}}/{order}" for order in ("load", "unload", "pin")}
NEVER_DONE = NOT_SERVED | ORDERS  # here all models are always awake
OPEN = {"/health", "/livez", "/ready", "/use-cases", "/api/healthz"}

Operation = tuple[str, str]  # method and path
Seen = dict[Operation, set[int]]  # the statuses of each

# What clients may send besides, none of it declared.
TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).map(str.strip)
HEADERS = st.fixed_dictionaries(
    {},
    optional={
        "X-Session-ID": TEXT | st.just("x" * 200),
        "X-Request-ID": TEXT,
        "Accept": st.sampled_from(["*/*", "text/html", "", "application/openmetrics-text"]),
        "Content-Type": st.sampled_from(["text/plain", "application/json; charset=utf-16", "multipart/form-data", ""]),
        "Content-Encoding": st.sampled_from(["gzip", "identity"]),
        "X-HTTP-Method-Override": st.just("DELETE"),
        "traceparent": TEXT,
        "Cookie": TEXT,
        "Origin": st.just("https://elsewhere.example"),
    },
)


def hold(router: Router, cases: int, checks: Sequence[str] = HELD_TO, key: str | None = None) -> Seen:
    """Every operation to its schema: *cases* times with data of either kind and odd headers, and with what is right."""
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    operations, known = every_operation(router), _known(router, headers)
    caller = Caller(headers, CHECKS.get_by_names(list(checks)))  # which there are once a schema has been read
    for operation in operations:
        caller.fuzz(operation, GenerationMode.POSITIVE, cases)
        if operation.body:
            caller.fuzz(operation, GenerationMode.NEGATIVE, cases)
        for case in _right(operation, known):
            caller.send(case, {})
    return caller.seen


class Caller:
    """Sends *headers* with everything, and looks at every answer."""

    def __init__(self, headers: Mapping[str, str], checks: list[Any]) -> None:
        self._headers, self._checks = headers, checks
        self.seen: Seen = defaultdict(set)

    def fuzz(self, operation: Any, mode: GenerationMode, cases: int) -> None:
        @settings(
            max_examples=cases, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(case=operation.as_strategy(generation_mode=mode), odd=st.just({}) | HEADERS)
        def holds(case: schemathesis.Case[Any], odd: dict[str, str]) -> None:
            self.send(case, odd)

        holds()

    def send(self, case: schemathesis.Case[Any], odd: Mapping[str, str]) -> None:
        answer = case.call(timeout=20, headers={**odd, **self._headers})
        self.seen[case.operation.method.upper(), case.operation.path].add(answer.status_code)
        case.validate_response(answer, checks=self._checks)


def every_operation(router: Router) -> list[Any]:
    schema = schemathesis.openapi.from_url(f"{router.url}/openapi.json")
    return [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]


def _right(operation: Any, known: Mapping[str, str]) -> Iterator[schemathesis.Case[Any]]:
    """What an operation is for; streams, too, where there are any."""
    places = {parameter.name: known.get(parameter.name, "absent") for parameter in operation.path_parameters}
    if not operation.body:
        yield operation.Case(path_parameters=places)
    elif operation.path in GOOD:
        media_type = operation.body[0].media_type
        for more in ({}, {"stream": True}) if media_type == "application/json" else ({},):
            yield operation.Case(path_parameters=places, body=GOOD[operation.path] | more, media_type=media_type)


def _known(router: Router, headers: Mapping[str, str]) -> dict[str, str]:
    """Ids of what there is, where the key can make it."""
    response = router.http.post("/v1/responses", json=GOOD["/v1/responses"], headers=dict(headers))
    if response.status_code != 200:
        return {}
    session = response.headers["x-session-id"]
    return {"session_id": session, "response_id": response.json()["id"], "model_id": AGENT}


@pytest.fixture(scope="module")
def door(servers: Models, tmp_path_factory: pytest.TempPathFactory) -> Iterator["Door"]:
    folder = tmp_path_factory.mktemp("schema")
    keys = Door(folder / "keys.json")
    with running_router(a_registry(folder, servers.endpoints), api_keys_file=keys.path) as keys.router:
        yield keys


class Door:
    """A router with a file of keys."""

    router: Router

    def __init__(self, path: Path) -> None:
        self.path = path
        change_keys(path, lambda _: [])

    def key(self, *scopes: Scope, **limits: Any) -> str:
        """One that works already."""
        key, entry = new_entry("test", scopes, **limits)
        change_keys(self.path, lambda entries: (*entries, entry))
        with a_client(self.router.url, Authorization=f"Bearer {key}") as client:
            until(lambda: client.get("/stats").status_code == 200)
        return key


@pytest.mark.timeout(200)
def test_every_answer_is_as_declared(embedded_router: Router) -> None:
    seen = hold(embedded_router, CASES)
    declared = {(method.upper(), path) for path, ways in _schema(embedded_router)["paths"].items() for method in ways}
    assert seen.keys() == declared
    assert {path for _, path in seen} >= {*APIS, CHAT_PATH, "/route", "/classify", "/stats", "/metrics", *OPEN}
    well = {operation for operation, statuses in seen.items() if 200 in statuses}
    assert {path for _, path in seen.keys() - well} == {*(NEVER_DONE | {"/stats", "/admin/reload", "/models"})}, (
        "without a key"
    )


@pytest.mark.timeout(200)
def test_every_answer_to_a_key_for_everything_is_as_declared(door: Door, models: Models) -> None:
    seen = hold(door.router, FEW, key=door.key("route", "admin", "metrics"))
    assert {path for (_, path), statuses in seen.items() if 200 not in statuses} == NEVER_DONE
    assert all(409 in seen["POST", path] for path in ORDERS), "a model that is always awake"
    assert not {401, 403} & {status for statuses in seen.values() for status in statuses}


@pytest.mark.timeout(200)
def test_every_refusal_of_a_key_for_little_is_as_declared(door: Door, models: Models) -> None:
    seen = hold(door.router, FEW, key=door.key("route", use_cases=["tts"]))
    assert {path for (_, path), statuses in seen.items() if 403 in statuses} >= {"/stats", "/metrics", "/v1/messages"}
    assert 403 in seen["POST", "/route"] | seen["POST", "/classify"]


@pytest.mark.timeout(200)
def test_every_refusal_of_a_key_with_a_rate_is_as_declared(door: Door, models: Models) -> None:
    seen = hold(door.router, FEW, key=door.key("route", requests_per_minute=1, burst=1))
    assert {path for (_, path), statuses in seen.items() if 429 in statuses} >= {
        "/route",
        "/classify",
        *APIS,
        CHAT_PATH,
    }


@pytest.mark.timeout(200)
@pytest.mark.parametrize("key", [None, "sk-wrong"])
def test_every_refusal_of_a_wrong_key_is_as_declared(door: Door, key: str | None) -> None:
    seen = hold(door.router, 1, key=key)
    assert {path for (_, path), statuses in seen.items() if statuses != {401}} == OPEN


@pytest.mark.timeout(200)
def test_every_answer_to_the_one_key_of_all_is_as_declared(servers: Models, models: Models, tmp_path: Path) -> None:
    with running_router(a_registry(tmp_path, servers.endpoints), api_key=KEY) as router:
        refused, seen = hold(router, 1), hold(router, 1, key=KEY)
    assert {path for (_, path), statuses in refused.items() if statuses != {401}} == {*OPEN, "/metrics"}
    assert {path for (_, path), statuses in seen.items() if 200 not in statuses} == NEVER_DONE


@pytest.mark.timeout(200)
def test_every_answer_without_a_model_server_is_as_declared(lonely: Router) -> None:
    seen = hold(lonely, 1, DECLARED)
    assert {path for (_, path), statuses in seen.items() if 503 in statuses} >= {"/route", "/ready", *GOOD} - {
        "/classify",
        CHANGED,
    }
    assert {status for statuses in seen.values() for status in statuses if status >= 500} == {503}


def _schema(router: Router) -> Any:
    return router.get("/openapi.json")
