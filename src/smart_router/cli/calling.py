"""A call to a running router; whatever is wrong with it, or with the answer, becomes one message and an exit code."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from smart_router import __version__
from smart_router.cli.failing import CONFIGURATION, FAILED, NO_ROUTER, fail

if TYPE_CHECKING:
    from smart_router.client import Client, ClientError, RouterRefused

DEFAULT_URL = "http://localhost:8001"
TIMEOUT_S = 180.0


class Unanswered(Exception):
    """The message says what happened and what to do; *code* is the exit code."""

    def __init__(self, message: str, code: int) -> None:
        super().__init__(message)
        self.code = code


def ask(
    url: str,
    method: str,
    path: str,
    key: str | None,
    body: object = None,
    *,
    tells: Sequence[str] = (),
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Any]:
    """
    The JSON of the answer; *body* is sent as JSON, *tells* are fields that an answer must have.

    Raises:
        Unanswered
    """
    with router_at(url, key, timeout_s) as router:
        found = router.call(method, path, body)
    if not isinstance(found, dict) or any(name not in found for name in tells):
        raise Unanswered(
            f"{url} answered {path.partition('?')[0]} without {' and '.join(tells) or 'an object'}: is that a "
            "smart-router? Say with --url, or SMART_ROUTER_URL, where it is",
            NO_ROUTER,
        )
    return found


@contextmanager
def router_at(url: str, key: str | None, timeout_s: float = TIMEOUT_S) -> Iterator["Client"]:
    """
    A client that does not try again: whoever types a command sees that it failed, and a script has its own ideas.

    Raises:
        Unanswered: whatever goes wrong in the block.
    """
    from smart_router.client import Client, ClientError

    try:
        with Client(url, key, timeout_s=timeout_s, retries=0) as client:
            yield client
    except ClientError as exc:
        raise _told(exc) from exc


@contextmanager
def ending() -> Iterator[None]:
    """Whatever is not answered ends the command."""
    try:
        yield
    except Unanswered as exc:
        fail(str(exc), exc.code)


@contextmanager
def understanding(url: str) -> Iterator[None]:
    """Makes something of an answer; where it has another form than this version's, that ends the command."""
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError) as exc:
        fail(
            f"{url} answered what this command line ({__version__}) does not understand ({exc!r}): is it a "
            "smart-router of another version? Then update the older of the two",
            NO_ROUTER,
        )


call = ending()(ask)  # but ends the command where there is no router, or it refuses


def _told(error: "ClientError") -> Unanswered:
    from smart_router.client import BadInput, NotARouter, RouterRefused, RouterUnreachable

    match error:
        case BadInput():
            return Unanswered(str(error), CONFIGURATION)
        case RouterRefused():
            return Unanswered(_refusal(error), FAILED)
        case RouterUnreachable(asked=True) if not isinstance(error, NotARouter):
            return Unanswered(f"{error}; `smart-router stats` shows whether it is busy", FAILED)
        case RouterUnreachable():
            return Unanswered(f"{error} (--url, or SMART_ROUTER_URL)", NO_ROUTER)
        case _:
            return Unanswered(str(error), FAILED)


def _refusal(refused: "RouterRefused") -> str:
    """The client advises programs; people update routers, and give keys otherwise."""
    if refused.code in ("not_found", "method_not_allowed"):
        what = refused.message.partition(";")[0]
        return f"{refused.status}: {what}; the router is older than this command line ({__version__}): update it"
    if refused.status == 401:
        return f"{refused.status}: {refused.message}; give a key of this router with --key, or API_KEY"
    return f"{refused.status}: {refused}"
