#!/bin/sh
# What tests talk to or check with: nginx (the upstream client), prometheus with promtool (dashboards, alerts),
# docker-compose (compose files), haproxy (several routers), chromium (the web page), node (the JavaScript client), curl
# (examples). Where one cannot be installed, its tests are skipped with the reason; on a build server (CI) they fail.
# Always succeeds.
missing=""
for pair in nginx:nginx prometheus:prometheus promtool:prometheus docker-compose:docker-compose haproxy:haproxy chromium:chromium node:nodejs curl:curl; do
    command -v "${pair%%:*}" >/dev/null || missing="$missing ${pair#*:}"
done
[ -z "$missing" ] && exit 0
log=$(mktemp)
if [ "$(id -u)" != 0 ]; then
    echo "missing, and only root can install it:$missing; its tests will be skipped"
elif ! command -v apt-get >/dev/null; then
    echo "missing, and there is no apt-get to install it:$missing; its tests will be skipped"
else
    apt-get update -qq >"$log" 2>&1
    for package in $missing; do
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package" >>"$log" 2>&1 ||
            echo "$package is missing and could not be installed: $(tail -n 1 "$log")"
    done
fi
rm -f "$log"
exit 0
