"""Dashboards on disk: one JSON file each."""

import difflib
import hashlib
import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from smart_router.dashboards.trouble import Trouble

Dashboard = dict[str, Any]
HERE = Path("grafana") / "dashboards"
GRAFANAS_OWN = ("id", "version")  # numbers that differ from one Grafana to the next


def default_folder() -> Path:
    """`grafana/dashboards` here, else the copy in the package."""
    return HERE if HERE.is_dir() else Path(str(files("smart_router"))) / HERE


def read(folder: Path) -> dict[Path, Dashboard]:
    """
    All dashboards of *folder*, by file.

    Raises:
        Trouble: there are none, or one cannot be read.
    """
    found = {path: _read(path) for path in sorted(folder.glob("*.json"))}
    if not found:
        raise Trouble(f"{folder} has no dashboards (*.json); give their folder with --folder")
    return found


def write(path: Path, dashboard: Dashboard, like: Dashboard) -> None:
    """With the keys in the order of *like*, so that version control shows what changed and no more."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(_ordered(dashboard, like), indent=2, ensure_ascii=False) + "\n")
    partial.replace(path)


def normalised(dashboard: Dashboard) -> Dashboard:
    """What was designed, without what a Grafana adds when it stores it."""
    return {name: value for name, value in dashboard.items() if name not in GRAFANAS_OWN}


def digest(dashboard: Dashboard) -> str:
    return hashlib.sha256(_lines(dashboard).encode()).hexdigest()[:12]


def difference(old: Dashboard, new: Dashboard, old_name: str, new_name: str) -> str:
    """A unified diff, whatever the order of keys."""
    before, after = _lines(old).splitlines(), _lines(new).splitlines()
    return "\n".join(difflib.unified_diff(before, after, old_name, new_name, lineterm=""))


def _read(path: Path) -> Dashboard:
    try:
        dashboard = json.loads(path.read_text())
    except (OSError, ValueError) as exc:
        raise Trouble(f"{path} cannot be read as JSON: {exc}; mend it, or write it anew") from exc
    if not isinstance(dashboard, dict) or not (dashboard.get("uid") and dashboard.get("title")):
        raise Trouble(f"{path} is no dashboard: it must be an object with a uid and a title")
    return dashboard


def _lines(dashboard: Dashboard) -> str:
    return json.dumps(normalised(dashboard), indent=2, ensure_ascii=False, sort_keys=True)


def _ordered(new: Any, like: Any) -> Any:
    """*new* with keys in the order of *like*; list items are paired by their place."""
    if isinstance(new, dict) and isinstance(like, dict):
        names = [*(name for name in like if name in new), *(name for name in new if name not in like)]
        return {name: _ordered(new[name], like.get(name)) for name in names}
    if isinstance(new, list) and isinstance(like, list):
        rest = like + [None] * (len(new) - len(like))
        return [_ordered(item, old) for item, old in zip(new, rest, strict=False)]
    return new
