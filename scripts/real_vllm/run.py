"""
Run a command beside three real vLLM servers with tiny models:

    python -m scripts.real_vllm.run --env ENV --models DIR -- COMMAND ...

The command finds the servers in VLLM_AGENT_URL, VLLM_MULTIMODAL_URL and VLLM_AUDIO_URL, as the router does, and in the
same names with REAL_ before them, which say that these are no simulations. The audio group is a Whisper, so
VLLM_AUDIO_API says `transcriptions`. REAL_VLLM_COMMAND and REAL_VLLM_SETTINGS (JSON) say how to start another server of
the agent group.
"""

import argparse
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

from scripts.real_vllm.servers import SETTINGS, Servers, StartFailed

VARIABLES = {"agent": "VLLM_AGENT_URL", "multimodal": "VLLM_MULTIMODAL_URL", "audio": "VLLM_AUDIO_URL"}


def main() -> int:
    arguments = _arguments()
    try:
        with Servers(arguments.env, arguments.models, {group: _free_port() for group in VARIABLES}) as servers:
            urls = {VARIABLES[group]: url for group, url in servers.urls.items()}
            real = {f"REAL_{name}": url for name, url in urls.items()}
            own = {
                "REAL_VLLM_COMMAND": json.dumps(servers.command("agent", "{port}")),
                "REAL_VLLM_SETTINGS": json.dumps({**SETTINGS, "TMPDIR": servers.scratch.name}),
            }
            environment = {**os.environ, **urls, **real, **own, "VLLM_AUDIO_API": "transcriptions"}
            return subprocess.run(arguments.command, env=environment, check=False).returncode
    except StartFailed as exc:
        print(exc, file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--env", type=Path, required=True, help="what setup.sh made")
    parser.add_argument("--models", type=Path, required=True, help="what make_models.py made")
    parser.add_argument("command", nargs="+", help="after --")
    return parser.parse_args()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
