"""deploy/k8s: who reaches whom, as a network plug-in would read the NetworkPolicies."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.deploy.kustomize import Object, containers
from tests.deploy.manifests import OVERLAYS, WORKLOADS, of_kind, pod_labels, selects

HERE = "the overlay's"


@dataclass(frozen=True)
class Peer:
    labels: tuple[tuple[str, str], ...]
    namespace: str = HERE


def pod(overlay: str, name: str) -> Peer:
    (found,) = [w for w in of_kind(overlay, *WORKLOADS) if w["metadata"]["name"] == name]
    return Peer(tuple(pod_labels(found).items()))


STRANGER = Peer((("app", "stranger"),))
INGRESS = Peer((("app", "controller"),), "ingress-nginx")
PROMETHEUS = Peer((("app.kubernetes.io/name", "prometheus"),), "monitoring")
GRAFANA = Peer((("app.kubernetes.io/name", "grafana"),), "monitoring")

HTTP, ENGINE, REDIS, SENTINEL, BUS = 8001, 8000, 6379, 26379, 16379
NAMED = {"http": HTTP}  # of the router
STORE = {"production": "redis", "cluster": "redis-cluster", "cpu-demo": "redis"}
overlays = pytest.mark.parametrize("overlay", OVERLAYS)


def reaches(overlay: str, source: Peer, target: Peer, port: int) -> bool:
    """Both sides must allow it; a side that no policy selects allows everything."""
    return _allowed(overlay, "Ingress", target, source, port) and _allowed(overlay, "Egress", source, target, port)


def _allowed(overlay: str, direction: str, subject: Peer, other: Peer, port: int) -> bool:
    policies = [policy["spec"] for policy in of_kind(overlay, "NetworkPolicy")] if subject.namespace == HERE else []
    binding = [
        spec
        for spec in policies
        if direction in spec["policyTypes"] and selects(dict(subject.labels), spec["podSelector"])
    ]
    key, peers = ("ingress", "from") if direction == "Ingress" else ("egress", "to")
    rules = [rule for spec in binding for rule in spec.get(key, ())]
    return not binding or any(_matches(rule, peers, other, port) for rule in rules)


def _matches(rule: Object, peers: str, other: Peer, port: int) -> bool:
    ports = {NAMED.get(said["port"], said["port"]) for said in rule["ports"]}
    return port in ports and (peers not in rule or any(_is(said, other) for said in rule[peers]))


def _is(said: dict[str, Any], other: Peer) -> bool:
    """Addresses outside are nobody that this file knows."""
    if "ipBlock" in said:
        return False
    namespaces = said.get("namespaceSelector")
    name = {"kubernetes.io/metadata.name": other.namespace}
    near = other.namespace == HERE if namespaces is None else selects(name, namespaces)
    return near and selects(dict(other.labels), said.get("podSelector", {}))


@overlays
def test_every_policy_but_those_for_all_selects_a_workload(overlay: str) -> None:
    for policy in of_kind(overlay, "NetworkPolicy"):
        selector = policy["spec"]["podSelector"]
        assert any(selects(pod_labels(found), selector) for found in of_kind(overlay, *WORKLOADS))


@overlays
@pytest.mark.parametrize("engine", ["vllm-agent", "vllm-multimodal", "vllm-audio"])
def test_only_routers_reach_an_engine(overlay: str, engine: str) -> None:
    router, target = pod(overlay, "smart-router"), pod(overlay, engine)
    assert reaches(overlay, router, target, ENGINE)
    others = [STRANGER, INGRESS, PROMETHEUS, pod(overlay, STORE[overlay]), pod(overlay, "vllm-agent")]
    assert [peer for peer in others if reaches(overlay, peer, target, ENGINE)] == []


@overlays
def test_only_routers_and_its_like_reach_redis(overlay: str) -> None:
    router, redis = pod(overlay, "smart-router"), pod(overlay, STORE[overlay])
    assert reaches(overlay, router, redis, REDIS)
    assert reaches(overlay, redis, redis, REDIS)
    others = [STRANGER, INGRESS, PROMETHEUS, pod(overlay, "vllm-agent")]
    assert [peer for peer in others if reaches(overlay, peer, redis, REDIS)] == []


@pytest.mark.parametrize("overlay", ["production", "cpu-demo"])
def test_sentinels_are_reached_by_routers_redis_and_each_other(overlay: str) -> None:
    sentinel = pod(overlay, "sentinel")
    for name in ("smart-router", "redis", "sentinel"):
        assert reaches(overlay, pod(overlay, name), sentinel, SENTINEL)
    assert reaches(overlay, sentinel, pod(overlay, "redis"), REDIS)
    assert not reaches(overlay, STRANGER, sentinel, SENTINEL)


def test_the_bus_of_the_cluster_is_for_its_nodes_alone() -> None:
    node = pod("cluster", "redis-cluster")
    assert reaches("cluster", node, node, BUS)
    assert not reaches("cluster", pod("cluster", "smart-router"), node, BUS)


@overlays
def test_routers_are_reached_by_the_ingress_controller_and_prometheus_alone(overlay: str) -> None:
    router = pod(overlay, "smart-router")
    assert [reaches(overlay, peer, router, HTTP) for peer in (INGRESS, PROMETHEUS)] == [True, True]
    others = [STRANGER, GRAFANA, pod(overlay, "vllm-agent"), pod(overlay, STORE[overlay])]
    assert [peer for peer in others if reaches(overlay, peer, router, HTTP)] == []


@overlays
def test_the_names_of_ports_in_policies_are_the_routers(overlay: str) -> None:
    (router,) = [w for w in of_kind(overlay, "Deployment") if w["metadata"]["name"] == "smart-router"]
    ports = {port["name"]: port["containerPort"] for c in containers(router) for port in c.get("ports", ())}
    assert ports == NAMED


def test_an_engine_fetches_from_the_internet_and_not_from_the_cluster() -> None:
    (engine,) = [p["spec"] for p in of_kind("production", "NetworkPolicy") if p["metadata"]["name"] == "engine"]
    (rule,) = engine["egress"]
    excepted = {network for peer in rule["to"] for network in peer["ipBlock"]["except"]}
    assert excepted >= {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7"}


def test_an_engine_follows_no_redirect_of_a_link() -> None:
    for engine in ("vllm-agent", "vllm-multimodal", "vllm-audio"):
        (found,) = [w for w in of_kind("production", *WORKLOADS) if w["metadata"]["name"] == engine]
        variables = {one["name"]: one.get("value") for one in containers(found)[0]["env"]}
        assert variables["VLLM_MEDIA_URL_ALLOW_REDIRECTS"] == "0"
