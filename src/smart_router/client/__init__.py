"""
Ask a smart-router from Python.

    from smart_router.client import Client

    with Client() as client:
        talk = client.session()
        print(talk.route("Write a Python function to sort a list").result)
        with talk.stream("Add error handling to that function") as stream:
            for word in stream:
                print(word, end="", flush=True)

`AsyncClient` is the same for asyncio. All errors are `ClientError`s, and say what to do.
"""

from smart_router.client.answers import (
    Answer,
    Because,
    Classification,
    Decision,
    EndpointHealth,
    Health,
    Lane,
    Model,
    ModelState,
    PartStats,
    SessionInfo,
    SessionPage,
    Stats,
    Usage,
    UseCase,
)
from smart_router.client.asynchronous import AsyncClient, AsyncConversation, AsyncRouteStream
from smart_router.client.attachment import Attachment
from smart_router.client.calls import Fields
from smart_router.client.errors import (
    BadInput,
    ClientError,
    NotARouter,
    RouterRefused,
    RouterUnreachable,
    StreamBroken,
    UnknownSession,
)
from smart_router.client.synchronous import Client, Conversation, RouteStream

__all__ = [
    "Answer",
    "AsyncClient",
    "AsyncConversation",
    "AsyncRouteStream",
    "Attachment",
    "BadInput",
    "Because",
    "Classification",
    "Client",
    "ClientError",
    "Conversation",
    "Decision",
    "EndpointHealth",
    "Fields",
    "Health",
    "Lane",
    "Model",
    "ModelState",
    "NotARouter",
    "PartStats",
    "RouteStream",
    "RouterRefused",
    "RouterUnreachable",
    "SessionInfo",
    "SessionPage",
    "Stats",
    "StreamBroken",
    "UnknownSession",
    "Usage",
    "UseCase",
]
