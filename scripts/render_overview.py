"""
Draw a dashboard as one picture: its own queries, read from its JSON, put to a Prometheus.

    python scripts/render_overview.py --prometheus http://localhost:9090 --out docs/images/overview.png

It is drawn by matplotlib, not by Grafana: colours and letters differ, panels, queries and numbers do not.
"""

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the package grafana stands beside this folder, and is not installed

from grafana.asking import Prometheus, Window, load  # noqa: E402
from grafana.picture import draw  # noqa: E402

POINTS = 240


def main() -> None:
    options = _options()
    prometheus = Prometheus(options.prometheus)
    try:
        if not prometheus.ready():
            sys.exit(f"no Prometheus answers at {options.prometheus}; start one, or give its address with --prometheus")
        board = load(options.dashboard.read_text())
        draw(board, prometheus, _window(options.minutes, options.rate), options.caption, options.out)
    finally:
        prometheus.close()
    print(f"wrote {options.out}")


def _window(minutes: float, rate_s: int) -> Window:
    now = time.time()
    return Window(now - minutes * 60, now, step=max(1.0, minutes * 60 / POINTS), rate_s=rate_s)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prometheus", required=True, metavar="URL", help="its address")
    parser.add_argument("--out", type=Path, required=True, help="the picture, a PNG")
    parser.add_argument("--dashboard", type=Path, default=ROOT / "grafana" / "dashboards" / "overview.json")
    parser.add_argument("--minutes", type=float, default=5, help="how far back it looks; default: %(default)s")
    parser.add_argument("--rate", type=int, default=40, help="seconds that $__rate_interval stands for: %(default)s")
    parser.add_argument("--caption", default="", help="a line below the title: what was measured")
    return parser.parse_args()


if __name__ == "__main__":
    main()
