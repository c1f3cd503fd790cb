"""A finished project of two datasets of nine pictures, each stage run for real but the language model."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from pipeline.llm.types import Request
from stages import caption, corpus, embed, evaluate, interpret, pairs, report, tune
from tests.language_toy import FakeEngine, answered
from tests.pipeline.corpus.source import Source
from tests.trainer.tiny import make_vlm_folder

ROOT = Path(__file__).parents[1]
DATASETS = ("parks", "roofs")
STAGES = ("corpus", "pairs", "interpret", "caption", "embed", "tune", "evaluate", "report")


@dataclass(frozen=True)
class Finished:
    """A project and its parameters; `run` runs stages of it in this process."""

    params: Params
    paths: Paths

    def run(self, *stages: str) -> None:
        """Run stages for all datasets."""
        engine = FakeEngine(lambda request: answered(request, _text(request)))
        for stage in stages:
            if stage in ("interpret", "caption"):
                {"interpret": interpret, "caption": caption}[stage].run(self.params, self.paths, engine)
            elif stage in ("tune", "evaluate"):
                for dataset in self.params.datasets:
                    {"tune": tune, "evaluate": evaluate}[stage].run(self.params, self.paths, dataset)
            else:
                module = {"corpus": corpus, "pairs": pairs, "embed": embed, "report": report}[stage]
                module.run(self.params, self.paths)

    def copy(self, folder: Path) -> "Finished":
        """The same project elsewhere, without what it remembers between runs."""
        shutil.copytree(self.paths.root, folder, ignore=shutil.ignore_patterns(".lempo"))
        return Finished(self.params, Paths(folder))

    def restore(self, of: "Finished") -> None:
        """Give this copy of a project the files of the project again; files that did not change stay."""
        mine, others = self._files(), of._files()
        for name in mine.keys() - others.keys():
            (self.paths.root / name).unlink()
        for name, state in others.items():
            if mine.get(name) != state:
                (self.paths.root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(of.paths.root / name, self.paths.root / name)

    def _files(self) -> dict[Path, tuple[int, int]]:
        """Size and time of every file but what is remembered between runs."""
        root = self.paths.root
        files = [file for file in root.rglob("*") if ".lempo" not in file.parts and file.is_file()]
        return {file.relative_to(root): (file.stat().st_size, file.stat().st_mtime_ns) for file in files}

    def changed(self, folder: Path, change: "Change") -> "Finished":
        """A copy with other parameters or files, some of whose stages have run again."""
        copy = self.copy(folder)
        if change.edit is not None:
            change.edit(folder)
        other = Finished(with_changes(self.params, change.params), copy.paths)
        other.run(*change.stages)
        return other


@dataclass(frozen=True)
class Change:
    """How a sibling of a project differs from it.

    Attributes:
        stages: those that run again.
        params: `section.leaf` -> value.
        edit: changes files of the project.
    """

    stages: tuple[str, ...]
    params: dict[str, Any]
    edit: Callable[[Path], None] | None = None


def finish(folder: Path) -> Finished:
    """Make the project, all of its stages."""
    for dataset in DATASETS:
        source = Source(folder / "in" / dataset)
        brought = [{"image_id": "test-red", "caption": f"Mine, of {dataset}: a red roof next to a tree."}]
        (source.folder / "interpretations.json").write_text(json.dumps(brought))
        pair = [{"pair_id": 0, "caption": f"Mine, of {dataset}: a green roof next to a tree."}]
        (source.folder / "pseudo_captions.json").write_text(json.dumps(pair))
    shutil.copytree(ROOT / "prompts", folder / "prompts")
    make_llm(folder, b"{}")
    make_vlm_folder(folder / "vlm")
    changes = {
        "datasets": DATASETS, "corpus.root": "in", "llm.model": "llm", "llm.repairs": 0,
        "vlm.model": "local-dir:vlm", "tune.epochs": 1, "tune.batch_size": 4, "comparators.epochs": 1,
        "comparators.batch_size": 4, "report.queries": 4, "speed.device": "cpu",
    }  # fmt: skip
    project = Finished(with_changes(load_params(ROOT / "params.yaml"), changes), Paths(folder))
    project.run(*STAGES)
    return project


def make_llm(folder: Path, weights: bytes) -> None:
    """The folder `llm` with what identifies a language model."""
    (folder / "llm").mkdir(exist_ok=True)
    (folder / "llm/config.json").write_text("{}")
    # a safetensors file without tensors; `weights` is its header, a JSON object
    (folder / "llm/model.safetensors").write_bytes(len(weights).to_bytes(8, "little") + weights)


def with_changes(params: Params, changes: dict[str, Any]) -> Params:
    values = params.model_dump()
    for name, value in changes.items():
        section, _, leaf = name.partition(".")
        if leaf:
            values[section][leaf] = value
        else:
            values[section] = value
    return Params.model_validate(values)


def recolour(folder: Path) -> None:
    """Other bytes in one picture of each dataset."""
    for dataset in DATASETS:
        Image.new("RGB", (40, 30), (9, 90, 190)).save(folder / f"in/{dataset}/images/test-blue.png")


def repaint_graphs(folder: Path) -> None:
    """Another attribute in one scene graph of each dataset."""
    for dataset in DATASETS:
        file = folder / f"in/{dataset}/scene_graphs.json"
        graphs = json.loads(file.read_text())
        graphs[0]["objects"][1]["attributes"] = ["tall"]
        file.write_text(json.dumps(graphs))


def reword_queries(folder: Path) -> None:
    """Another modification in one query of each dataset."""
    for dataset in DATASETS:
        file = folder / f"in/{dataset}/triplets.json"
        queries = json.loads(file.read_text())
        queries[0]["modification"] = "make the roof green"
        file.write_text(json.dumps(queries))


def reword_prompts(folder: Path) -> None:
    for name in ("interpret", "caption"):
        file = folder / f"prompts/{name}.txt"
        file.write_text(file.read_text().replace("You describe", "You tell of", 1))


def _text(request: Request) -> str:
    """Some text that depends on the prompt's last turn alone."""
    asked = request.messages[-1]["content"]
    colours = [word for word in ("red", "green", "blue", "tall") if word in asked]
    return f"a {' '.join(colours)} roof next to a tree."
