"""
The Python client for asyncio: several questions at once, and a picture that comes along.

    python examples/python_async_client.py [PICTURE]
"""

import asyncio
import sys

from smart_router.client import AsyncClient, Attachment, ClientError

QUERIES = ("Plan a weekend in Pune", "Summarise the theory of relativity", "Read this aloud: good evening")


async def main() -> None:
    async with AsyncClient(retries=4) as client:
        for answer in await asyncio.gather(*(client.route(query, max_tokens=60) for query in QUERIES)):
            print(f"{answer.use_case:<11} {answer.total_time * 1000:6.0f} ms  {answer.result[:60]}")

        if len(sys.argv) > 1:
            picture = Attachment.from_file(sys.argv[1])
            async with client.stream("What is in this picture?", attachments=[picture]) as stream:
                print(f"{stream.decision.use_case:<11} on {stream.decision.selected_model}:")
                async for word in stream:
                    print(word, end="", flush=True)
            print()


try:
    asyncio.run(main())
except ClientError as exc:
    sys.exit(f"{type(exc).__name__}: {exc}")
