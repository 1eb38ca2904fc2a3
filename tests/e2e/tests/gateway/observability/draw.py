"""Draws a Grafana dashboard without Grafana: `draw.py PROMETHEUS DASHBOARD OUT.png FROM TO`. Each panel stands where the
dashboard places it, with its expressions over the time from FROM to TO (Unix seconds), as Prometheus answers them. It is
for looking at the dashboard, and fails only if an expression is an error."""

import json
import sys
import urllib.parse
import urllib.request

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.gridspec import GridSpec

UNITS = {"bytes": "B", "reqps": "req/s", "ops": "1/s", "s": "s", "ms": "ms", "percentunit": "share", "short": ""}


def step(start, end):
    return max(1, (end - start) // 300)


def broken(points, longest):
    """A line ends where a value is missing, as in Grafana. Otherwise a service that is away looks like a slow decline."""
    drawn = points[:1]
    for point in points[1:]:
        if point[0] - drawn[-1][0] > longest:
            drawn.append((drawn[-1][0] + longest / 2, float("nan")))
        drawn.append(point)
    return drawn


def query(prometheus, expression, start, end):
    for variable, value in {"$instance": ".*", "$__rate_interval": "15s"}.items():
        expression = expression.replace(variable, value)
    asked = urllib.parse.urlencode({"query": expression, "start": start, "end": end, "step": step(start, end)})
    with urllib.request.urlopen(f"{prometheus}/api/v1/query_range?{asked}") as answer:
        return json.load(answer)["data"]["result"]


def legend(form, labels):
    for name, value in labels.items():
        form = form.replace("{{" + name + "}}", value)
    return " ".join(word for word in form.split() if "{{" not in word) or "value"


def written(value, defaults):
    """A single value as Grafana writes it."""
    for mapping in defaults.get("mappings", []):
        text = mapping["options"].get(f"{value:g}", {}).get("text")
        if text:
            return text
    if defaults["unit"] == "percentunit":
        return f"{100 * value:.2g} %"
    if defaults["unit"] == "s" and abs(value) >= 86_400:
        return f"{value / 86_400:.0f} days"
    return f"{value:.4g} {UNITS[defaults['unit']]}"


def draw(axes, panel, prometheus, start, end):
    axes.set_title(panel["title"], fontsize=8, loc="left")
    axes.tick_params(labelsize=6)
    series = []
    for target in panel["targets"]:
        for found in query(prometheus, target["expr"], start, end):
            points = [(float(at) - start, float(value)) for at, value in found["values"]]
            series.append((legend(target["legendFormat"], found["metric"]), broken(points, 1.5 * step(start, end))))
    unit = UNITS[panel["fieldConfig"]["defaults"]["unit"]]
    if panel["type"] == "stat":
        axes.axis("off")
        last = written(series[0][1][-1][1], panel["fieldConfig"]["defaults"]) if series else "no data"
        axes.text(0.5, 0.4, last, fontsize=14, ha="center", transform=axes.transAxes)
        return
    axes.set_ylabel(unit, fontsize=6)
    stacked = panel["fieldConfig"]["defaults"]["custom"]["stacking"]["mode"] == "normal"
    below = {}
    for name, points in sorted(series):
        at = [point[0] for point in points]
        value = [point[1] + (below.get(point[0], 0) if stacked else 0) for point in points]
        (line,) = axes.plot(at, value, linewidth=0.9, label=name)
        if stacked:
            axes.fill_between(at, [below.get(moment, 0) for moment in at], value, alpha=0.3, color=line.get_color())
            below.update(zip(at, value))
    # Room for the legend.
    axes.set_ylim(0, max(axes.get_ylim()[1], 0) * 1.25 or 1)
    axes.set_xlim(0, end - start)
    if series:
        axes.legend(fontsize=5, loc="upper left", ncol=2)
    else:
        axes.text(0.5, 0.5, "no data", ha="center", transform=axes.transAxes)


def main(prometheus, dashboard, out, start, end):
    with open(dashboard, encoding="utf-8") as file:
        panels = json.load(file)["panels"]
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    figure = pyplot.figure(figsize=(18, height * 0.36), dpi=80)
    grid = GridSpec(4 * height, 24, figure=figure, hspace=0, wspace=3, left=0.03, right=0.99, top=0.99, bottom=0.01)
    for panel in panels:
        place = panel["gridPos"]
        # Room above for the title, and below for the numbers.
        above, below = (0, 0) if panel["type"] == "row" else (3, 3)
        rows = slice(4 * place["y"] + above, 4 * (place["y"] + place["h"]) - below)
        axes = figure.add_subplot(grid[rows, place["x"] : place["x"] + place["w"]])
        if panel["type"] == "row":
            axes.axis("off")
            axes.text(0, 0.2, panel["title"], fontsize=11, weight="bold")
        else:
            draw(axes, panel, prometheus, start, end)
    figure.savefig(out)


main(*sys.argv[1:4], *map(int, sys.argv[4:6]))
