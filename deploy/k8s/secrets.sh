#!/bin/sh
# Print the Secrets that an overlay needs, with new random values:
#
#   deploy/k8s/secrets.sh production smart-router | kubectl apply -f -
#
# OVERLAY is production, cluster or cpu-demo; NAMESPACE is the one that its kustomization names. Keep what is printed, or
# let a secret store make the same. Applying it a second time changes the key and Redis's password: then restart all.
set -eu

usage() { echo "usage: $0 production|cluster|cpu-demo NAMESPACE" >&2; exit 2; }
random() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

[ $# -eq 2 ] || usage
password=$(random)
case $1 in
    production | cpu-demo)
        url="sentinel://:$password@sentinel-0.sentinel:26379,sentinel-1.sentinel:26379,sentinel-2.sentinel:26379/mymaster/0" ;;
    cluster)
        url="cluster://:$password@"
        for i in 0 1 2 3 4 5; do url="${url}redis-cluster-$i.redis-cluster:6379,"; done
        url=${url%,} ;;
    *) usage ;;
esac

cat <<END
apiVersion: v1
kind: Secret
metadata: {name: smart-router, namespace: $2}
type: Opaque
stringData:
  API_KEY: "$(random)"
  REDIS_URL: "$url"
---
apiVersion: v1
kind: Secret
metadata: {name: redis, namespace: $2}
type: Opaque
stringData:
  REDIS_PASSWORD: "$password"
END
