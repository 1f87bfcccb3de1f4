"""A simulated server in a thread of this process: for demonstrations and tests."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import uvicorn

from smart_router.simulate.model import SimulatedModel
from smart_router.simulate.server import KEEP_ALIVE_S, create_app

ANSWERS_MAY_TAKE_S = 1  # after which an unfinished one does not hold up the end


@contextlib.contextmanager
def running(model: SimulatedModel, *, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """
    Serve *model* while the block runs; gives the base URL, on a free port unless one is named.

    The socket listens before the block begins, so that nobody has to wait for the server.
    """
    with socket.create_server((host, port)) as listening:
        server = uvicorn.Server(_config(model))
        thread = threading.Thread(target=server.run, args=([listening],), name=f"simulate {model.id}", daemon=True)
        thread.start()
        try:
            yield f"http://{host}:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


def _config(model: SimulatedModel) -> uvicorn.Config:
    return uvicorn.Config(
        create_app(model),
        log_level="critical",
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=ANSWERS_MAY_TAKE_S,
    )
