"""One entry of the registry is all that a method needs, and its family alone decides its claim."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.report.tables import method_rows
from stages import evaluate, tune
from tests.trainer.tiny import make_dataset, make_params, vlm_folder
from trainer.methods import registry
from trainer.methods.combiner import Combiner
from trainer.methods.graphs import SCENE_GRAPH
from trainer.methods.recipes import HYBRID_QUERY, Network, Untrained
from trainer.methods.registry import Family, Method
from trainer.methods.untrained import text_only
from trainer.retrieval.similarity import TEXT_INPUTS
from trainer.study.figures import CLAIMS, lead_rows
from trainer.study.jobs import TEST
from trainer.study.plan import FROZEN, TUNED, Job, studied, trained_methods, untrained
from trainer.study.run import Evidence
from trainer.study.summary import compare

__all__ = ["make_params", "vlm_folder"]
MakeParams = Callable[..., Params]
ROOT = Path(__file__).parents[3]
FAMILIES = ["a", "b", "c"]


def add(monkeypatch: pytest.MonkeyPatch, method: Method) -> None:
    monkeypatch.setattr(registry, "METHODS", (*registry.METHODS, method))


def test_names_are_distinct_and_every_comparator_has_a_claim() -> None:
    names = [method.name for method in registry.every()]
    assert len(set(names)) == len(names) == len(registry.METHODS) + len(registry.STUDIED)
    for method in registry.every():
        assert set(method.inputs) <= {*TEXT_INPUTS, SCENE_GRAPH, HYBRID_QUERY}
        on_the_hybrid = HYBRID_QUERY in method.inputs
        assert (method.recipe is not None) == (method.family in CLAIMS or on_the_hybrid)
        assert not on_the_hybrid or method.family is Family.HYBRID
        assert method.reads_captions == (method.family not in (Family.NO_LANGUAGE_MODEL, Family.SCENE_GRAPH))
        assert (SCENE_GRAPH in method.inputs) == (method.family is Family.SCENE_GRAPH)
        assert set(method.tower_texts) <= set(method.inputs)


def test_the_plots_of_dvc_show_the_methods_that_are_marked() -> None:
    template = json.loads((ROOT / ".dvc/plots/evaluate.json").read_text())
    drawn = template["transform"][0]["fold"]
    plotted = [method.name for method in registry.METHODS if method.plotted]
    assert sorted(drawn) == sorted(plotted)
    assert set(template["data"]["format"]["parse"]) == {"k", *plotted}
    for plot in yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]["evaluate"]["plots"]:
        assert all(options["y"] in drawn for options in plot.values())


def test_a_new_entry_is_evaluated_and_has_its_line_in_the_report(
    monkeypatch: pytest.MonkeyPatch, make_params: MakeParams, tmp_path: Path
) -> None:
    add(monkeypatch, Method("twice_text", Family.NO_LANGUAGE_MODEL, ("text",), Untrained(text_only)))
    paths, params = (
        Paths(tmp_path),
        make_params(tune={"epochs": 0}, comparators={"epochs": 0}, method={"choose": "fixed"}),
    )
    make_dataset(paths, params, "tiny")
    tune.run(params, paths, "tiny")
    evaluate.run(params, paths, "tiny")
    metrics = json.loads(paths.metrics("evaluate", "tiny").read_text())
    assert metrics["twice_text"] == metrics["text_only"]
    assert set(metrics) == {method.name for method in registry.METHODS}
    rows = {row.method: row for row in method_rows(metrics, registry.families())}
    assert rows["twice_text"].family == Family.NO_LANGUAGE_MODEL


def test_a_new_network_is_trained_with_both_towers(
    monkeypatch: pytest.MonkeyPatch, make_params: MakeParams
) -> None:
    before, jobs = trained_methods(), untrained(make_params(), ["d"])
    add(
        monkeypatch,
        Method("net", Family.SAME_TEXTS, ("pseudo_caption",), Network(Combiner), ("pseudo_caption",)),
    )
    assert set(trained_methods()) - set(before) == {("net", FROZEN), ("net", TUNED)}
    assert untrained(make_params(), ["d"]) == jobs
    add(monkeypatch, Method("plain", Family.SAME_TEXTS, ("pseudo_caption",), Untrained(text_only)))
    assert [job.method for job in untrained(make_params(), ["d"]) if job not in jobs] == ["plain"]


@pytest.mark.parametrize("family", CLAIMS)
def test_a_new_comparator_enters_the_claim_of_its_family_only(
    monkeypatch: pytest.MonkeyPatch, make_params: MakeParams, family: Family
) -> None:
    rival = Method("rival", family, ("text",), Untrained(text_only))
    claims = _rivals(make_params())
    add(monkeypatch, rival)
    changed = _rivals(make_params(), best="rival")
    assert changed[CLAIMS[family]] == {"rival"}
    assert {label for label in claims if changed[label] != claims[label]} == {CLAIMS[family]}


def _rivals(params: Params, best: str = "") -> dict[str, set[str]]:
    """Label of each claim -> the rivals of the hybrid; `best` is as good as it, the others are not."""
    results = {}
    for method in studied():
        rank = 1 if method in (best, "hybrid") else 9
        view = {"rank": [rank] * 3, "average_precision": [1 / rank] * 3}
        validation = {"mean_recall": 1.0, "mAP": 1.0}
        results[Job("d", method)] = {"validation": validation, "views": {TEST: view}}
    evidence = Evidence(params, results, [], {}, {}, {}, {})
    families = {"d": FAMILIES}
    claims = lead_rows(compare(evidence, families), families).filter(table="claim", dataset="d")
    return {label: set(claims.filter(variant=label)["method"]) for label in CLAIMS.values()}
