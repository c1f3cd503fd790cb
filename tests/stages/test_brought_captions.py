"""Captions that a person brings: checked, kept as a table, and taken in the place of the model's."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.metrics_io import read_metrics
from pipeline.base.paths import Paths
from pipeline.base.schemas import BROUGHT_CAPTIONS, IMAGES, QUERIES, REJECTS, SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.pairs.choosing import query_id
from stages import corpus, pairs
from tests.language_toy import Toy
from tests.pipeline.corpus.source import Source
from tests.stages.test_corpus_stage import _params

ROOT = Path(__file__).parents[2]


def _brought(folder: Path, rows: list[Any], name: str = "interpretations.json") -> None:
    (folder / name).write_text(json.dumps(rows))


def _table(paths: Paths, dataset: str = "parks") -> list[tuple[str, str, str]]:
    rows = read_table(paths.captions(dataset), BROUGHT_CAPTIONS).to_pylist()
    return [(row["for"], row["id"], row["text"]) for row in rows]


def test_a_dataset_without_brought_captions_has_their_table_without_rows(tmp_path: Path) -> None:
    Source(tmp_path / "in/parks")
    corpus.run(_params(), Paths(tmp_path))
    assert _table(Paths(tmp_path)) == []
    assert "brought_interpretations" not in read_metrics(Paths(tmp_path).metrics("corpus"))["parks"]


def test_captions_are_kept_and_each_bad_one_is_a_reject_with_its_reason(tmp_path: Path) -> None:
    source, paths = Source(tmp_path / "in/parks"), Paths(tmp_path)
    good = [
        {"image_id": "train-red", "caption": " A red roof. "},
        {"image_id": "images/val-red.png", "caption": "x"},
    ]
    bad = [
        {"image_id": "nowhere", "caption": "A roof."},
        {"image_id": "train-red", "caption": "Another roof."},
        {"image_id": "train-blue", "caption": "  "},
        {"image_id": "train-blue", "caption": "x" * 2001},
        {"image_id": "train-blue"},
        {"caption": "A roof."},
        ["A roof."],
    ]
    _brought(source.folder, [*good, *bad])
    _brought(
        source.folder,
        [
            {"pair_id": 3, "caption": "Roof."},
            {"pair_id": 99, "caption": "Roof."},
            {"pair_id": query_id("a", "b"), "caption": "Made."},  # which queries are made is not known yet
        ],
        "pseudo_captions.json",
    )
    corpus.run(_params(share=0.8), paths)
    assert _table(paths) == [
        ("interpretation", "train-red", "A red roof."),
        ("interpretation", "val-red", "x"),
        ("pseudo_caption", "3", "Roof."),
        ("pseudo_caption", query_id("a", "b"), "Made."),
    ]
    rejects = read_table(paths.rejects, REJECTS).to_pylist()
    assert {row["table"] for row in rejects} == {"captions"} and len(rejects) == 8
    reasons = {row["row"]: row["reason"] for row in rejects if row["file"].endswith("interpretations.json")}
    assert reasons == {
        2: "there is no image with a scene graph of this id",
        3: "the id stands twice, in row 0 too",
        4: "the text is empty",
        5: "the text has 2001 characters",
        6: "the field is missing",
        7: "the field is missing",
        8: "the value is no JSON object",
    }
    counts = read_metrics(paths.metrics("corpus"))["parks"]
    assert (counts["brought_interpretations"], counts["brought_pseudo_captions"]) == (2, 2)
    assert counts["rejected_captions"] == 8
    with pytest.raises(UserError, match="8 of 12 rows of captions were rejected"):
        corpus.run(_params(share=0.1), paths)


def test_a_file_that_is_no_list_is_refused_by_name(tmp_path: Path) -> None:
    source = Source(tmp_path / "in/parks")
    (source.folder / "interpretations.json").write_text("{}")
    with pytest.raises(UserError, match=r"interpretations\.json"):
        corpus.run(_params(), Paths(tmp_path))


def _bring(toy: Toy, rows: list[dict[str, str]]) -> None:
    """Put brought captions into the corpus of `toy`, whose other tables stay as they are."""
    tables = [
        read_table(file("toy"), schema)
        for file, schema in (
            (toy.paths.images, IMAGES),
            (toy.paths.scene_graphs, SCENE_GRAPHS),
            (toy.paths.queries, QUERIES),
        )
    ]
    Expected(toy.params, toy.paths).write_corpus("toy", *tables, rows)
    pairs.run(toy.params, toy.paths)


@pytest.mark.parametrize(("stage", "purpose", "id"), [
    ("interpret", "interpretation", "toy-0002"),
    ("caption", "pseudo_caption", "toy-q0002"),
])  # fmt: skip
def test_a_brought_text_takes_the_place_of_the_models_in_its_own_row_alone(
    toy: Toy, stage: str, purpose: str, id: str
) -> None:
    toy.run(stage=stage)
    before, key = toy.rows(stage=stage), "image_id" if stage == "interpret" else "query_id"
    assert "brought" not in toy.metrics(stage)["all"]
    _bring(toy, [{"for": purpose, "id": id, "text": "My own words."}])
    engine = toy.run(stage=stage)
    assert engine.asked == [] and engine.opened == 0
    for old, new in zip(before, toy.rows(stage=stage), strict=True):
        if new[key] != id:
            assert new == old
            continue
        assert (new["text"], new["source"], new["status"]) == ("My own words.", "brought", "ok")
        assert new["facts"] == old["facts"] and len(new["missed"]) == old["facts"]
        assert new["first_pass_all_right"] is None and new["finish_reason"] is None
        assert new["prompt_tokens"] is None and new["clip_tokens"] == 5
    figures = toy.metrics(stage)
    right = {"texts": 7, "truncated": 0, "fact_recall": 1.0, "hallucination_rate": 0.0, "all_right_rate": 1.0}
    brought = {"texts": 1, "fact_recall": 0.0, "all_right_rate": 0.0}
    assert figures["toy"].items() >= {"rows": 8, "ok": 8, "first": right, "model": right}.items()
    assert figures["toy"]["brought"].items() >= brought.items() and "brought" not in figures["free"]
    assert (
        figures["toy"]["final"].items() >= {"texts": 8, "fact_recall": 0.875, "all_right_rate": 0.875}.items()
    )


def test_a_brought_text_is_neither_repaired_nor_sampled_nor_written_by_rule(toy: Toy) -> None:
    toy.with_params(llm__fallback="rules", llm__repairs=2, caption__samples=3)
    ids = [f"toy-q{i:04d}" for i in range(8)]
    _bring(toy, [{"for": "pseudo_caption", "id": id, "text": "My own words."} for id in ids])
    engine = toy.run(stage="caption")
    assert all("free" in request.messages[-1]["content"] for request in engine.asked)
    rows = toy.rows(stage="caption")
    assert {row["text"] for row in rows} == {"My own words."} and not any(row["alternatives"] for row in rows)
    figures = toy.metrics("caption")["toy"]
    nothing = {"texts": 0, "truncated": 0} | dict.fromkeys(
        ("fact_recall", "hallucination_rate", "all_right_rate")
    )
    assert figures["first"] == figures["model"] == nothing and figures["fallback_rate"] is None
    assert figures["brought"] == figures["final"] and figures["final"]["texts"] == 8


def test_brought_texts_that_are_for_no_row_are_said(toy: Toy, caplog: pytest.LogCaptureFixture) -> None:
    texts = [{"for": "pseudo_caption", "id": id, "text": "x"} for id in ("a", "toy-q0003", "z")]
    _bring(toy, texts)
    toy.run(stage="caption")
    assert toy.metrics("caption")["toy"]["brought"]["texts"] == 1
    assert "toy: brought texts that are for no row: 2. The first is for 'a'" in caplog.text


def test_a_run_with_every_text_brought_needs_no_engine(tmp_path: Path, word_tokenizer: None) -> None:
    toy = Toy(tmp_path, datasets=["toy"])
    _bring(toy, [{"for": "interpretation", "id": f"toy-{i:04d}", "text": "Words."} for i in range(8)])
    code = (
        "import sys, pipeline.vision.vlm as vlm; from pathlib import Path\n"
        "from tests.language_toy import WordTokenizer\n"
        "vlm.load_tokenizer = lambda *_: WordTokenizer()\n"
        "from pipeline.base.params import load_params; from pipeline.base.paths import Paths\n"
        "from stages import interpret\n"
        "interpret.run(load_params(Path('params.yaml')), Paths(Path('.')))\n"
        "assert 'vllm' not in sys.modules and 'torch' not in sys.modules\n"
    )
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(json.loads(toy.params.model_dump_json())))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert {row["source"] for row in toy.rows()} == {"brought"}
