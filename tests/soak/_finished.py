"""A small finished project: every table, cache, checkpoint, model folder and metrics file of a real run."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import yaml

from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.llm.types import Request, Result
from tests.language_toy import FakeEngine, answered
from tests.pipeline.corpus.source import Source
from tests.trainer.tiny import make_vlm_folder

ROOT = Path(__file__).parents[2]
DATASET = "toy"
STUDY_KEY = "0" * 32


def answer(request: Request) -> Result:
    """A text that depends on the prompt alone, so that a text that is written again is the same."""
    digest = hashlib.sha256(request.messages[-1]["content"].encode()).hexdigest()
    return answered(request, f"a red roof next to a tree {digest[:8]}")


def engine() -> FakeEngine:
    return FakeEngine(answer)()


def finish_project(root: Path) -> Params:
    """Write the project and run every stage on it; the tuning checkpoint of a killed run is left too."""
    from stages import caption, corpus, embed, evaluate, interpret, pairs, report, tune

    paths = Paths(root)
    shutil.copytree(ROOT / "prompts", root / "prompts")
    Source(root / "worlds" / DATASET)
    make_vlm_folder(root / "models/vlm")
    _make_llm_folder(root / "models/llm")
    params = _params(root)
    corpus.run(params, paths)
    pairs.run(params, paths)
    interpret.run(params, paths, engine)
    caption.run(params, paths, engine)
    embed.run(params, paths)
    _interrupted_tuning(params, paths)
    kept = paths.cache / "kept"
    shutil.copytree(paths.checkpoints, kept)
    tune.run(params, paths, DATASET)
    shutil.rmtree(paths.checkpoints)
    kept.rename(paths.checkpoints)
    evaluate.run(params, paths, DATASET)
    _study(params, paths)
    report.run(params, paths)
    return params


def _params(root: Path) -> Params:
    raw: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text())
    raw["datasets"] = [DATASET]
    raw["corpus"]["root"] = "worlds"
    raw["llm"] |= {"model": "models/llm", "repairs": 0}
    raw["vlm"] = {"model": "local-dir:models/vlm", "pretrained": None, "precision": "fp32"}
    raw["tune"] |= {"epochs": 2, "batch_size": 4}
    raw["comparators"] |= {"epochs": 1, "batch_size": 4}
    raw["report"]["queries"] = 1
    raw["speed"] |= {"workers": 1, "device": "cpu"}
    (root / "params.yaml").write_text(yaml.safe_dump(raw, sort_keys=False))
    return Params.model_validate(raw)


def _make_llm_folder(folder: Path) -> None:
    """No model, but the files by which one is identified."""
    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"architectures": ["LlamaForCausalLM"], "hidden_size": 8}')
    (folder / "tokenizer.json").write_text("{}")
    save_file({"weight": torch.arange(64.0)}, folder / "model.safetensors")


def _interrupted_tuning(params: Params, paths: Paths) -> None:
    """Run until the first checkpoint is on disk, as if somebody had pressed Ctrl-C then."""
    from stages import tune

    def interrupt(_: str, row: dict[str, Any]) -> str:
        if row["epoch"] == 1:
            raise KeyboardInterrupt
        return ""

    line, tune._line = tune._line, interrupt  # type: ignore[assignment]
    try:
        tune.run(params, paths, DATASET)
    except KeyboardInterrupt:
        pass
    finally:
        tune._line = line


def _study(params: Params, paths: Paths) -> None:
    """One result of a study, with a text tower."""
    from trainer.study.data import copy_text_state, load_model
    from trainer.study.store import Store

    vlm = load_model(params, paths)
    result = {"validation": {"mean_recall": 50.0}, "chosen": {}, "seconds": 1.0}
    Store(paths, params, vlm.identity).write(STUDY_KEY, result, copy_text_state(vlm.model))
