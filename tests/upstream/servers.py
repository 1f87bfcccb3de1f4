"""
Servers to test our HTTP/1.1 client against: other people's (uvicorn, aiohttp, nginx), all with the same paths, and raw
sockets. Each lives while its block runs.
"""

import asyncio
import contextlib
import functools
import hashlib
import inspect
import os
import queue
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import uvloop
from aiohttp import web

from smart_router.upstream.pool import Pools

READY_WITHIN_S = 40.0
LARGE = b"0123456789abcdef" * (5 * 1024 * 1024 // 16)
MOST_AT_NGINX = "6m"

Test = Callable[..., Coroutine[Any, Any, None]]
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


def on_both_loops(test: Test) -> Callable[..., None]:
    """Run it once in asyncio's own loop, once in uvloop: their transports differ. No asynchronous fixtures."""

    @functools.wraps(test)
    def run(loop_name: str, **arguments: Any) -> None:
        with asyncio.Runner(loop_factory=LOOPS[loop_name]) as runner:
            runner.run(test(**arguments))

    signature = inspect.signature(test)
    name = inspect.Parameter("loop_name", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=str)
    run.__signature__ = signature.replace(parameters=[name, *signature.parameters.values()])  # type: ignore[attr-defined]
    marked: Callable[..., None] = pytest.mark.parametrize("loop_name", LOOPS)(run)
    return marked


@asynccontextmanager
async def some_pools(*, leftovers: bool = False, **options: Any) -> AsyncIterator[Pools]:
    """Unless *leftovers* are expected, no connection may be busy at the end."""
    pools = Pools(**{"connect_s": 10.0} | options)
    pools.start()
    try:
        yield pools
        busy = {endpoint: pool._busy for endpoint, pool in pools._pools.items() if pool._busy}
        assert leftovers or not busy, f"not given back: {busy}"
    finally:
        pools.close()
        await asyncio.sleep(0.01)  # transports close in the loop's next round


@asynccontextmanager
async def raw_server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Its address. *handler* has the socket for itself; it is closed afterwards."""
    under_way: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.CancelledError, asyncio.IncompleteReadError):
                await handler(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError, ssl.SSLError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    finally:
        server.close()
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)
        await server.wait_closed()


# what all of them serve


async def app(scope: Any, receive: Any, send: Any) -> None:
    """ASGI."""
    if scope["type"] == "http":
        await _PATHS[scope["path"]](receive, send)


async def _plain(receive: Any, send: Any) -> None:
    await _answer(send, 200, b"hello", x_odd=b"A b C")


async def _chunked(receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/event-stream")]})
    for part in (b"data: 1\n\n", b"data: 2\n\n", b"data: [DONE]\n\n"):
        await send({"type": "http.response.body", "body": part, "more_body": True})
        await asyncio.sleep(0.005)
    await send({"type": "http.response.body"})


async def _large(receive: Any, send: Any) -> None:
    await _answer(send, 200, LARGE)


async def _digest(receive: Any, send: Any) -> None:
    body = await _body(receive)
    await _answer(send, 200, f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode())


async def _echo(receive: Any, send: Any) -> None:
    await _answer(send, 200, await _body(receive))


async def _no_content(receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


async def _not_modified(receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 304, "headers": [(b"etag", b'"1"')]})
    await send({"type": "http.response.body"})


async def _closing(receive: Any, send: Any) -> None:
    await _answer(send, 200, b"bye", connection=b"close")


async def _refusing(receive: Any, send: Any) -> None:
    """Without a look at the body."""
    await _answer(send, 413, b"too large")


_PATHS = {
    "/plain": _plain,
    "/chunked": _chunked,
    "/large": _large,
    "/digest": _digest,
    "/echo": _echo,
    "/204": _no_content,
    "/304": _not_modified,
    "/closing": _closing,
    "/refusing": _refusing,
}


async def _answer(send: Any, status: int, body: bytes, **headers: bytes) -> None:
    more = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    length = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": length + more})
    await send({"type": "http.response.body", "body": body})


async def _body(receive: Any) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message["body"])
        if not message.get("more_body"):
            return b"".join(parts)


# other people's servers


@contextmanager
def uvicorn_server(http: str, certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    config: dict[str, Any] = {"http": http, "ws": "none", "lifespan": "off", "log_config": None, "access_log": False}
    if certificate is not None:
        config |= {"ssl_certfile": certificate[0], "ssl_keyfile": certificate[1]}
    server = uvicorn.Server(uvicorn.Config(app, timeout_graceful_shutdown=1, **config))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.run, args=([listening],), name=f"uvicorn-{http}")
        thread.start()
        try:
            _wait_until(lambda: server.started or not thread.is_alive(), "uvicorn did not start")
            yield _address(listening, certificate)
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def aiohttp_server(certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    tls = _server_context(certificate)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        ends: queue.Queue[Callable[[], object]] = queue.Queue()
        thread = threading.Thread(target=lambda: asyncio.run(_aiohttp(listening, tls, ends)), name="aiohttp")
        thread.start()
        end = ends.get(timeout=READY_WITHIN_S)
        try:
            yield _address(listening, certificate)
        finally:
            end()
            thread.join()


async def _aiohttp(
    listening: socket.socket, tls: ssl.SSLContext | None, ends: "queue.Queue[Callable[[], object]]"
) -> None:
    """Serve until what it puts into *ends* is called."""
    application = web.Application(client_max_size=0)
    application.router.add_route("*", "/{path:.*}", _by_aiohttp)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, listening, ssl_context=tls).start()
    end, loop = asyncio.Event(), asyncio.get_running_loop()
    ends.put(lambda: loop.call_soon_threadsafe(end.set))
    await end.wait()
    await runner.cleanup()


async def _by_aiohttp(request: web.Request) -> web.StreamResponse:
    """`app`, served by aiohttp."""
    response = web.StreamResponse()

    async def receive() -> dict[str, Any]:
        body = await request.content.readany()
        return {"body": body, "more_body": not request.content.at_eof()}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            response.set_status(message["status"])
            for name, value in message["headers"]:
                response.headers.add(name.decode().title(), value.decode())
            await response.prepare(request)
        elif body := message.get("body"):
            await response.write(body)

    await app({"type": "http", "path": request.path}, receive, send)
    await response.write_eof()
    return response


@contextmanager
def nginx_server(folder: Path, behind: str, certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """A proxy before the server at *behind*, which frames every answer and reads every body itself."""
    program = shutil.which("nginx")
    if program is None:
        reason = "no nginx on the PATH; scripts/install_servers.sh installs it"
        if os.environ.get("CI") and os.geteuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    tls = "" if certificate is None else f"ssl_certificate {certificate[0]}; ssl_certificate_key {certificate[1]};"
    listen = f"listen 127.0.0.1:{port}{' ssl' if tls else ''}; {tls}"
    (folder / "nginx.conf").write_text(_NGINX.format(folder=folder, listen=listen, behind=behind, most=MOST_AT_NGINX))
    command = [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    process = subprocess.Popen(command)
    try:
        _wait_until(lambda: process.poll() is not None or _accepts(port), "nginx did not start")
        assert process.poll() is None, (folder / "error.log").read_text()
        yield f"http{'s' if tls else ''}://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


_NGINX = """
daemon off; master_process off; pid {folder}/pid; events {{}}
http {{
    access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi; uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    client_max_body_size {most}; keepalive_timeout 5s 5s;
    server {{
        {listen}
        location / {{ proxy_pass {behind}; proxy_http_version 1.1; proxy_set_header Connection ""; }}
        location /closing {{ proxy_pass {behind}; keepalive_timeout 0; }}
        location /trailers {{ proxy_pass {behind}/chunked; proxy_http_version 1.1; add_trailer X-After all; }}
        location /refusing {{ proxy_pass {behind}; client_max_body_size 1k; }}
    }}
}}
"""


def _address(listening: socket.socket, certificate: tuple[Path, Path] | None) -> str:
    return f"http{'s' if certificate else ''}://127.0.0.1:{listening.getsockname()[1]}"


def _server_context(certificate: tuple[Path, Path] | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def _accepts(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while not condition():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


def self_signed(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for *name* (such as IP:127.0.0.1 or DNS:other.example) and its key, made by openssl."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("no openssl to make a certificate with")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = [program, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=test", "-addext", f"subjectAltName={name}"]
    command += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign", "-keyout", str(key)]
    subprocess.run([*command, "-out", str(certificate)], check=True, capture_output=True)
    return certificate, key
