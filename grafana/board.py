"""A dashboard: sections of rows of panels, the variables that its queries use, and links to its neighbours."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as model

from grafana.panels import SOURCE, Panel
from grafana.queries import METRICS, name

WIDTH = 24  # columns of Grafana's grid
TAG = "smart-router"


@dataclass(frozen=True)
class Section:
    """Rows of equal height; the panels of a row share its width."""

    title: str
    rows: Sequence[Sequence[Panel]]
    height: int = 8


@dataclass(frozen=True)
class Board:
    id: str  # of the file, and part of the uid: links and bookmarks rest on it
    title: str
    text: str
    sections: Sequence[Section]

    def text_of_file(self) -> str:
        plain = json.dumps(self._built(), cls=JSONEncoder, indent=2, ensure_ascii=False)
        return plain + "\n"

    def _built(self) -> model.Dashboard:
        made = dashboard.Dashboard(f"smart-router: {self.title}").uid(f"smart-router-{self.id}").description(self.text)
        made = made.tags([TAG]).editable().refresh("10s").time("now-1h", "now").timezone("browser")
        made = made.tooltip(model.DashboardCursorSync.CROSSHAIR).link(_neighbours())
        for variable in self._variables():
            made = made.with_variable(variable)
        return self._filled(made).build()

    def _filled(self, made: dashboard.Dashboard) -> dashboard.Dashboard:
        id = 0
        for section in self.sections:
            made = made.with_row(dashboard.Row(section.title).id(id := id + 1))
            for row in section.rows:
                for panel in row:
                    panel.id(id := id + 1).span(WIDTH // len(row)).height(section.height)
                    made = made.with_panel(panel)
        return made

    def _variables(self) -> Iterator[dashboard.DatasourceVariable | dashboard.QueryVariable]:
        """The datasource, and those that the queries use."""
        yield dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
        used = {found for panel in self._panels() for found in _variables_of(panel)}
        yield from (_variable(name, *VARIABLES[name]) for name in VARIABLES if name in used)

    def _panels(self) -> Iterator[Panel]:
        return (panel for section in self.sections for row in section.rows for panel in row)


# Also those that no request has reached yet, and the model `none` of requests that failed before one was chosen.
EVERY_MODEL = f"{name(METRICS.model_state)}|{name(METRICS.requests)}"
# name -> label, the query for its values
VARIABLES = {
    "use_case": ("Use case", f"label_values({name(METRICS.requests)}, use_case)"),
    "model": ("Model", f"label_values({{__name__=~'{EVERY_MODEL}'}}, model)"),
    "replica": ("Replica", f'label_values({name(METRICS.in_flight)}{{model=~"$model"}}, replica)'),
    "served_as": ("vLLM's name of it", "label_values(vllm:num_requests_running, model_name)"),
}


def _variable(name: str, label: str, query: str) -> dashboard.QueryVariable:
    made = dashboard.QueryVariable(name).label(label).datasource(SOURCE).multi(True).include_all(True)
    # Everything, also what has no value of this label yet: a request that failed before a model was chosen.
    made = made.all_value(".*").current(model.VariableOption(selected=True, text="All", value="$__all"))
    made = made.query(query).refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
    return made.sort(model.VariableSort.ALPHABETICAL_ASC)


def _variables_of(panel: Panel) -> set[str]:
    exprs = [target.expr for target in panel.build().targets or []]  # type: ignore[attr-defined]
    return {found for expr in exprs for found in re.findall(r"\$([a-z][a-z_]*)", expr)}


def _neighbours() -> dashboard.DashboardLink:
    link = dashboard.DashboardLink("smart-router").type(model.DashboardLinkType.DASHBOARDS).tags([TAG])
    return link.include_vars(True).keep_time(True).as_dropdown(False).tooltip("The other dashboards, same time range")
