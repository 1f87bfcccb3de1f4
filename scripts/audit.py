"""
Known vulnerabilities of all that is locked, by pip-audit. What could not be looked up is not clean: it is told, and the
exit status is 2 (of a vulnerability it is 1).
"""

import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKED = (*sorted((ROOT / "requirements").glob("*.txt")), ROOT / "docker" / "build-backend.txt")
CLEAN, VULNERABLE, UNKNOWN = 0, 1, 2


def main() -> int:
    statuses = [_told(path.relative_to(ROOT), *audited(path)) for path in LOCKED]
    return max(statuses, key=(CLEAN, UNKNOWN, VULNERABLE).index)


def audited(path: Path) -> tuple[list[dict[str, Any]], str]:
    """What pip-audit says of every package in *path*, and its last words where it says nothing."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "-r", str(path)]
    done = subprocess.run([*command, "-f", "json", "--progress-spinner", "off"], capture_output=True, text=True)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        return [], (done.stderr.strip() or "it says nothing").splitlines()[-1]
    return found, ""


def _told(name: Path, found: Iterable[dict[str, Any]], trouble: str) -> int:
    packages = list(found)
    for package in packages:
        for one in package.get("vulns", ()):
            fixed = ", ".join(one["fix_versions"]) or "no version"
            print(f"{name}: {package['name']} {package['version']}: {one['id']}, mended in {fixed}")
    unknown = sum("skip_reason" in package for package in packages)
    if trouble or unknown or not packages:
        print(f"{name}: NOT CHECKED: {trouble or f'{unknown} of {len(packages)} packages are not in the index asked'}")
    else:
        print(f"{name}: {len(packages)} packages looked up")
    if any(package.get("vulns") for package in packages):
        return VULNERABLE
    return UNKNOWN if trouble or unknown or not packages else CLEAN


if __name__ == "__main__":
    sys.exit(main())
