"""The client that blocks. `asynchronous.py` is the same with `await`."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, Self, Unpack

import httpx2
from msgspec import UNSET, UnsetType

from smart_router.client import calls
from smart_router.client.address import Address
from smart_router.client.answers import (
    Answer,
    Classification,
    Decision,
    Health,
    Model,
    SessionInfo,
    SessionPage,
    Stats,
    UseCase,
)
from smart_router.client.calls import Call, Fields
from smart_router.client.errors import UnknownSession
from smart_router.client.http_sync import Http
from smart_router.client.retrying import Patience
from smart_router.client.streaming import Reading
from smart_router.client.thread import Thread
from smart_router.client.trouble import lost


class Client:
    """
    A router, for programs that wait for their answers. Threads may share one; close it, or use it in a `with`.

    Requests are tried again, after growing pauses, where the connection is refused, and where the router or what stands
    in front of it answers 429 or 503, after the time that it asks for; never once a byte of an answer has come.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout_s: float = 180.0,
        connect_s: float = 10.0,
        retries: int = 2,
    ) -> None:
        """
        Nothing is sent yet.

        Args:
            url: the router's address; by default `SMART_ROUTER_URL`, else `http://localhost:8001`.
            key: a key to it, where it wants one; by default `API_KEY`.
            timeout_s: how long an answer may take with all attempts and pauses; how long a stream may be silent.
            connect_s: how long taking a connection may.
            retries: how often something is tried again.

        Raises:
            BadInput: the address is none, or no header can carry the key.
        """
        self._http = Http(Address.of(url, key), Patience(timeout_s, connect_s, retries))

    @property
    def url(self) -> str:
        """The router's address."""
        return self._http.address.url

    def __repr__(self) -> str:
        return f"Client({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up its connections."""
        self._http.close()

    def route(self, query: str, **fields: Unpack[Fields]) -> Answer:
        """
        Have a query answered by the model that it needs.

        Args:
            query: what the user says.
            **fields: see [`Fields`][smart_router.client.Fields].

        Raises:
            BadInput: it cannot be sent.
            RouterUnreachable: nobody answers.
            RouterRefused: the router says no, and why.
            StreamBroken: the connection was lost within the answer.
        """
        return self._http.ask(calls.route(query, fields))

    def stream(self, query: str, **fields: Unpack[Fields]) -> "RouteStream":
        """
        Have it answered word by word: for a `with`, which asks when entered, and hangs up when left.

        Args:
            query: what the user says.
            **fields: see [`Fields`][smart_router.client.Fields].

        Raises:
            BadInput: it cannot be sent.
        """
        return RouteStream(self._http, calls.stream(query, fields))

    def classify(self, query: str, **fields: Unpack[Fields]) -> Classification:
        """
        How the router would decide; nothing is asked or remembered.

        Args:
            query: what the user might say.
            **fields: see [`Fields`][smart_router.client.Fields].

        Raises:
            ClientError: as of `route`.
        """
        return self._http.ask(calls.classify(query, fields))

    def session(self, id: str | None = None) -> "Conversation":
        """A conversation: the session of this id gone on with, or a new one."""
        return Conversation(self._http, id)

    def sessions(self, cursor: str | None = None, limit: int = 50) -> SessionPage:
        """
        The caller's own sessions, a page at a time.

        Args:
            cursor: `next_cursor` of the page before.
            limit: how many on a page.

        Raises:
            ClientError: as of `route`.
        """
        return self._http.ask(calls.sessions(cursor, limit))

    def session_info(self, id: str) -> SessionInfo:
        """
        What is kept of a session; asking does not prolong it.

        Raises:
            UnknownSession: it is over, or another key's.
            ClientError: as of `route`.
        """
        return self._http.ask(calls.session_info(id))

    def update_session(
        self, id: str, *, use_case: str | UnsetType | None = UNSET, bypass_enabled: bool | UnsetType = UNSET
    ) -> SessionInfo:
        """
        Change how a session is decided on.

        Args:
            id: which.
            use_case: pin it to this one; None takes the pin out.
            bypass_enabled: whether follow-ups may skip classification.

        Raises:
            UnknownSession: it is over, or another key's.
            ClientError: as of `route`.
        """
        return self._http.ask(calls.update_session(id, use_case, bypass_enabled))

    def end_session(self, id: str) -> None:
        """
        Have a session and its conversation forgotten.

        Raises:
            UnknownSession: it is over already, or another key's.
            ClientError: as of `route`.
        """
        self._http.ask(calls.end_session(id))

    def use_cases(self) -> tuple[UseCase, ...]:
        """
        What can be routed to.

        Raises:
            ClientError: as of `route`.
        """
        return self._http.ask(calls.use_cases).use_cases

    def models(self) -> tuple[Model, ...]:
        """
        What an OpenAI client may name as `model`.

        Raises:
            ClientError: as of `route`.
        """
        return self._http.ask(calls.models).data

    def stats(self) -> Stats:
        """
        Counts and averages.

        Raises:
            ClientError: as of `route`.
        """
        return self._http.ask(calls.stats)

    def health(self) -> Health:
        """
        The state of every part.

        Raises:
            ClientError: as of `route`.
        """
        return self._http.ask(calls.health)

    def call(self, method: str, path: str, body: object = None) -> Any:
        """
        Any other request: what has no method here, or all that an answer holds.

        Args:
            method: such as `POST`.
            path: such as `/admin/reload`, with its query.
            body: sent as JSON.

        Returns:
            The JSON of the answer.

        Raises:
            ClientError: as of `route`.
        """
        return self._http.ask(calls.other(method, path, body))


class RouteStream:
    """An answer as it comes. Enter it with `with`, then iterate for its words."""

    def __init__(self, http: Http, call: Call[Answer], learn: Callable[[Decision], None] | None = None) -> None:
        self._http = http
        self._call = call
        self._learn = learn
        self._reading = Reading(http.address, call.path)
        self._response: httpx2.Response | None = None
        self._bytes: Iterator[bytes] = iter(())

    @property
    def decision(self) -> Decision:
        """Where the query went, once the `with` is entered."""
        return self._reading.decision

    @property
    def answer(self) -> Answer | None:
        """The whole answer with its times and tokens, after the last word."""
        return self._reading.answer

    @property
    def text(self) -> str:
        """What has come so far."""
        return self._reading.text

    def __enter__(self) -> Self:
        """
        Raises:
            ClientError: as of `Client.route`.
        """
        self._response = self._http.open(self._call)
        self._bytes = self._response.iter_bytes()
        try:
            while not self._reading.begun():
                self._more()
        except BaseException:
            self.close()
            raise
        if self._learn is not None:
            self._learn(self.decision)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; if the answer was not complete, the router stops the model."""
        self._reading.over = True
        if self._response is not None:
            self._response.close()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        """
        Raises:
            StreamBroken: the answer ends before its end.
        """
        while (word := self._reading.take()) is None:
            if self._reading.over:
                raise StopIteration
            self._more()
        return word

    def _more(self) -> None:
        try:
            data = next(self._bytes, None)
        except httpx2.HTTPError as exc:
            self._reading.end(lost(exc, self._http.patience))
            return
        if data is None:
            self._reading.end()
        else:
            self._reading.feed(data)


class Conversation(Thread):
    """A session, gone on with turn by turn: its id is remembered from the first answer."""

    def __init__(self, http: Http, id: str | None = None) -> None:
        super().__init__(id)
        self._http = http

    def route(self, query: str, **fields: Unpack[Fields]) -> Answer:
        """
        The next turn; as `Client.route`.

        Raises:
            ClientError: as there. Nothing is lost by it: the same turn can be tried again.
        """
        answer = self._http.ask(calls.route(query, self.with_session(fields)))
        self.learn(answer)
        return answer

    def stream(self, query: str, **fields: Unpack[Fields]) -> RouteStream:
        """The next turn word by word; as `Client.stream`."""
        return RouteStream(self._http, calls.stream(query, self.with_session(fields)), self.learn)

    def classify(self, query: str, **fields: Unpack[Fields]) -> Classification:
        """
        How the router would decide on a next turn.

        Raises:
            ClientError: as of `Client.route`.
        """
        return self._http.ask(calls.classify(query, self.with_session(fields)))

    def info(self) -> SessionInfo:
        """
        What the router keeps of it.

        Raises:
            UnknownSession: it has expired, or was ended elsewhere. The next turn begins it anew.
            ClientError: as of `Client.route`.
        """
        return self._http.ask(calls.session_info(self.known()))

    def update(
        self, *, use_case: str | UnsetType | None = UNSET, bypass_enabled: bool | UnsetType = UNSET
    ) -> SessionInfo:
        """
        Pin it to a use case (None: unpin), or have follow-ups classified or not; as `Client.update_session`.

        Raises:
            UnknownSession: it has expired, or was ended elsewhere.
            ClientError: as of `Client.route`.
        """
        return self._http.ask(calls.update_session(self.known(), use_case, bypass_enabled))

    def end(self) -> None:
        """
        Have it forgotten. That it was over already, or never begun, is no error.

        Raises:
            ClientError: as of `Client.route`.
        """
        if self.id is not None:
            with suppress(UnknownSession):
                self._http.ask(calls.end_session(self.id))
        self.forget()
