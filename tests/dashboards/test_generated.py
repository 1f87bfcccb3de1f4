"""The committed dashboards are those that the generator makes, and readable."""

import re
from typing import Any

import pytest
from grafana.asking import Json, panels, variables
from grafana.dashboards import FOLDER, files
from grafana.queries import METRICS, gauge, heat, name, quantile, rate

from smart_router.observe.tally import Counter

NAMES = ("models", "overview", "quality", "reliability")
WIDEST_ROW = 3  # panels: at 1280 pixels a fourth would be too narrow
OVER_TIME = {"timeseries", "state-timeline"}  # kinds of panels that have a legend


@pytest.fixture(params=NAMES)
def board(request: pytest.FixtureRequest, boards: dict[str, Json]) -> Json:
    return boards[request.param]


def exprs(board: Json) -> list[str]:
    return [target["expr"] for panel in panels(board) for target in panel["targets"]]


def defaults(panel: Json) -> Any:
    return panel["fieldConfig"]["defaults"]


def test_the_committed_json_is_what_the_generator_makes() -> None:
    committed = {path.name: path.read_text() for path in FOLDER.glob("*.json")}
    assert committed == files(), "run `python -m grafana.dashboards`"


def test_the_four_dashboards_are_there(boards: dict[str, Json]) -> None:
    assert tuple(boards) == NAMES
    assert [board["uid"] for board in boards.values()] == [f"smart-router-{name}" for name in NAMES]


def test_every_panel_says_what_it_shows_and_in_which_unit(board: Json) -> None:
    lacking = [p["title"] for p in panels(board) if not (p["title"] and p["description"] and defaults(p)["unit"])]
    assert lacking == []


def test_every_panel_has_thresholds_and_words_for_no_data(board: Json) -> None:
    lacking = [p["title"] for p in panels(board) if not (defaults(p)["thresholds"]["steps"] and defaults(p)["noValue"])]
    assert lacking == []


def test_every_line_is_named(board: Json) -> None:
    assert [target for panel in panels(board) for target in panel["targets"] if not target["legendFormat"]] == []
    legends = [panel["options"]["legend"]["showLegend"] for panel in panels(board) if panel["type"] in OVER_TIME]
    assert all(legends)


def test_names_of_lines_use_labels_that_the_query_keeps(board: Json) -> None:
    for panel in panels(board):
        for target in panel["targets"]:
            kept = set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", target["expr"]))))
            assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= kept, target["expr"]


def test_rows_fill_the_width_and_are_not_crowded(board: Json) -> None:
    rows: dict[int, list[Json]] = {}
    for panel in panels(board):
        rows.setdefault(panel["gridPos"]["y"], []).append(panel["gridPos"])
    for row in rows.values():
        assert len(row) <= WIDEST_ROW
        assert sum(place["w"] for place in row) == 24
        assert len({place["h"] for place in row}) == 1


def test_panels_do_not_overlap(board: Json) -> None:
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in board["panels"]):
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        taken |= cells


def test_ids_of_panels_are_unique(board: Json) -> None:
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)


def test_every_variable_is_used_and_every_used_one_is_there(board: Json) -> None:
    asked = exprs(board) + [variable["query"] for variable in variables(board).values()]
    used = set(re.findall(r"\$([a-z]\w*)", " ".join(asked)))
    assert set(variables(board)) == used


def test_several_values_of_a_variable_may_be_chosen(board: Json) -> None:
    assert all(found["multi"] and found["includeAll"] for found in variables(board).values())


def test_a_variable_that_holds_several_values_is_matched_as_a_regular_expression(board: Json) -> None:
    matched = re.findall(r'(.{2})"\$[a-z]\w*"', " ".join(exprs(board)))
    assert set(matched) == {"=~"}


def test_the_datasource_can_be_chosen(board: Json) -> None:
    assert board["templating"]["list"][0]["type"] == "datasource"
    sources = [target["datasource"]["uid"] for panel in panels(board) for target in panel["targets"]]
    assert set(sources) == {"${datasource}"}


def test_the_default_view_is_the_last_hour_every_ten_seconds(board: Json) -> None:
    assert board["time"] == {"from": "now-1h", "to": "now"}
    assert board["refresh"] == "10s"


def test_the_dashboards_link_to_one_another(board: Json) -> None:
    (link,) = board["links"]
    assert link["type"] == "dashboards"
    assert link["tags"] == ["smart-router"]
    assert set(link["tags"]) <= set(board["tags"])
    assert link["keepTime"]


def test_counters_stand_only_in_rates(board: Json) -> None:
    """Their sums mean nothing: they begin anew with each start."""
    counters = [name(metric) for metric in vars(METRICS).values() if isinstance(metric, Counter)]
    for expr in exprs(board):
        outside = re.sub(r"(rate|increase)\([^()]*\[\$__rate_interval\]\)", "", expr)
        assert [found for found in (*counters, "_bucket", "_count", "_sum") if found in outside] == [], expr


def test_every_metric_that_we_count_is_shown(boards: dict[str, Json]) -> None:
    shown = " ".join(expr for board in boards.values() for expr in exprs(board))
    counted = [name(metric) for metric in vars(METRICS).values() if hasattr(metric, "_labelnames")]
    assert [metric for metric in counted if metric not in shown] == []


def test_a_label_that_a_metric_does_not_have_stops_the_generator() -> None:
    for wrong in (
        lambda: rate(METRICS.requests, "colour"),
        lambda: rate(METRICS.bypass, model="x"),
        lambda: gauge(METRICS.in_flight, "sum", "use_case"),
        lambda: quantile(0.5, METRICS.inference, "use_case"),
        lambda: heat(METRICS.redis, path="x"),
    ):
        with pytest.raises(ValueError, match="has no label"):
            wrong()
