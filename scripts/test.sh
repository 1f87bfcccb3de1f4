#!/usr/bin/env bash
# All tests but those that need a real vLLM or torch. Two halves at once, as both wait a lot: most of what starts whole
# routers, and the rest, whose output follows when both are done. Move a folder to the other half where they are uneven.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

chosen="not real_vllm and not build"
routers=(tests/e2e tests/chaos tests/browser tests/doctor)
output=$(mktemp)
trap 'kill $(jobs -p) 2>/dev/null; rm -f "$output"' EXIT

.venv/bin/pytest -m "$chosen" "${routers[@]/#/--ignore=}" >"$output" 2>&1 &
rest=$!
.venv/bin/pytest -m "$chosen" "${routers[@]}"
whole_ended=$?
wait "$rest"
rest_ended=$?
cat "$output"
exit $((whole_ended || rest_ended))
