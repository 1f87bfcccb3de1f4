"""`smart-router` and `python -m smart_router`."""

import sys
from io import TextIOWrapper

from smart_router.cli import app


def main() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character is no reason to fail
    app()


if __name__ == "__main__":
    main()
