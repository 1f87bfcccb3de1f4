"""
Exit code 0 when the server in this container answers 200, else 1: the images have no curl.

    healthcheck.py [PORT [PATH]]    without them: the router's port, /livez
"""

import http.client
import os
import sys

TIMEOUT_S = 4  # a second less than the container's own


def main() -> int:
    port = sys.argv[1] if len(sys.argv) > 1 else os.environ.get("ROUTER_PORT") or os.environ.get("PORT") or "8001"
    path = sys.argv[2] if len(sys.argv) > 2 else "/livez"
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return 0 if connection.getresponse().status == 200 else 1
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
