"""
A multipart upload (RFC 7578), streamed: it is held back only until its `model` part has arrived, which is replaced;
what follows goes through as it comes.
"""

from collections.abc import AsyncIterator, Mapping
from math import inf

from python_multipart.multipart import parse_options_header

from smart_router.api.asgi import ClientGone, Receive, too_large
from smart_router.api.presence import Visitor
from smart_router.errors import BadRequest, BodyTooLarge, UnsupportedMedia

HOLD_BYTES = 64 * 1024  # a smaller upload is held whole, and can be sent to another server
MOST_PART_HEAD = 16 * 1024
_AFTER = (b"\r\n", b"--")  # a boundary, or it is no boundary: so python-multipart reads it, and with it vLLM


class Upload:
    """
    `begin` reads as far as `model`; `parts` gives the whole body with another one. `again` is False once what went out
    is not held any more.
    """

    def __init__(
        self, content_type: bytes, declared: bytes | None, receive: Receive, most: int, presence: Visitor
    ) -> None:
        media_type, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if media_type != b"multipart/form-data" or not 1 <= len(boundary) <= 70:
            raise UnsupportedMedia("send the file as `multipart/form-data` with a boundary")
        self._delimiter = b"\r\n--" + boundary
        self._declared = int(declared[:20]) if declared and declared.isdigit() else None
        self._receive = receive
        self._presence = presence
        self._due = presence.due  # until all of it has arrived
        self._most = most
        self._held = bytearray()
        self._size = 0
        self._ended = False
        self._begun = False
        self._closed = False  # the last part has ended: what follows is no part
        self._part = 0  # where the first part that is not complete begins
        self._looked = 0  # up to where its end was looked for
        self._place = (0, 0)  # of the value of `model` in what is held
        self.model: str | None = None
        self.again = True

    async def begin(self) -> None:
        """
        Raises:
            BadRequest: it is not multipart, or ends without `model`.
            BodyTooLarge, ClientGone
        """
        while not self._ended:
            self._held += await self._more()
            self._search()
            if self.model is not None and len(self._held) >= HOLD_BYTES:
                return
        if self.model is None:
            raise BadRequest("model: is missing; send it as a form field, best before the file")

    def with_model(self, model: str) -> tuple[AsyncIterator[bytes] | bytes, int | None]:
        """The body to send, and its length if that is known."""
        begin, end = self._place
        value = model.encode()
        head = bytes(self._held[:begin]) + value + bytes(self._held[end:])
        if self._ended:
            return head, len(head)
        length = None if self._declared is None else self._declared - (end - begin) + len(value)
        return self._parts(head), length

    async def _parts(self, head: bytes) -> AsyncIterator[bytes]:
        yield head
        self.again = False
        while not self._ended:
            data = await self._more()
            self._held += data
            self._search()
            self._forget()
            yield data

    async def _more(self) -> bytes:
        self._presence.due = self._due
        message = await self._receive()
        self._presence.due = inf  # while the server takes it, the client is not to blame
        if message["type"] != "http.request":
            raise ClientGone
        data: bytes = message.get("body", b"")
        self._size += len(data)
        if self._size > self._most:
            raise BodyTooLarge(too_large(self._most))
        if not message.get("more_body", False):
            self._ended = True
            self._presence.all_read()
        return data

    def _search(self) -> None:
        """Look at every part that is complete. What has been searched for a part's end is not searched again."""
        held, delimiter = self._held, self._delimiter
        if not self._begun:
            if len(held) < len(delimiter):
                return
            self._part = self._looked = len(delimiter) - 2
            after = self._after(self._part)
            if not held.startswith(delimiter[2:]) or after not in _AFTER:
                raise BadRequest(
                    "the body does not begin with the boundary of its Content-Type; leave that header to your library"
                )
            self._begun, self._closed = True, after == b"--"
        while not self._closed and (end := held.find(delimiter, self._looked)) >= 0:
            self._looked = end + len(delimiter)
            after = self._after(self._looked)
            if len(after) < 2:
                break
            if after in _AFTER:
                self._look_at(self._part, end)
                self._part, self._closed = self._looked, after == b"--"
        if self._closed:
            self._part = len(held)
        self._looked = max(self._part, len(held) - len(delimiter) - 2)

    def _after(self, place: int) -> bytes:
        return bytes(self._held[place : place + 2])

    def _forget(self) -> None:
        """Of what went out, keep the head of the part under way, as a second `model` is refused, and its last bytes."""
        if self._looked - self._part > MOST_PART_HEAD:
            del self._held[self._part + MOST_PART_HEAD : self._looked]
            self._looked = self._part + MOST_PART_HEAD
        del self._held[: self._part]
        self._looked -= self._part
        self._part = 0

    def _look_at(self, begin: int, end: int) -> None:
        head_end = self._held.find(b"\r\n\r\n", begin, min(end, begin + MOST_PART_HEAD))
        if head_end < 0:
            raise BadRequest("a part of the form has no head, or too long a one; build the form as RFC 7578 says")
        if b"\n" in self._held[begin:head_end].replace(b"\r\n", b""):
            raise BadRequest(
                "a part of the form has a line feed without a carriage return in its head; end its lines with both"
            )
        for line in bytes(self._held[begin:head_end]).split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-disposition":
                _, options = parse_options_header(value.strip())
                if options.get(b"name") == b"model":
                    self._take(options, head_end + 4, end)

    def _take(self, options: Mapping[bytes, bytes], begin: int, end: int) -> None:
        if b"filename" in options:
            raise BadRequest("model: is a file; send it as a form field")
        if self.model is not None:
            raise BadRequest("model: is given twice; send it once")
        self._place = (begin, end)
        self.model = _text(bytes(self._held[begin:end]))


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise BadRequest("model: is not UTF-8; send its name in UTF-8") from None
