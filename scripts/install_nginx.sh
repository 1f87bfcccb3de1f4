#!/bin/sh
# nginx is one of the servers that the upstream client is tested against. Where it cannot be installed, those tests are
# skipped with the reason; on a build server (CI) they fail. Always succeeds.
command -v nginx >/dev/null && exit 0
if [ "$(id -u)" != 0 ]; then
    echo "nginx is missing and only root can install it: its tests will be skipped"
elif ! command -v apt-get >/dev/null; then
    echo "nginx is missing and there is no apt-get to install it: its tests will be skipped"
elif ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nginx; } >/tmp/install_nginx.log 2>&1; then
    echo "nginx is missing and could not be installed: $(tail -n 1 /tmp/install_nginx.log)"
fi
exit 0
