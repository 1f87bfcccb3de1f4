"""Asks a router, and asks again where that makes sense; blocks. `http_async.py` is the same with `await`."""

import random
import time
from contextlib import closing
from typing import TypeVar

import httpx2

from smart_router.client.address import Address
from smart_router.client.calls import Call
from smart_router.client.errors import ClientError
from smart_router.client.reading import Body, check_stream, read, refuse
from smart_router.client.retrying import Patience, Trying
from smart_router.client.trouble import broken, unreachable

T = TypeVar("T")


class Http:
    def __init__(self, address: Address, patience: Patience) -> None:
        self.address = address
        self.patience = patience
        self._client = httpx2.Client(headers=address.headers)

    def close(self) -> None:
        self._client.close()

    def ask(self, call: Call[T]) -> T:
        """
        Raises:
            ClientError
        """
        trying = Trying(self.patience, call.repeatable, time.monotonic())
        with closing(self._open(call, trying)) as response:
            return read(call, self._read(response, trying), self.address)

    def open(self, call: Call[T]) -> httpx2.Response:
        """
        An answer that has begun, for the caller to read and close.

        Raises:
            ClientError
        """
        return self._open(call, Trying(self.patience, call.repeatable, time.monotonic()))

    def _open(self, call: Call[T], trying: Trying) -> httpx2.Response:
        while True:
            try:
                return self._attempt(call, trying)
            except ClientError as exc:
                pause_s = trying.pause_s(exc, time.monotonic(), random.random())  # noqa: S311 - no secret
            time.sleep(pause_s)

    def _attempt(self, call: Call[T], trying: Trying) -> httpx2.Response:
        left_s = trying.left_s(time.monotonic())
        request = self._client.build_request(
            call.method,
            self.address.url + call.path,
            content=call.body,
            headers=call.headers,
            timeout=httpx2.Timeout(left_s, connect=min(self.patience.connect_s, left_s)),
        )
        try:
            response = self._client.send(request, stream=True)
        except httpx2.HTTPError as exc:
            raise unreachable(exc, self.address, self.patience) from exc
        if response.is_success and not call.streams:
            return response
        try:
            if not response.is_success:
                body = self._read(response, trying)
                refuse(response.status_code, response.headers, body, self.address, now=time.time())
            check_stream(response.headers, self.address)
        except BaseException:
            response.close()
            raise
        return response

    def _read(self, response: httpx2.Response, trying: Trying) -> bytes:
        body = Body(self.address)
        try:
            for data in response.iter_bytes():
                body.add(data)
                trying.check(time.monotonic(), self.address)
        except httpx2.HTTPError as exc:
            raise broken(exc, self.address, self.patience) from exc
        return body.whole()
