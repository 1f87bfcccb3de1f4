"""The typical Python gateway: FastAPI in front, aiohttp behind, nothing in between. UPSTREAM_URL says where to."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse

UPSTREAM = os.environ["UPSTREAM_URL"]
OF_THE_CONNECTION = {"host", "connection", "content-length", "transfer-encoding", "keep-alive"}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:
        app.state.session = session
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/v1/chat/completions")
async def chat(request: Request) -> StreamingResponse:
    headers = {name: value for name, value in request.headers.items() if name not in OF_THE_CONNECTION}
    body = await request.body()
    response = await request.app.state.session.post(UPSTREAM + request.url.path, data=body, headers=headers)

    async def relay() -> AsyncIterator[bytes]:
        async with response:
            async for chunk in response.content.iter_any():
                yield chunk

    return StreamingResponse(relay(), status_code=response.status, media_type=response.headers["content-type"])
