"""One question to a server, over a connection that lasts no longer."""

from typing import Any

from hiredis import ReplyError

from smart_router.errors import StoreUnavailable
from smart_router.sessions.address import Address
from smart_router.sessions.link import Call, Link, Part


async def ask(address: Address, *command: Part) -> Any:
    """
    The reply to *command*. Who refuses our password and answers all the same needs none.

    Raises:
        StoreUnavailable: it was refused.
        OSError, ValueError: see `Destination.open`.
    """
    refusals: list[str] = []

    def on_reply(call: Call, reply: object) -> None:
        if isinstance(reply, ReplyError):
            refusals.append(str(reply))
        if call.waiter is not None and not call.waiter.done():
            call.waiter.set_result(reply)

    link = Link(on_reply, lambda link, reason: None)
    try:
        [reply] = await address.open(link, [command])
    finally:
        link.abort()
    if isinstance(reply, ReplyError):
        raise StoreUnavailable("; ".join(refusals))
    return reply
