"""docs/reliability.md, made from docs/reliability.json, the modules of trials and the table of tests."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment

from tests.soak._modules import load, names
from tests.soak._ordinary import ORDINARY

ROOT = Path(__file__).parents[2]
FIGURES = ROOT / "docs/reliability.json"
PAGE = ROOT / "docs/reliability.md"
_SHOWN = 10  # failures of one promise that the page lists

_TEMPLATE = """\
# What holds, and how it is tried

A *trial* attacks one promise once, by a random case that follows from a seed. `make test` runs a few trials
of each kind, `make soak` many. What does not hold is listed under Failures.

[SECURITY.md](../SECURITY.md) says what the project trusts, and how to report a hole.

`make soak` writes this page from `docs/reliability.json`. Do not edit it by hand.

```
make soak                      # all trials, hours; figures go into this page
make soak MINUTES=30           # as many of each kind as fit into this time
make soak TRIALS=100 ONLY=damage
make fuzz SECONDS=600          # coverage-guided fuzzing of the readers; crashes are kept as files
```

## Promises that are attacked

| promise | how a trial tries it | trials | held |
|---|---|---|---|
{% for row in rows -%}
| {{ row.promise|cell }} | {{ row.how|cell }} | {{ row.trials }} | {{ row.held }} |
{% endfor %}
{% if measured -%}
## Figures

| trials | seed | code | minutes | figure |
|---|---|---|---|---|
{% for name, entry in measured -%}
| `{{ name }}` | {{ entry.seed }} | `{{ entry.code[:10] }}` | {{ "%.1f"|format(entry.seconds / 60) }} | \
{{ entry.figures|figures|cell }} |
{% endfor %}
A run of trials has a row. `code` begins the hash of the source files that were tried.

{% endif -%}
{% if failed -%}
## Failures

{% for name, entry in failed -%}
`{{ name }}`, {{ entry.failures|length }} of {{ entry.trials }}:

{% for line in entry.failures[:shown] -%}
- {{ line|line }}
{% endfor -%}
{% if entry.failures|length > shown -%}
- and {{ entry.failures|length - shown }} more, in `docs/reliability.json`
{% endif %}
{% endfor -%}
{% endif -%}
## Promises that ordinary tests hold

| promise | tests |
|---|---|
{% for promise, tests in ordinary.items() -%}
| {{ promise|cell }} | {% for test in tests %}{{ "" if loop.first else "<br>" }}`{{ test }}`{% endfor %} |
{% endfor -%}
"""


def read_figures() -> dict[str, Any]:
    """What each run of a module measured, by module; {} before the first soak."""
    return json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.is_file() else {}


def write(entries: Mapping[str, Any]) -> None:
    """Write the figures, and the page that they make."""
    text = json.dumps(entries, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    FIGURES.write_text(text, encoding="utf-8")
    PAGE.write_text(page(entries), encoding="utf-8")


def page(entries: Mapping[str, Any]) -> str:
    """The page as Markdown. A promise whose trials nobody ran says so."""
    environment = Environment(trim_blocks=False, keep_trailing_newline=True)
    environment.filters |= {"cell": _cell, "line": _line, "figures": _figures}
    rows, measured = [], list[tuple[str, Any]]()
    for name in names():
        module, runs = load(name), entries.get(name, [])
        counts = {key: sum(run[key] for run in runs) for key in ("trials", "held")}
        counts = counts if runs else {"trials": "not run yet", "held": ""}
        rows.append({**counts, "promise": module.PROMISE, "how": f"{module.HOW} (`{name}`)"})
        measured += [(name, run) for run in runs]
    failed = [(name, entry) for name, entry in measured if entry["failures"]]
    return environment.from_string(_TEMPLATE).render(
        rows=rows, measured=measured, failed=failed, shown=_SHOWN, ordinary=ORDINARY
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _line(text: str) -> str:
    return "`" + " ".join(text.split()).replace("`", "'")[:300] + "`"


def _figures(figures: Mapping[str, Any]) -> str:
    shown = {name: f"{v:.3g}" if isinstance(v, float) else v for name, v in sorted(figures.items())}
    return "<br>".join(f"{name}: {value}" for name, value in shown.items())
