#!/usr/bin/env bash
# All tests but those that need a real vLLM or torch. Two halves at once, as both wait a lot: whole routers and faults, and
# the rest, whose output follows when both are done.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

chosen="not real_vllm and not build"
output=$(mktemp)
trap 'kill $(jobs -p) 2>/dev/null; rm -f "$output"' EXIT

.venv/bin/pytest -m "$chosen" --ignore=tests/e2e --ignore=tests/chaos >"$output" 2>&1 &
rest=$!
.venv/bin/pytest -m "$chosen" tests/e2e tests/chaos
whole_ended=$?
wait "$rest"
rest_ended=$?
cat "$output"
exit $((whole_ended || rest_ended))
