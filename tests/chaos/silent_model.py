"""A program: a model server on the port it is given, whose every answer is a stream of one word and then silence."""

import asyncio
import sys

HEALTHY = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
WORD = b'data: {"choices": [{"index": 0, "delta": {"content": "Hello"}}]}\n\n'
STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"%x\r\n%b\r\n" % (len(WORD), WORD)
)  # fmt: skip


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until the client leaves; the body of a request is not looked at."""
    try:
        while (await reader.readuntil(b"\r\n\r\n")).startswith(b"GET "):
            writer.write(HEALTHY)
        writer.write(STREAM)
        while await reader.read(65_536):
            pass
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
