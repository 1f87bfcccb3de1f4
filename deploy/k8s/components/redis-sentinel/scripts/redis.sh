#!/bin/sh
# Start this pod's Redis as whatever it is today: a replica of the master that the sentinels name, or the master.
#
# SELF host:port of this one, REDIS the first of which begins as master, SENTINELS all of them, REDISCLI_AUTH the
# password of all (redis-cli reads it, too), MAXMEMORY, FOLDER for its files, PATIENCE_S.
set -eu

named() { # what the first sentinel that answers says: host:port of the master, or nothing
    for sentinel in $SENTINELS; do
        answer=$(timeout 2 redis-cli -h "${sentinel%:*}" -p "${sentinel#*:}" \
            sentinel get-master-addr-by-name mymaster 2>/dev/null | tr '\n' ':')
        case $answer in *:*:) echo "${answer%:}"; return ;; esac
    done
}

first=${REDIS%% *}
master=$(named)
# Named itself, it has just lost all sessions: were it master at once, its replicas would lose them as well. So it
# waits to be replaced, and begins anew only if nobody can replace it.
waited=0
while [ "$master" = "$SELF" ] && [ "$waited" -lt "$PATIENCE_S" ]; do
    sleep 1
    waited=$((waited + 1))
    master=$(named)
done
master=${master:-$first}

umask 077
cat > "$FOLDER/redis.conf" <<END
port ${SELF#*:}
dir $FOLDER
replica-announce-ip ${SELF%:*}
replica-announce-port ${SELF#*:}
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
END
[ "$master" = "$SELF" ] || echo "replicaof ${master%:*} ${master#*:}" >> "$FOLDER/redis.conf"
echo "redis: $SELF begins with the master $master"
exec redis-server "$FOLDER/redis.conf"
