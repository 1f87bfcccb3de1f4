#!/bin/sh
# Start this pod's node. The first node makes the cluster once all are there, if it was never made; any node greets the
# others after each start, as the address of every one may have changed.
#
# SELF host:port of this one, NODES all of them, ADDRESS that others are told, REDISCLI_AUTH the password of all
# (redis-cli reads it, too), MAXMEMORY, FOLDER for its files, NODE_TIMEOUT_MS until a silent node counts as gone.
set -eu

at() { node=$1; shift; timeout 2 redis-cli -h "${node%:*}" -p "${node#*:}" "$@" 2>/dev/null; }
address() { getent hosts "${1%:*}" | sed -n '1s/[[:space:]].*//p'; }
alone() { at "$1" cluster info | grep -q '^cluster_known_nodes:1[^0-9]*$'; }

until_all_answer() {
    for node in $NODES; do
        until at "$node" ping | grep -q PONG; do sleep 1; done
    done
}

make() {
    until_all_answer
    for node in $NODES; do
        alone "$node" || { greet; return; } # there is a cluster already: this node has lost its folder
    done
    for node in $NODES; do addresses="${addresses:-} $(address "$node"):${node#*:}"; done
    # shellcheck disable=SC2086 # one word for each node
    redis-cli --cluster create $addresses --cluster-replicas 1 --cluster-yes
}

greet() {
    for node in $NODES; do
        found=$(address "$node")
        [ -z "$found" ] || at "$SELF" cluster meet "$found" "${node#*:}" > /dev/null || true
    done
}

join() {
    until at "$SELF" ping | grep -q PONG; do sleep 1; done
    if ! alone "$SELF"; then greet; elif [ "$SELF" = "${NODES%% *}" ]; then make; fi
}

umask 077
cat > "$FOLDER/redis.conf" <<END
port ${SELF#*:}
dir $FOLDER
requirepass $REDISCLI_AUTH
masterauth $REDISCLI_AUTH
save ""
appendonly no
repl-diskless-sync yes
repl-diskless-sync-delay 1
repl-diskless-load swapdb
maxmemory $MAXMEMORY
maxmemory-policy volatile-ttl
hash-max-ziplist-value 256
cluster-enabled yes
cluster-config-file nodes.conf
cluster-announce-ip $ADDRESS
cluster-node-timeout $NODE_TIMEOUT_MS
cluster-require-full-coverage no
END
# A master that comes back at once comes back without its sessions, and its replica would drop them, too. So it lets the
# replica take over first.
if grep -q myself,master "$FOLDER/nodes.conf" 2>/dev/null; then sleep $((NODE_TIMEOUT_MS * 3 / 1000)); fi
join &
exec redis-server "$FOLDER/redis.conf"
