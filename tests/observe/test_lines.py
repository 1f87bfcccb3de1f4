"""Log lines are collected, written together and in order, and nobody waits for their reader."""

import asyncio
import io
import os
import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from threading import Thread
from time import monotonic
from typing import TextIO

import pytest

from smart_router.observe import lines as module
from smart_router.observe.lines import AT_ONCE_BYTES, FLUSH_AT_BYTES, MOST_BYTES, Lines


def lost(number: int) -> bytes:
    return b"lost %d" % number


class Pipe:
    """Both ends of a pipe; its reader reads when told to."""

    def __init__(self) -> None:
        self._end, writing = os.pipe()
        os.set_blocking(self._end, False)
        self.stream: TextIO = os.fdopen(writing, "w")
        self.lines = Lines(self.stream, lost)

    def read(self) -> bytes:
        found = b""
        try:
            while more := os.read(self._end, 1 << 20):
                found += more
        except BlockingIOError:
            pass
        return found

    def read_until(self, size: int) -> bytes:
        found = b""
        while len(found) < size:
            select.select([self._end], [], [], 10)
            found += self.read()
        return found

    def hang_up(self) -> None:
        os.close(self._end)
        self._end = -1

    def close(self) -> None:
        self.stream.close()
        if self._end >= 0:
            self.hang_up()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


def test_without_a_loop_a_line_is_written_at_once(pipe: Pipe) -> None:
    pipe.lines.add(b"one")
    assert pipe.read() == b"one\n"


async def test_lines_wait_for_the_timer_and_then_come_together(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_AFTER_S", 0.01)
    pipe.lines.add(b"one")
    pipe.lines.add(b"two")
    assert pipe.read() == b""
    await until_read(pipe, b"one\ntwo\n")
    pipe.lines.add(b"three")  # the timer is set again
    await until_read(pipe, b"three\n")


async def until_read(pipe: Pipe, expected: bytes) -> None:
    found = b""
    async with asyncio.timeout(10):
        while found != expected:
            await asyncio.sleep(0.005)
            found += pipe.read()


async def test_many_lines_do_not_wait(pipe: Pipe) -> None:
    line = b"x" * 1023
    for _ in range(FLUSH_AT_BYTES // 1024 - 1):
        pipe.lines.add(line)
    assert pipe.read() == b""
    pipe.lines.add(line)
    assert len(pipe.read()) == FLUSH_AT_BYTES


async def test_what_is_said_takes_along_what_was_added_before_it(pipe: Pipe) -> None:
    pipe.lines.add(b"one")
    pipe.lines.say(b"two")
    assert pipe.read() == b"one\ntwo\n"


async def test_closing_writes_what_waits(pipe: Pipe) -> None:
    pipe.lines.add(b"one")
    pipe.lines.close()
    assert pipe.read() == b"one\n"


def test_a_loop_that_ended_early_does_not_keep_lines_of_the_next(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FLUSH_AFTER_S", 0.01)

    async def leave() -> None:
        pipe.lines.add(b"left behind")

    async def come() -> None:
        pipe.lines.add(b"next")
        await until_read(pipe, b"left behind\nnext\n")

    asyncio.run(leave())
    asyncio.run(come())


def test_the_end_of_the_process_writes_what_waits() -> None:
    code = """
import asyncio, sys
from smart_router.observe.lines import Lines
async def main():
    Lines(sys.stderr, lambda n: b"").add(b"the last word")
asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stderr == b"the last word\n"


async def test_a_reader_that_stalls_costs_lines_and_is_told_how_many(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FLUSH_AFTER_S", 0.01)
    total = 4 * MOST_BYTES // 1000
    for number in range(total):
        pipe.lines.add(b"%0999d" % number)
    assert len(pipe.lines._waiting) <= MOST_BYTES
    found = b""
    async with asyncio.timeout(30):
        while b"lost" not in found:
            await asyncio.sleep(0.005)
            found += pipe.read()
    *kept, last = found.splitlines()
    assert [int(line) for line in kept] == list(range(len(kept)))
    assert last == lost(total - len(kept))
    pipe.lines.say(b"flows again")
    assert pipe.read() == b"flows again\n"


def test_the_end_waits_for_a_slow_reader(pipe: Pipe) -> None:
    for _ in range(100):
        pipe.lines.add(b"x" * 1000)
    found = []
    reader = Thread(target=lambda: found.append(pipe.read_until(100 * 1001)))
    reader.start()
    pipe.lines.close()
    reader.join()
    assert len(found[0]) == 100 * 1001


async def test_a_stalled_reader_is_asked_again_by_the_timer_alone(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3):
        pipe.lines.add(b"x" * FLUSH_AT_BYTES)
    attempts: list[float] = []
    monkeypatch.setattr(pipe.lines, "_write_all", attempts.append)
    pipe.lines.add(b"y")
    assert attempts == []


def test_the_end_waits_for_a_stalled_reader_only_so_long(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LAST_WORDS_S", 0.01)
    for _ in range(100):
        pipe.lines.add(b"x" * 1000)
    started = monotonic()
    pipe.lines.close()
    assert monotonic() - started < 20
    assert len(pipe.lines._waiting) > 0


def test_a_reader_that_went_away_harms_nobody(pipe: Pipe) -> None:
    pipe.hang_up()
    pipe.lines.say(b"one")
    pipe.lines.close()


def test_a_closed_stream_harms_nobody_and_its_descriptor_is_left_alone(pipe: Pipe) -> None:
    reader, writer = os.pipe()
    descriptor = pipe.stream.fileno()
    pipe.stream.close()
    os.dup2(writer, descriptor)  # somebody else's now
    try:
        pipe.lines.say(b"one")
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
    finally:
        for end in {reader, writer, descriptor}:
            os.close(end)


def test_what_is_written_at_once_is_whole_lines_and_not_too_much() -> None:
    """So that the lines of several processes on one pipe do not mix."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)  # keeps what was written together together
    with ours, theirs, os.fdopen(os.dup(ours.fileno()), "w") as stream:
        theirs.setblocking(False)
        lines = Lines(stream, lost)
        with lines._lock:  # all wait
            for number in range(20):
                lines._take(b"%0999d" % number)
            lines._take(b"y" * 5000)
        lines.flush()
        written = [theirs.recv(1 << 16) for _ in range(7)]
    assert all(part.endswith(b"\n") for part in written[:5])
    assert [len(part) for part in written] == [4000] * 5 + [AT_ONCE_BYTES, 5001 - AT_ONCE_BYTES]


def test_a_line_of_which_only_a_part_was_taken_goes_on_where_it_stopped(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:3]))
    pipe.lines.say(b"one line")
    pipe.lines.say(b"and another")
    assert pipe.read() == b"one line\nand another\n"


def test_a_stream_in_memory_will_do() -> None:
    stream = io.StringIO()
    Lines(stream, lost).say("पंक्ति".encode())
    assert stream.getvalue() == "पंक्ति\n"
