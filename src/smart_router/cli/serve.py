"""`smart-router serve`."""

import socket
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated, Any

import typer

from smart_router.cli.failing import CONFIGURATION, fail, plain_errors

if TYPE_CHECKING:
    from smart_router.api.asgi import Handler
    from smart_router.settings import Settings

WORKER_STARTS_WITHIN_S = 300  # it may have to train first; one that replaces another has so long to be ready
KEEP_ALIVE_S = 75  # idle client connections; longer than what load balancers keep theirs


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(help="Default: ROUTER_PORT or PORT, then 8001.", min=1, max=65535)] = None,
    workers: Annotated[int, typer.Option(help="Processes; more than one needs REDIS_URL.", min=1, max=64)] = 1,
) -> None:
    """
    Run the router.

    Example: smart-router serve --host 0.0.0.0 --port 8001
    """
    import uvicorn

    from smart_router.settings import load_settings

    with plain_errors():
        settings = load_settings()
        _check_workers(workers, settings)
        app, port = ready_app(settings, host, port)
    tell_where(host, port)
    target = app if workers == 1 else "smart_router.cli.serve:worker_app"
    uvicorn.run(
        target,
        factory=workers > 1,
        workers=workers,
        timeout_worker_healthcheck=WORKER_STARTS_WITHIN_S,
        **server_options(settings, host, port),
    )


def ready_app(settings: "Settings", host: str, port: int | None) -> tuple["Handler", int]:
    """
    The router, and the port of *host* that it can be served on; where that cannot be, the command ends.

    Raises:
        ConfigurationError
    """
    from smart_router.app import create_app
    from smart_router.observe.logs import configure_logs
    from smart_router.process import Signals

    configure_logs(settings.log_level, settings.log_format)
    _check_who_can_come_in(host, settings)
    app = create_app(settings, Signals(settings.drain_delay))
    port = port or settings.router_port
    _check_that_it_is_free(host, port)
    return app, port


def server_options(settings: "Settings", host: str, port: int) -> dict[str, Any]:
    """How uvicorn is to serve it."""
    from smart_router.api.server import SECURITY_HEADERS, HttpProtocol

    return {
        "host": host,
        "port": port,
        "http": partial(HttpProtocol, header_timeout_s=settings.header_timeout),  # as good as one
        "proxy_headers": False,  # nothing here depends on a client's address
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "headers": SECURITY_HEADERS,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "timeout_graceful_shutdown": settings.drain_timeout,
    }


def tell_where(host: str, port: int) -> None:
    typer.echo(f"smart-router: http://{host}:{port}, its API at /docs", err=True)


def worker_app() -> object:
    """One of several worker processes."""
    from smart_router.app import create_app
    from smart_router.observe.logs import configure_logs
    from smart_router.process import Signals
    from smart_router.settings import load_settings

    settings = load_settings()
    configure_logs(settings.log_level, settings.log_format)
    return create_app(settings, Signals(settings.drain_delay, worker=True))


def _check_workers(workers: int, settings: "Settings") -> None:
    """
    Raises:
        ConfigurationError: the registry is wrong, or not for several.
    """
    if workers == 1:
        return
    if not settings.redis_url:
        fail("--workers: several processes share sessions through Redis; set REDIS_URL", CONFIGURATION)
    from smart_router.lifecycle.roster import refuse_processes
    from smart_router.reloading import read_registry

    refuse_processes(read_registry(settings))


def _check_that_it_is_free(host: str, port: int) -> None:
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as exc:
        fail(f"cannot listen on {host} port {port} ({exc.strerror}); stop what does, or give --port", CONFIGURATION)


def _check_who_can_come_in(host: str, settings: "Settings") -> None:
    """Without a key, only whoever is on this machine, unless that is what the operator wants."""
    if settings.api_key is not None or settings.api_keys_file is not None:
        return
    if not is_loopback(host) and not settings.allow_open:
        fail(
            f"without a key, anybody who reaches {host} could use the router; set API_KEY (for example to what "
            "`openssl rand -hex 32` prints) or API_KEYS_FILE, or ALLOW_OPEN=true if that is what you want",
            CONFIGURATION,
        )
    typer.echo("smart-router: no key is configured: whoever reaches this address can use the router", err=True)


def is_loopback(host: str) -> bool:
    """Whether all addresses that *host* stands for can only be reached from this machine."""
    try:
        found = socket.getaddrinfo(host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return False
    return all(ip_address(str(address[0]).partition("%")[0]).is_loopback for *_, address in found)
