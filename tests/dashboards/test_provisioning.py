"""What Prometheus and Grafana read at their start."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "prometheus" / "prometheus.yml"
PROVISIONING = ROOT / "grafana" / "provisioning"


@pytest.fixture
def scraping() -> Any:
    return yaml.safe_load(PROMETHEUS.read_text())


def datasource() -> Any:
    (found,) = yaml.safe_load((PROVISIONING / "datasources" / "prometheus.yaml").read_text())["datasources"]
    return found


def targets(scraping: Any, job: str) -> list[str]:
    (found,) = [made for made in scraping["scrape_configs"] if made["job_name"] == job]
    return [target for group in found["static_configs"] for target in group["targets"]]


def test_promtool_accepts_the_configuration_and_its_alerts(promtool: str) -> None:
    done = subprocess.run([promtool, "check", "config", PROMETHEUS], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "alerts.yml" in done.stdout


def test_the_router_and_every_model_server_are_scraped(scraping: Any) -> None:
    assert targets(scraping, "smart-router") == ["router:8001"]
    assert targets(scraping, "vllm") == ["vllm-agent:8000", "vllm-multimodal:8000", "vllm-audio:8000"]


def test_alerts_are_loaded_from_beside(scraping: Any) -> None:
    assert scraping["rule_files"] == ["alerts.yml"]


def test_grafana_finds_prometheus() -> None:
    assert datasource()["type"] == "prometheus"
    assert datasource()["url"] == "http://prometheus:9090"


def test_grafana_knows_how_often_is_scraped(scraping: Any) -> None:
    """A window of rates that is shorter than two scrapes shows nothing."""
    assert datasource()["jsonData"]["timeInterval"] == scraping["global"]["scrape_interval"]


def test_grafana_loads_the_dashboards_from_where_they_are_mounted() -> None:
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "smart-router.yaml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    assert provider["folder"] == "smart-router"
