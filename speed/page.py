"""docs/performance.md and its plot, made of the figures of `results.json` and of the registry."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment

from speed.figures import ROOT
from speed.plot import Bar, shown, svg
from speed.registry import LONG, NAMES, NEEDS

PAGE, PLOT = ROOT / "docs/performance.md", ROOT / "docs/performance.svg"
_TEMPLATE = """\
# How fast it is

`make bench` writes this page from `speed/results.json`. Do not edit it by hand. Run it on an idle machine,
after `dvc repro`. Each figure is compared with a peer or a limit that is measured in the same run.

```
make bench                                # everything
python -m speed tune_vs_bare_text         # this figure and those of its module; the others stay
python -m speed --quick help_seconds      # tries whether it works; its figures mean nothing
python -m speed --render                  # this page alone
```

The sides of a comparison take turns, and another one begins each time. A value is the median of the turns.
Low and high are the least and the greatest of them; a dash says that they were not kept.

![Ratios with their spread]({{ plot }})

A dashed line stands at 1, where both sides are alike. Figures in seconds and the like are in the table alone.

| figure | value | low to high | unit | against |
|---|---|---|---|---|
{% for name, of in figures -%}
| `{{ name }}` | {{ of.value|number }} | {{ of|spread }} | {{ of.unit }} | {{ of.against|cell }} |
{% endfor %}
`speed/results.json` has each figure's command. `speed/registry.py` names the module that measures it.
The figures of a million rows come from a run of hours: [scaling.md](scaling.md) describes it.
{% if missing %}
## Not measured

`speed/results.json` has no figures for these yet.

| figure | measured by |
|---|---|
{% for name, how in missing -%}
| `{{ name }}` | {{ how }} |
{% endfor -%}
{% endif -%}
"""


def write(results: Mapping[str, Mapping[str, Any]], page: Path = PAGE, plot: Path = PLOT) -> None:
    """Write the page and the plot of some figures."""
    page.write_text(markdown(results), encoding="utf-8")
    plot.write_text(picture(results), encoding="utf-8")


def markdown(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The page. Figures stand in the order of the registry, and those that were not measured in a list."""
    environment = Environment(keep_trailing_newline=True)
    environment.filters |= {"cell": _cell, "number": shown, "spread": _spread}
    return environment.from_string(_TEMPLATE).render(
        plot=PLOT.name,
        figures=[(name, results[name]) for name in NAMES if name in results],
        missing=[(name, _how(name)) for name in NAMES if name not in results],
    )


def picture(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The plot: what is a ratio or a share, in two groups, since of rates more is better, of times less."""
    groups: dict[str, list[Bar]] = {"Rates and shares: more is better": [], "Times: less is better": []}
    more, less = groups.values()
    for name in filter(results.__contains__, NAMES):
        of = results[name]
        if of["unit"] == "share" or of["unit"].startswith("ratio"):
            (less if of["unit"] == "ratio of seconds" else more).append(
                Bar(name, of["value"], of["low"], of["high"])
            )
    return svg(groups)


def _how(name: str) -> str:
    if name in LONG:
        return f"`{LONG[name]}`, hours"
    needs = f", which needs the package {NEEDS[name][1]}" if name in NEEDS else ""
    return f"`python -m speed {name}`{needs}"


def _spread(figure: Mapping[str, Any]) -> str:
    return "–" if figure["low"] is None else f"{shown(figure['low'])} to {shown(figure['high'])}"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("; ", "<br>").replace(". ", ".<br>")
