"""docs/reference/errors.md: every error that a client can see, and what to do then."""

from collections.abc import Iterator

from scripts.docs.markdown import NONE, first_paragraph, introduction, table
from smart_router import errors
from smart_router.errors import ArtifactUnusable, ConfigurationError, LifecycleFailed, RouterError, StoreUnavailable

NOT_FOR_CLIENTS = (ConfigurationError, StoreUnavailable, ArtifactUnusable, LifecycleFailed)


def errors_page() -> str:
    by_code = dict[str, list[type[RouterError]]]()
    for error in router_errors():
        by_code.setdefault(error.code, []).append(error)
    rows = [(f"[`{code}`](#{code})", _statuses(found), _retry(found), _when(found)) for code, found in by_code.items()]
    parts = [introduction("errors"), table(("code", "status", "`Retry-After`", "when"), rows)]
    parts += [f"## {code}\n\n" + "\n".join(map(_entry, found)) for code, found in by_code.items()]
    return "\n".join([*parts, _not_for_clients()])


def router_errors() -> Iterator[type[RouterError]]:
    """As they stand in the file."""
    for found in vars(errors).values():
        if isinstance(found, type) and issubclass(found, RouterError):
            yield found


def _entry(error: type[RouterError]) -> str:
    operator = f"- **Whoever runs the router**: {error.operator}\n" if error.operator else ""
    return f"{first_paragraph(error)}\n\n- **Do**: {error.remedy}\n{operator}"


def _statuses(found: list[type[RouterError]]) -> str:
    return ", ".join(dict.fromkeys(_status(error) for error in found))


def _status(error: type[RouterError]) -> str:
    return "4xx" if issubclass(error, errors.BackendRejected) else str(error.status)


def _when(found: list[type[RouterError]]) -> str:
    return " Or: ".join(first_paragraph(error) for error in found)


def _retry(found: list[type[RouterError]]) -> str:
    return "yes" if any(error.retry_after_s is not None or error.status == 429 for error in found) else NONE


def _not_for_clients() -> str:
    rows = [(f"`{error.__name__}`", first_paragraph(error), error.remedy) for error in NOT_FOR_CLIENTS]
    return f"## What only the operator sees\n\n{table(('in the source', 'when', 'do'), rows)}"
