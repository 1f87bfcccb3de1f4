"""deploy/k8s: what Prometheus and the autoscaler are told agrees with the metrics and alerts that there are."""

import json
import re
import subprocess
from pathlib import Path

import yaml

from smart_router.observe.metrics import Metrics
from tests.deploy.kustomize import Object
from tests.deploy.manifests import K8S, ROOT, of_kind, one
from tests.needs import program

OPERATOR = "monitoring.coreos.com/v1"


def test_a_prometheus_rule_has_the_alerts() -> None:
    rule = one("production", "PrometheusRule", "smart-router")
    assert rule["apiVersion"] == OPERATOR
    assert rule["spec"] == yaml.safe_load((ROOT / "prometheus" / "alerts.yml").read_text())
    for group in rule["spec"]["groups"]:
        assert set(group) <= {"name", "interval", "rules", "limit", "labels"}
        for alert in group["rules"]:
            assert set(alert) <= {"alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"}


def test_the_service_monitor_scrapes_the_routers_as_the_job_that_alerts_name() -> None:
    monitor = one("production", "ServiceMonitor", "smart-router")
    assert monitor["apiVersion"] == OPERATOR
    assert set(monitor["spec"]) == {"selector", "endpoints"}
    labels = monitor["spec"]["selector"]["matchLabels"].items()
    (service,) = [s for s in of_kind("production", "Service") if labels <= s["metadata"]["labels"].items()]
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    jobs = re.findall(r'job="([^"]+)"', (ROOT / "prometheus" / "alerts.yml").read_text())
    assert set(jobs) == {service["metadata"]["name"]}, "the operator names a job after the Service"


# the autoscaler's metric


def adapter_rule() -> Object:
    (rule,) = yaml.safe_load((K8S / "prometheus-adapter" / "values.yaml").read_text())["rules"]["custom"]
    return dict(rule)


def test_the_adapter_serves_the_metric_that_the_autoscaler_asks_for() -> None:
    (autoscaler,) = of_kind("production", "HorizontalPodAutoscaler")
    (asked,) = [metric["pods"]["metric"]["name"] for metric in autoscaler["spec"]["metrics"] if "pods" in metric]
    assert adapter_rule()["name"]["as"] == asked == Metrics().in_flight._name
    assert adapter_rule()["seriesQuery"].startswith(f"{asked}{{")


def test_the_metric_is_a_routers_sum_over_models_and_replicas(tmp_path: Path) -> None:
    promtool = program("promtool")
    query = (
        adapter_rule()["metricsQuery"].replace("<<.Series>>", "smart_router_in_flight").replace("<<.GroupBy>>", "pod")
    )
    series = [("a", "m1", 3), ("a", "m2", 4), ("b", "m1", 5)]
    test = {
        "input_series": [
            {"series": f'smart_router_in_flight{{namespace="n",pod="{pod}",model="{model}"}}', "values": value}
            for pod, model, value in series
        ],
        "promql_expr_test": [
            {
                "expr": query.replace("<<.LabelMatchers>>", 'namespace="n",pod=~"a|b"'),
                "exp_samples": [{"labels": '{pod="a"}', "value": 7}, {"labels": '{pod="b"}', "value": 5}],
            }
        ],
    }
    file = tmp_path / "test.yml"
    file.write_text(json.dumps({"tests": [test]}))
    done = subprocess.run([promtool, "test", "rules", file], capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
