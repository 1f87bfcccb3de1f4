"""The running server keeps to its own OpenAPI schema, whatever is sent to it."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import CHECKS
from schemathesis.core.result import Ok

from .routers import Router

HELD_TO = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
CASES_PER_OPERATION = 15
MORE_THAN = 20  # operations; fewer would mean that half of the schema is not there


def test_every_answer_is_as_declared(embedded_router: Router) -> None:
    schema = schemathesis.openapi.from_url(f"{embedded_router.url}/openapi.json")
    checks: list[Any] = CHECKS.get_by_names(HELD_TO)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > MORE_THAN
    for operation in operations:

        @settings(
            max_examples=CASES_PER_OPERATION,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def holds(case: schemathesis.Case[Any]) -> None:
            case.validate_response(case.call(timeout=20), checks=checks)

        holds()
