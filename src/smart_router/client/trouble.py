"""What the HTTP library's errors mean for who asked."""

import httpx2

from smart_router.client.address import Address
from smart_router.client.errors import ClientError, NotARouter, RouterUnreachable, StreamBroken
from smart_router.client.retrying import Patience, out_of_time

_NOT_ASKED = (httpx2.ConnectError, httpx2.ProxyError)
_START_ONE = "start one with `smart-router serve`, or give the address of one that runs"


def unreachable(exc: Exception, address: Address, patience: Patience) -> RouterUnreachable:
    """For an error before the first byte of an answer."""
    match exc:
        case httpx2.ConnectTimeout():
            within = f"within {min(patience.connect_s, patience.timeout_s):g} s"
            return RouterUnreachable(f"nobody took a connection at {address.url} {within}; {_START_ONE}")
        case httpx2.TimeoutException():
            return out_of_time(address, patience)
        case httpx2.RemoteProtocolError() if "disconnected" not in str(exc):
            return NotARouter(f"{address.url} answered something that is no HTTP ({exc}); is that a router's port?")
        case _ if isinstance(exc, _NOT_ASKED):
            return RouterUnreachable(f"there is no router at {address.url} ({exc}); {_START_ONE}")
        case _:
            lost = f"{address.url} closed the connection without an answer ({_words(exc)})"
            return RouterUnreachable(
                f"{lost}; it may or may not have been asked, so see before you ask again", asked=True
            )


def lost(exc: Exception, patience: Patience) -> str:
    """For an error within a stream: why it ends."""
    if isinstance(exc, httpx2.TimeoutException):
        return f"it said nothing for {patience.timeout_s:g} s"
    return f"the connection was lost: {_words(exc)}"


def broken(exc: Exception, address: Address, patience: Patience) -> ClientError:
    """For an error within an answer that was to come whole."""
    if isinstance(exc, httpx2.TimeoutException):
        return out_of_time(address, patience)
    return StreamBroken(f"the answer of {address.url} broke off ({_words(exc)}); ask again", "")


def _words(exc: Exception) -> str:
    return str(exc) or type(exc).__name__
