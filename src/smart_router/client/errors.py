"""
What can go wrong between a program and a router; each `str()` says what happened and what to do.

    ClientError
    ├── BadInput                what was given cannot be sent; nothing was
    ├── RouterUnreachable       nobody answers at the address, or not in time
    │   └── NotARouter          somebody answers, but not as a smart-router does, or not as this version understands
    ├── RouterRefused           the router answered with an error
    │   └── UnknownSession      the session is over, or somebody else's
    └── StreamBroken            an answer ended before its end
"""


class ClientError(Exception):
    """All errors of this package."""


class BadInput(ClientError, ValueError):
    """An address, a key, a file or an option cannot be sent as it is; nothing was sent."""


class RouterUnreachable(ClientError):
    """
    Nobody answers.

    Attributes:
        asked: whether the request may have reached a router, and may have been carried out.
    """

    def __init__(self, message: str, *, asked: bool = False) -> None:
        super().__init__(message)
        self.asked = asked


class NotARouter(RouterUnreachable):
    """
    Something else answers at the address: another program, a proxy, or a router of a version too different.

    Attributes:
        status: the HTTP status of the answer; None where there was no HTTP.
        retry_after_s: how long it asks to wait, as proxies do whose router is away.
    """

    def __init__(self, message: str, *, status: int | None = None, retry_after_s: float | None = None) -> None:
        super().__init__(message, asked=True)
        self.status = status
        self.retry_after_s = retry_after_s


class RouterRefused(ClientError):
    """
    The router says no, and why.

    Attributes:
        status: the HTTP status; 200 where a stream had begun, and ended with an error.
        code: the error's name, such as `rate_limited`; they stay, messages may change.
        message: what the router says.
        retry_after_s: after how many seconds trying again makes sense, if it does.
        request_id: the name of the request in the router's log.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        retry_after_s: float | None = None,
        request_id: str | None = None,
        advice: str = "",
    ) -> None:
        super().__init__(message + (f"; {advice}" if advice else ""))
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.request_id = request_id


class UnknownSession(RouterRefused):
    """It has expired, was ended elsewhere, or belongs to another key. A new turn with its id begins it anew."""


class StreamBroken(ClientError):
    """
    An answer ended before its end.

    Attributes:
        text_so_far: what had come of it.
        refusal: what the router said, where it said why.
    """

    def __init__(self, message: str, text_so_far: str, refusal: RouterRefused | None = None) -> None:
        super().__init__(message)
        self.text_so_far = text_so_far
        self.refusal = refusal
