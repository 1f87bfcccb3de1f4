"""
A program: tries `smart-router serve` with each environment of a JSON object on stdin, and tells how each ended.

The port is taken, so that a start that ought to have been refused ends too, with another exit code.
"""

import json
import socket
import sys

from typer.testing import CliRunner

from smart_router.cli import app


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = {}
        for name, environment in json.load(sys.stdin).items():
            result = CliRunner().invoke(app, ["serve", "--port", port], env=environment)
            ended[name] = {"code": result.exit_code, "output": result.output}
    print(json.dumps(ended))


if __name__ == "__main__":
    main()
