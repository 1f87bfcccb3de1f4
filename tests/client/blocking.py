"""An `AsyncClient` with the face of a `Client`, so that one test says what both must do."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from smart_router.client import AsyncClient, AsyncConversation, AsyncRouteStream, Client

Connect = Callable[..., Client]  # takes what Client takes


@contextmanager
def blocking(url: str | None = None, key: str | None = None, **options: Any) -> Iterator[Client]:
    with asyncio.Runner() as runner:
        client = AsyncClient(url, key, **options)
        try:
            yield cast(Client, _Client(runner, client))
        finally:
            runner.run(client.close())


class _Blocking:
    """Runs what is asynchronous; gives all else as it is."""

    def __init__(self, runner: asyncio.Runner, theirs: Any) -> None:
        self._runner = runner
        self._theirs = theirs

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._theirs, name)
        if not asyncio.iscoroutinefunction(found):
            return found
        return lambda *args, **named: self._runner.run(found(*args, **named))

    def stream(self, *args: Any, **named: Any) -> "_Stream":
        return _Stream(self._runner, self._theirs.stream(*args, **named))


class _Client(_Blocking):
    def __init__(self, runner: asyncio.Runner, theirs: AsyncClient) -> None:
        super().__init__(runner, theirs)

    def session(self, id: str | None = None) -> "_Conversation":
        return _Conversation(self._runner, self._theirs.session(id))


class _Conversation(_Blocking):
    def __init__(self, runner: asyncio.Runner, theirs: AsyncConversation) -> None:
        super().__init__(runner, theirs)


class _Stream(_Blocking):
    def __init__(self, runner: asyncio.Runner, theirs: AsyncRouteStream) -> None:
        super().__init__(runner, theirs)

    def __enter__(self) -> "_Stream":
        self._runner.run(self._theirs.__aenter__())
        return self

    def __exit__(self, *exc: object) -> None:
        self._runner.run(self._theirs.__aexit__(*exc))

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        try:
            return self._runner.run(_next(self._theirs))
        except StopAsyncIteration:
            raise StopIteration from None


async def _next(stream: AsyncRouteStream) -> str:
    return await stream.__anext__()
