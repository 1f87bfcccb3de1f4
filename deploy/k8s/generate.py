"""
Makes what these manifests share with the rest of the project, so that there is no second copy to keep:

- `base/prometheus-rule.yaml`, a PrometheusRule with the groups of `prometheus/alerts.yml`;
- `base/registry/model_registry.yaml`, which is `config/model_registry.yaml`: kustomize reads only its own folder.

    python deploy/k8s/generate.py            write them
    python deploy/k8s/generate.py --check    exit with 1 and their names when they are not what they should be
"""

import sys
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
ALERTS = ROOT / "prometheus" / "alerts.yml"
REGISTRY = ROOT / "config" / "model_registry.yaml"
MADE = "# Made from {} by deploy/k8s/generate.py: change it there.\n"


def main(arguments: list[str]) -> None:
    if arguments not in ([], ["--check"]):
        sys.exit("usage: python deploy/k8s/generate.py [--check]")
    wanted = generated()
    if not arguments:
        for path, text in wanted.items():
            path.write_text(text, encoding="utf-8")
    elif stale := [path for path, text in wanted.items() if not path.is_file() or path.read_text("utf-8") != text]:
        names = ", ".join(str(path.relative_to(ROOT)) for path in stale)
        sys.exit(f"not up to date: {names}; run python deploy/k8s/generate.py")


def generated() -> dict[Path, str]:
    """Path -> text, of every file that is made here."""
    return {
        HERE / "base" / "prometheus-rule.yaml": prometheus_rule(_read(ALERTS)),
        HERE / "base" / "registry" / "model_registry.yaml": _made_from(REGISTRY) + _read(REGISTRY),
    }


def prometheus_rule(alerts: str) -> str:
    rule: dict[str, Any] = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "smart-router", "labels": {"app.kubernetes.io/name": "smart-router"}},
        "spec": {"groups": yaml.safe_load(alerts)["groups"]},
    }
    return _made_from(ALERTS) + yaml.safe_dump(rule, sort_keys=False, width=120, allow_unicode=True)


def _made_from(path: Path) -> str:
    return MADE.format(path.relative_to(ROOT))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as exc:
        sys.exit(f"{path.relative_to(ROOT)}: cannot be read ({exc.strerror}); run this in a whole source tree")


if __name__ == "__main__":
    main(sys.argv[1:])
