"""nginx twice: as the upstream that answers at once, and as the proxy that is the limit of what a proxy can do."""

import json
import os
import shutil
from pathlib import Path

MODEL = "Qwen/Qwen2.5-7B-Instruct"
MODELS = (MODEL, "Qwen/Qwen2.5-VL-7B-Instruct", "Qwen/Qwen2-Audio-7B")
ANSWER = "Of course. Here is a shorter version."

_COMPLETION = {
    "id": "chatcmpl-bench",
    "object": "chat.completion",
    "created": 1700000000,
    "model": MODEL,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": ANSWER}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 24, "completion_tokens": 9, "total_tokens": 33},
}
_MODELS = {"object": "list", "data": [{"id": name, "object": "model", "owned_by": "vllm"} for name in MODELS]}
_METRICS = "vllm:num_requests_running 0.0\\nvllm:num_requests_waiting 0.0\\nvllm:kv_cache_usage_perc 0.0\\n"

_BASE = """
daemon off;
worker_processes 1;
pid {scratch}/{name}.pid;
error_log stderr error;
{user}
events {{ worker_connections 8192; }}
http {{
    access_log off;
    keepalive_timeout 300s;
    keepalive_requests 1000000000;
    client_body_temp_path {scratch}/{name}-body;
    proxy_temp_path {scratch}/{name}-proxy;
    fastcgi_temp_path {scratch}/{name}-fastcgi;
    uwsgi_temp_path {scratch}/{name}-uwsgi;
    scgi_temp_path {scratch}/{name}-scgi;
    default_type application/json;
    {body}
}}
"""

_UPSTREAM = """
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location = /v1/chat/completions {{ return 200 '{completion}'; }}
        location = /v1/models {{ return 200 '{models}'; }}
        location = /health {{ return 200 ''; }}
        location = /metrics {{ default_type text/plain; return 200 "{metrics}"; }}
        location / {{ return 404 '{{"error": {{"message": "not here", "type": "not_found"}}}}'; }}
    }}
"""

_PROXY = """
    upstream model {{ server {address}; keepalive 1024; keepalive_requests 1000000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://model;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
"""


def find_nginx() -> str | None:
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")


def upstream(scratch: Path, port: int) -> list[str]:
    """The command of one nginx worker that answers every chat completion with the same one."""
    body = _UPSTREAM.format(port=port, completion=json.dumps(_COMPLETION), models=json.dumps(_MODELS), metrics=_METRICS)
    return _command(scratch, f"upstream-{port}", body)


def proxy(scratch: Path, port: int, address: str) -> list[str]:
    """The command of one nginx worker that passes everything on to *address* (host:port)."""
    return _command(scratch, f"proxy-{port}", _PROXY.format(port=port, address=address))


def _command(scratch: Path, name: str, body: str) -> list[str]:
    # A worker of another user could not write into the folder of ours.
    user = "user root;" if os.getuid() == 0 else ""
    config = scratch / f"{name}.conf"
    config.write_text(_BASE.format(scratch=scratch, name=name, user=user, body=body))
    return [find_nginx() or "nginx", "-e", "stderr", "-p", str(scratch), "-c", str(config)]
