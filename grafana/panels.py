"""The kinds of panels we use, each with all that makes it readable: unit, legend, description, thresholds."""

from collections.abc import Sequence

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, statetimeline, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.variants import Dataquery
from grafana_foundation_sdk.models import common as kinds
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.queries import Query

Panel = timeseries.Panel | stat.Panel | heatmap.Panel | statetimeline.Panel
Bounds = Sequence[tuple[float | None, str]]  # from which value on, which colour; the first is for all below

SOURCE = model.DataSourceRef(type_val="prometheus", uid="${datasource}")
NO_BOUND: Bounds = ((None, "green"),)
QUIET = "no traffic"


def more_is_worse(amber: float, red: float) -> Bounds:
    return ((None, "green"), (amber, "orange"), (red, "red"))


def less_is_worse(red: float, amber: float) -> Bounds:
    """Red below *red*, amber below *amber*."""
    return ((None, "red"), (red, "orange"), (amber, "green"))


def graph(
    title: str, text: str, unit: str, *queries: Query, bounds: Bounds = NO_BOUND, stacked: bool = False
) -> timeseries.Panel:
    """Lines over time; with *bounds*, dashed lines where it becomes worse."""
    panel = timeseries.Panel().title(title).description(text).unit(unit).datasource(SOURCE).min(0)
    panel = panel.thresholds(_thresholds(bounds)).no_value(QUIET).legend(_legend()).tooltip(_tooltip())
    panel = panel.line_width(1).fill_opacity(30 if stacked else 8).show_points(kinds.VisibilityMode.NEVER)
    if len(bounds) > 1:
        dashed = kinds.GraphTresholdsStyleMode.DASHED
        panel = panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(dashed))
    if stacked:
        panel = panel.stacking(common.StackingConfig().mode(kinds.StackingMode.NORMAL).group("A"))
    return panel.targets(_targets(queries))


def number(title: str, text: str, unit: str, query: Query, bounds: Bounds = NO_BOUND, decimals: int = 1) -> stat.Panel:
    """The latest value in large, its course behind it."""
    panel = stat.Panel().title(title).description(text).unit(unit).decimals(decimals).datasource(SOURCE)
    panel = panel.thresholds(_thresholds(bounds)).no_value(QUIET).graph_mode(kinds.BigValueGraphMode.AREA)
    panel = panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    return panel.targets(_targets([query]))


def heat_map(title: str, text: str, unit: str, query: Query) -> heatmap.Panel:
    """Where values fell, over time: the brighter, the more."""
    colours = heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Turbo").steps(64).reverse(False)
    panel = heatmap.Panel().title(title).description(text).unit(unit).datasource(SOURCE)
    panel = panel.calculate(False).color(colours).y_axis(heatmap.YAxisConfig().unit(unit)).show_legend()
    return panel.thresholds(_thresholds(NO_BOUND)).no_value(QUIET).targets(_targets([query]))


def states(title: str, text: str, *queries: Query, off: str, on: str, on_colour: str = "green") -> statetimeline.Panel:
    """A bar per series, which is *on* where the value is 1 and *off* where it is 0."""
    off_colour = "red" if on_colour == "green" else "transparent"
    shown = {
        "0": model.ValueMappingResult(text=off, color=off_colour, index=0),
        "1": model.ValueMappingResult(text=on, color=on_colour, index=1),
    }
    panel = statetimeline.Panel().title(title).description(text).unit("none").datasource(SOURCE)
    panel = panel.mappings([model.ValueMap(options=shown)]).legend(_legend(calcs=())).row_height(0.8)
    panel = panel.thresholds(_thresholds(((None, off_colour), (1, on_colour)))).no_value("no router is scraped")
    return panel.targets(_targets(queries))


def phases(title: str, text: str, query: Query, *phases: tuple[str, str]) -> statetimeline.Panel:
    """A bar per series, in the colour of the name (name and colour) that the value stands for, the first for 1."""
    shown = {
        str(place): model.ValueMappingResult(text=name, color=colour, index=place)
        for place, (name, colour) in enumerate((("", "transparent"), *phases))
    }
    panel = statetimeline.Panel().title(title).description(text).unit("none").datasource(SOURCE)
    panel = panel.mappings([model.ValueMap(options=shown)]).legend(_legend(calcs=())).row_height(0.8)
    return panel.thresholds(_thresholds(NO_BOUND)).no_value("no router is scraped").targets(_targets([query]))


def _targets(queries: Sequence[Query]) -> list[Builder[Dataquery]]:
    return [_target(chr(ord("A") + place), query) for place, query in enumerate(queries)]


def _target(id: str, query: Query) -> prometheus.Dataquery:
    shape = PromQueryFormat.HEATMAP if query.heatmap else PromQueryFormat.TIME_SERIES
    made = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).ref_id(id).range().format(shape)
    return made.datasource(SOURCE)


def _thresholds(bounds: Bounds) -> dashboard.ThresholdsConfig:
    steps = [model.Threshold(value=value, color=colour) for value, colour in bounds]
    return dashboard.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(steps)


def _legend(calcs: Sequence[str] = ("lastNotNull", "max")) -> common.VizLegendOptions:
    shape = kinds.LegendDisplayMode.TABLE if calcs else kinds.LegendDisplayMode.LIST
    made = common.VizLegendOptions().show_legend(True).placement(kinds.LegendPlacement.BOTTOM)
    return made.display_mode(shape).calcs(list(calcs))


def _tooltip() -> common.VizTooltipOptions:
    return common.VizTooltipOptions().mode(kinds.TooltipDisplayMode.MULTI).sort(kinds.SortOrder.DESCENDING)
