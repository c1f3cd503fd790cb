"""Data that does not belong together is refused by all that reads it, with both values and a command."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from safetensors.torch import load_file, save_file

from pipeline.base import expected
from pipeline.base.errors import UserError
from pipeline.base.expected import PARAMETERS
from pipeline.base.params import load_params
from pipeline.base.paths import Paths
from tests.exchanges import (
    DATASET,
    FILES,
    HELD_BY,
    OTHER,
    READ_BY,
    READERS,
    change_rows,
    change_vectors,
    edit,
    edit_json,
    forget,
    halve,
    shift,
    shuffle,
    swap,
)
from tests.finished import (
    STAGES,
    Change,
    Finished,
    finish,
    make_llm,
    recolour,
    repaint_graphs,
    reword_prompts,
    reword_queries,
    with_changes,
)
from tests.trainer.tiny import make_vlm_folder

ROOT = Path(__file__).parents[2]
Put = Callable[[Finished], object]
Siblings = Callable[[str], Finished]


def _other_corpus(folder: Path) -> None:
    recolour(folder)
    repaint_graphs(folder)
    reword_queries(folder)


def _other_vlm(folder: Path) -> None:
    shutil.rmtree(folder / "vlm")
    make_vlm_folder(folder / "vlm", seed=1)


def _other_architecture(folder: Path) -> None:
    """The same weights in more heads."""
    file = folder / "vlm/open_clip_config.json"
    edit_json(file, lambda said: said["model_cfg"]["vision_cfg"].update(head_width=8))


def _other_tokenizer(folder: Path) -> None:
    """The same words with other ids."""
    file = folder / "vlm/tokenizer.json"
    text = file.read_text()
    file.write_text(text.replace('"tree"', '"@"').replace('"roof"', '"tree"').replace('"@"', '"roof"'))


# sibling -> how it differs, and the stages that made its files
SIBLINGS: dict[str, Change] = {
    "corpus": Change(STAGES, {}, _other_corpus),
    "prompt": Change(("interpret", "caption"), {}, reword_prompts),
    "language model": Change(("interpret", "caption"), {}, lambda folder: make_llm(folder, b'{"a":{}}')),
    "samples": Change(("interpret", "caption"), {"caption.samples": 2, "interpret.max_tokens": 99}),
    "dtype": Change(("embed",), {"embed.dtype": "float32"}),
    "vision language model": Change(("embed", "tune"), {}, _other_vlm),
    "architecture": Change(("embed", "tune"), {}, _other_architecture),
    "tokenizer": Change(("tune",), {}, _other_tokenizer),
    "seed": Change(("interpret", "caption", "tune", "evaluate"), {"seed": 1}),
    "learning rate": Change(("tune",), {"tune.learning_rate": 1e-5}),
}  # fmt: skip


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finish(tmp_path_factory.mktemp("finished") / "project")


@pytest.fixture(scope="module")
def siblings(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Siblings:
    """Projects that differ from the finished one, each made when it is first asked for."""
    made: dict[str, Finished] = {}

    def sibling(name: str) -> Finished:
        if name not in made:
            folder = tmp_path_factory.mktemp("siblings") / "project"
            made[name] = finished.changed(folder, SIBLINGS[name])
        return made[name]

    return sibling


@pytest.fixture(scope="module")
def one_copy(finished: Finished, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished.copy(tmp_path_factory.mktemp("copy") / "project")


@pytest.fixture
def copy(finished: Finished, one_copy: Finished) -> Iterator[Finished]:
    """A copy of the finished project, as it was before each test."""
    yield one_copy
    one_copy.restore(finished)


def _refused(project: Finished, reader: str, both: bool = True) -> None:
    with pytest.raises(UserError) as caught:
        READERS[reader](project)
    line = str(caught.value)
    assert not both or ", not " in line, line
    assert "dvc repro" in line or reader == "benchmark", line


@pytest.mark.parametrize("reader", READERS)
def test_what_belongs_together_is_read(copy: Finished, reader: str) -> None:
    READERS[reader](copy)


@pytest.mark.parametrize(("name", "reader"), [(name, by) for name in HELD_BY for by in HELD_BY[name]])
def test_a_file_of_another_corpus_is_refused(
    copy: Finished, siblings: Siblings, name: str, reader: str
) -> None:
    swap(copy, siblings("corpus").paths, name)
    _refused(copy, reader)


@pytest.mark.parametrize(
    ("name", "reader"),
    [(name, by) for name in HELD_BY if name != "rejects" for by in HELD_BY[name]],
)
def test_a_file_of_another_dataset_is_refused(copy: Finished, name: str, reader: str) -> None:
    swap(copy, copy.paths, name, OTHER)
    _refused(copy, reader)


_CAPTIONS = ("interpretations", "pseudo_captions")
_OF_SIBLINGS = [
    *(("prompt", name, by) for name in _CAPTIONS for by in HELD_BY[name]),
    *(("samples", name, by) for name in _CAPTIONS for by in HELD_BY[name]),
    *(("seed", name, by) for name in _CAPTIONS for by in HELD_BY[name]),
    *(
        ("language model", name, by)
        for name in _CAPTIONS
        for by in ("tune", "evaluate", "study", "report", "check")
    ),
    *(("dtype", "features", by) for by in HELD_BY["features"]),
    *(
        (sibling, "features", by)
        for sibling in ("vision language model", "architecture")
        for by in ("tune", "evaluate", "study", "report")
    ),
    *(
        (sibling, "tuned", by)
        for sibling in ("vision language model", "architecture")
        for by in ("evaluate", "benchmark")
    ),
    ("tokenizer", "tuned", "evaluate"),
    *((sibling, "tuned", by) for sibling in ("seed", "learning rate") for by in HELD_BY["tuned"]),
    *(("seed", "rankings", by) for by in HELD_BY["rankings"]),
]


@pytest.mark.parametrize(("sibling", "name", "reader"), _OF_SIBLINGS)
def test_what_something_else_made_is_refused(
    copy: Finished, siblings: Siblings, sibling: str, name: str, reader: str
) -> None:
    swap(copy, siblings(sibling).paths, name)
    _refused(copy, reader)


@pytest.mark.parametrize("change", [halve, shuffle, None], ids=["halved", "shuffled", "without metadata"])
@pytest.mark.parametrize(
    ("name", "reader"),
    [(name, by) for name in READ_BY if name not in ("features", "tuned", "rejects") for by in READ_BY[name]],
)
def test_changed_rows_are_refused(copy: Finished, name: str, reader: str, change: Any) -> None:
    file = FILES[name](copy.paths, DATASET)
    if change is None:
        forget(file)
    else:
        change_rows(file, change)
    _refused(copy, reader, both=change is halve)


_CELLS = {
    "images": ("path", "split"),
    "scene_graphs": ("objects",),
    "queries": ("modification", "target_ids"),
    "interpretations": ("text",),
    "pseudo_captions": ("text",),
    "rankings": ("rank",),
}


@pytest.mark.parametrize("change", [edit, shift])
@pytest.mark.parametrize(
    ("name", "column", "reader"),
    [(name, column, by) for name in _CELLS for column in _CELLS[name] for by in READ_BY[name]],
)
def test_an_edited_cell_and_a_shifted_column_are_refused(
    copy: Finished, name: str, column: str, reader: str, change: Any
) -> None:
    if (name, column, reader) in {("images", "split", "embed"), ("images", "path", "tune")}:
        pytest.skip("this reader does not read the column")
    change_rows(FILES[name](copy.paths, DATASET), change(column))
    if name == "images" and column in ("path", "split"):
        reads = {
            "path": ("embed", "report", "sheet", "check"),
            "split": ("tune", "evaluate", "study", "check"),
        }
        if reader not in reads[column]:
            READERS[reader](copy)
            return
    _refused(copy, reader)


_VECTORS = {
    "zeros": lambda vectors: np.where(np.arange(len(vectors))[:, None] < 3, 0, vectors),
    "NaN": lambda vectors: np.where(np.arange(len(vectors))[:, None] < 3, np.nan, vectors),
    "shuffled": lambda vectors: vectors[::-1],
}
_FEATURES: dict[str, Put] = {
    **{
        name: lambda project, change=change: change_vectors(project.paths.features(DATASET), change)
        for name, change in _VECTORS.items()
    },
    "ids shifted": lambda project: change_rows(
        project.paths.features(DATASET) / "ids.parquet", shift("image_id")
    ),
    "manifest edited": lambda project: edit_json(
        project.paths.features(DATASET) / "manifest.json", lambda said: said.update(decoder="another")
    ),
}


@pytest.mark.parametrize("reader", READ_BY["features"])
@pytest.mark.parametrize("change", _FEATURES)
def test_changed_features_are_refused(copy: Finished, change: str, reader: str) -> None:
    _FEATURES[change](copy)
    _refused(copy, reader)


def test_features_of_another_decoder_are_refused(copy: Finished, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expected, "decoder", lambda: "Pillow 1")
    for reader in HELD_BY["features"]:
        with pytest.raises(UserError, match=r"another decoder: 'Pillow [\d.]+', not 'Pillow 1'"):
            READERS[reader](copy)


@pytest.mark.parametrize("reader", READ_BY["tuned"])
@pytest.mark.parametrize("change", ["weights", "record", "tokenizer", "tokenizer gone"])
def test_changed_tuned_folders_are_refused(copy: Finished, change: str, reader: str) -> None:
    folder = copy.paths.tuned(DATASET)
    if change == "weights":
        file = folder / "open_clip_model.safetensors"
        save_file({name: 2 * value for name, value in load_file(file).items()}, file, {"format": "pt"})
    elif change == "record":
        edit_json(folder / "lempo.json", lambda said: said["mixture"].update(image=0.123))
    elif change == "tokenizer":
        edit_json(folder / "tokenizer.json", lambda said: said.update(version="2.0"))
    else:
        (folder / "tokenizer.json").unlink()
    _refused(copy, reader)


_METRICS: dict[str, tuple[Callable[[Paths], Path], Callable[[dict], None], tuple[str, ...]]] = {
    "evaluate": (
        lambda paths: paths.metrics("evaluate", DATASET),
        lambda said: said["hybrid"].update({"R@1": 99.5}),
        ("report", "sheet", "export"),
    ),
    "tune": (
        lambda paths: paths.metrics("tune", DATASET),
        lambda said: said.update(epochs=7),
        ("report", "sheet"),
    ),
    "embed": (
        lambda paths: paths.metrics("embed"),
        lambda said: said["model"].update(weights_sha256="0" * 64),
        ("report", "sheet"),
    ),
    "corpus": (
        lambda paths: paths.metrics("corpus"),
        lambda said: said[DATASET].update(images=10),
        ("report",),
    ),
}


@pytest.mark.parametrize(("of", "reader"), [(of, by) for of in _METRICS for by in _METRICS[of][2]])
def test_metrics_of_another_run_are_refused(copy: Finished, of: str, reader: str) -> None:
    locate, change, _ = _METRICS[of]
    edit_json(locate(copy.paths), change)
    _refused(copy, reader)


def test_a_report_shows_no_picture_that_has_changed(copy: Finished) -> None:
    for file in (copy.paths.root / "in" / DATASET / "images").iterdir():
        Image.new("RGB", (40, 30), (1, 2, 3)).save(file)
    with pytest.raises(UserError, match=r"sha256 is [0-9a-f]{64}, the corpus says [0-9a-f]{64}"):
        READERS["report"](copy)


# parameter -> another value, and who must refuse what the present one made
_CHANGED = {
    "corpus.root": ("elsewhere", ("pairs", "interpret", "caption", "embed", "tune", "evaluate", "report")),
    "interpret.max_tokens": (99, ("tune", "evaluate", "report", "captions of interpret")),
    "caption.samples": (3, ("tune", "evaluate", "report", "captions of caption")),
    "llm.temperature": (0.5, ("tune", "evaluate", "report", "captions of caption")),
    "embed.dtype": ("float32", ("tune", "evaluate", "study", "report")),
    "vlm.precision": ("bf16", ("report", "export")),
    "vlm.trust_remote_code": (True, ("report", "export")),
    "llm.trust_remote_code": (True, ("tune", "report")),
    "tune.precision": ("amp_bf16", ("evaluate", "export")),
    "tune.temperature": (0.5, ("evaluate", "export")),
    "method.reference": ("kept", ("evaluate", "export", "report")),
    "comparators.epochs": (2, ("report", "export")),
    "seed": (5, ("tune", "evaluate", "report", "captions of interpret")),
}


@pytest.mark.parametrize(("name", "reader"), [(name, by) for name in _CHANGED for by in _CHANGED[name][1]])
def test_what_other_parameters_made_is_refused(copy: Finished, name: str, reader: str) -> None:
    other = Finished(with_changes(copy.params, {name: _CHANGED[name][0]}), copy.paths)
    _refused(other, reader)


@pytest.mark.parametrize("stage", PARAMETERS)
def test_dvc_makes_again_what_a_reader_would_refuse(stage: str) -> None:
    """A parameter that a reader expects must make DVC run the stage that wrote the table or folder."""
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
    params = load_params(ROOT / "params.yaml")
    recorded = {
        f"{name}.{leaf}" if name in ("tune", "comparators") else name
        for name in PARAMETERS[stage]
        for leaf in (type(getattr(params, name)).model_fields if name in ("tune", "comparators") else ("",))
    }
    assert recorded <= set(stages[stage]["params"])
