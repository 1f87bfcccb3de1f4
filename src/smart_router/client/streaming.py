"""A streamed answer, as its bytes arrive. No I/O."""

from collections import deque
from typing import Any

import msgspec

from smart_router.client.address import Address
from smart_router.client.answers import Answer, Decision
from smart_router.client.errors import BadInput, ClientError, RouterRefused, StreamBroken
from smart_router.client.reading import MOST_ANSWER_BYTES, misunderstood, refusal
from smart_router.decide.sse import MAX_EVENT_BYTES, Event, Parser, TooLong


class _Delta(msgspec.Struct):
    delta: str


class _Refusal(msgspec.Struct):
    error_message: str
    error_code: str
    request_id: str | None = None


class Reading:
    """
    Knows what has come of a stream: first its decision, then words, in the end the answer. Comments are skipped, and so
    are events that only a later version knows. `over`: no more bytes are of interest.
    """

    def __init__(self, address: Address, path: str) -> None:
        self._address = address
        self._path = path
        self._parser = Parser()
        self._pieces: list[str] = []
        self._length = 0  # of them together
        self._waiting: deque[str] = deque()
        self._failure: ClientError | None = None
        self._decision: Decision | None = None
        self._answer: Answer | None = None
        self.over = False

    @property
    def decision(self) -> Decision:
        """
        Raises:
            BadInput: it is not known yet.
        """
        if self._decision is None:
            raise _not_entered()
        return self._decision

    @property
    def answer(self) -> Answer | None:
        """After the last word was taken."""
        return None if self._waiting else self._answer

    @property
    def text(self) -> str:
        """All words so far."""
        return "".join(self._pieces)

    def begun(self) -> bool:
        """
        The decision is known.

        Raises:
            ClientError: it will not come.
        """
        if self._decision is None and self._failure is not None:
            raise self._failure
        return self._decision is not None

    def take(self) -> str | None:
        """
        The next word; None if it has not come yet, or will not.

        Raises:
            StreamBroken: it ended before its end; after the last word that came.
            NotARouter: this is no answer of a router's.
        """
        if self._waiting:
            return self._waiting.popleft()
        if self._failure is not None:
            raise self._failure
        if self._decision is None:
            raise _not_entered()
        return None

    def feed(self, data: bytes) -> None:
        try:
            for event in self._parser.feed(data):
                self._take(event)
        except (TooLong, UnicodeDecodeError) as exc:
            why = f"an event of more than {MAX_EVENT_BYTES} bytes" if isinstance(exc, TooLong) else "it is not UTF-8"
            self._fail(self._broken(why))

    def end(self, why: str = "the connection was closed") -> None:
        """No more bytes come."""
        self.over = True
        if self._answer is None:
            self._fail(self._broken(why))

    def _take(self, event: Event) -> None:
        """Whatever follows the end, or a failure, is nobody's."""
        if self._answer is not None or self._failure is not None:
            return
        try:
            match event.event:
                case "route":
                    self._decision = _read(event, Decision)
                case "message":
                    self._say(_read(event, _Delta).delta)
                case "done":
                    self._complete(_read(event, dict[str, Any]))
                case "error":
                    self._fail(self._told(_read(event, _Refusal)))
        except (msgspec.DecodeError, RecursionError) as exc:
            self._fail(misunderstood(self._address, self._path, exc))

    def _say(self, word: str) -> None:
        if self._decision is None:
            raise msgspec.DecodeError("words before the decision")
        self._length += len(word)
        if self._length > MOST_ANSWER_BYTES:
            self._fail(self._broken(f"more than {MOST_ANSWER_BYTES} characters, which no router's answer has"))
            return
        self._pieces.append(word)
        self._waiting.append(word)

    def _complete(self, record: dict[str, Any]) -> None:
        self._answer = msgspec.convert(record | {"result": self.text}, Answer)

    def _fail(self, failure: ClientError) -> None:
        self.over = True
        if self._failure is None:
            self._failure = failure

    def _told(self, said: _Refusal) -> RouterRefused | StreamBroken:
        refused = refusal(200, said.error_code, said.error_message, None, said.request_id, self._address)
        if self._decision is None:
            return refused
        return self._broken(f"the router says: {said.error_message}", refused)

    def _broken(self, why: str, refused: RouterRefused | None = None) -> StreamBroken:
        text = self.text
        came = f"after {len(text)} characters, which are kept in text_so_far" if text else "before its first word"
        return StreamBroken(f"the answer broke off {came} ({why}); ask again", text, refused)


def _not_entered() -> BadInput:
    return BadInput("a stream asks when its `with` is entered; read it there")


def _read(event: Event, kind: Any) -> Any:
    return msgspec.json.decode(event.data, type=kind)
