#!/bin/sh
# Start this pod's sentinel. It watches the master that the others name, else the Redis server that is one (of several:
# the one with most replicas), else the first.
#
# SELF, REDIS, SENTINELS, REDISCLI_AUTH and FOLDER as in redis.sh; DOWN_AFTER_MS until a silent master counts as gone.
set -eu

named_by_another() {
    for sentinel in $SENTINELS; do
        [ "$sentinel" != "$SELF" ] || continue
        answer=$(timeout 2 redis-cli -h "${sentinel%:*}" -p "${sentinel#*:}" \
            sentinel get-master-addr-by-name mymaster 2>/dev/null | tr '\n' ':')
        case $answer in *:*:) echo "${answer%:}"; return ;; esac
    done
}

acting() {
    for redis in $REDIS; do
        info=$(timeout 2 redis-cli -h "${redis%:*}" -p "${redis#*:}" info replication 2>/dev/null | tr -d '\r')
        case $info in *role:master*) echo "$(echo "$info" | sed -n 's/^connected_slaves://p') $redis" ;; esac
    done | sort -rn | sed -n '1s/^[0-9]* //p'
}

umask 077
conf=$FOLDER/sentinel.conf # the sentinel writes into it; after a mere restart it is still there
if [ ! -s "$conf" ]; then
    first=${REDIS%% *}
    master=$(named_by_another)
    master=${master:-$(acting)}
    master=${master:-$first}
    # A master that has no address yet cannot be watched.
    until timeout 2 redis-cli -h "${master%:*}" -p "${master#*:}" ping 2>/dev/null | grep -q PONG; do sleep 1; done
    # The id follows from the name: a pod that comes back is no further sentinel to the others, who count votes.
    cat > "$conf.new" <<END
port ${SELF#*:}
dir $FOLDER
requirepass $REDISCLI_AUTH
sentinel sentinel-pass $REDISCLI_AUTH
sentinel myid $(printf %s "$SELF" | sha1sum | cut -c1-40)
sentinel resolve-hostnames yes
sentinel announce-hostnames yes
sentinel announce-ip ${SELF%:*}
sentinel announce-port ${SELF#*:}
sentinel monitor mymaster ${master%:*} ${master#*:} 2
sentinel auth-pass mymaster $REDISCLI_AUTH
sentinel down-after-milliseconds mymaster $DOWN_AFTER_MS
sentinel failover-timeout mymaster 30000
sentinel parallel-syncs mymaster 2
END
    mv "$conf.new" "$conf"
    echo "sentinel: $SELF watches $master"
fi
exec redis-server "$conf" --sentinel
