"""The tuned model as a folder that plain open_clip loads (`local-dir:`), with its record and its card."""

import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.base.files import read_json, write_json
from pipeline.base.params import VlmParams
from pipeline.base.storage import storage_errors, temporary_folder
from pipeline.vision import source as vlm_source
from pipeline.vision.vlm import Vlm
from trainer.retrieval.similarity import SHARES, TERMS

WEIGHTS_NAME = "open_clip_model.safetensors"
RECORD_NAME = "lempo.json"
CARD_NAME = "README.md"
_MEASURES = ("R@1", "R@5", "R@10", "R@50", "mAP", "mean_recall")
_TOKENIZER_SUFFIXES = (".json", ".txt", ".model", ".jinja")


def save_tuned(
    folder: Path, vlm: Vlm, params: VlmParams, record: dict[str, Any], card: str, root: Path = Path(".")
) -> None:
    """Write the folder as a whole: weights, config, tokenizer files, `lempo.json` and the model card.

    If the source is a local file, the vision side's tensors are those of that file, byte for byte.

    Args:
        folder: replaced if it exists.
        vlm: the source model with its text side tuned.
        params: name the source model; relative paths are relative to `root`.
        record: for `lempo.json`.
        card: for `README.md`.
    """
    source = vlm_source.locate(params, root)
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder) as outer:
            temporary = outer / folder.name
            temporary.mkdir()
            save_file(_tensors(vlm, source.weights), temporary / WEIGHTS_NAME, metadata={"format": "pt"})
            (temporary / WEIGHTS_NAME).chmod(0o644)
            _write_config(temporary, vlm, source)
            write_json(temporary / RECORD_NAME, record)
            (temporary / CARD_NAME).write_text(card, encoding="utf-8")
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)


def _write_config(folder: Path, vlm: Vlm, source: vlm_source.VlmSource) -> None:
    """Write the model's config and the files of its tokenizer."""
    import open_clip

    config = source.config or {"model_cfg": _model_config(source.name), "preprocess_cfg": _preprocessing(vlm)}
    if source.config is not None:
        origin = Path(source.name.removeprefix(vlm_source.LOCAL))
        for file in sorted(origin.iterdir()):
            if file.suffix in _TOKENIZER_SUFFIXES and file.is_file():
                shutil.copyfile(file, folder / file.name)
    elif config["model_cfg"]["text_cfg"].get("hf_tokenizer_name"):
        open_clip.get_tokenizer(source.name).save_pretrained(folder)
    write_json(folder / vlm_source.CONFIG_NAME, config)


def _tensors(vlm: Vlm, source: Path | None) -> dict[str, Tensor]:
    tensors = {name: value.detach().cpu() for name, value in vlm.model.state_dict().items()}
    if source is not None:
        with safe_open(source, framework="pt") as file:
            for name in set(file.keys()) & {name for name in tensors if name.startswith("visual.")}:
                tensors[name] = file.get_tensor(name)
    return {name: value.clone(memory_format=torch.contiguous_format) for name, value in tensors.items()}


def _model_config(name: str) -> dict[str, Any]:
    import open_clip

    config = open_clip.get_model_config(name if ":" in name else name.replace("/", "-"))
    if "timm_model_name" in config["vision_cfg"]:
        config["vision_cfg"]["timm_model_pretrained"] = False  # the folder holds the weights
    return config


def _preprocessing(vlm: Vlm) -> dict[str, Any]:
    keys = ("mean", "std", "interpolation", "resize_mode", "fill_color")
    return {key: vlm.model.visual.preprocess_cfg[key] for key in keys}


def model_card(record: dict[str, Any], test: dict[str, dict[str, float]] | None = None) -> str:
    """Markdown with the front matter that model hubs read.

    Args:
        record: of `lempo.json`.
        test: metrics on the test split in percent, by method, if they are known.
    """
    weights, mixture = record["weights"], record["mixture"]
    measured = {f"validation, {name}": metrics for name, metrics in record["validation"].items()}
    measured |= {f"test, `{name}`": metrics for name, metrics in (test or {}).items()}
    shares = "\n".join(
        f"| {term} | {weights[term]:.2f} | | {share} | {mixture[share]:.2f} |"
        for term, share in zip(TERMS, SHARES, strict=True)
    )
    rows = "\n".join(
        f"| {name} | " + " | ".join(f"{metrics[measure]:.1f}" for measure in _MEASURES) + " |"
        for name, metrics in measured.items()
    )
    settings = "\n".join(f"- {name}: {value}" for name, value in record["tune"].items())
    versions = "\n".join(f"- {name} {version}" for name, version in record["versions"].items())
    return f"""---
library_name: open_clip
pipeline_tag: zero-shot-image-classification
tags: [composed-image-retrieval, remote-sensing, lempo]
---
# Text encoder tuned for composed retrieval on `{record["dataset"]}`

The text encoder of `{record["source"]["model"]}`, tuned by LEmpo with the vision side fixed: the
vision weights are those of the source, so its image embeddings stay valid. The same as JSON:
`lempo.json`.

```python
import open_clip
model, preprocess = open_clip.create_model_from_pretrained("local-dir:<this folder>")
tokenizer = open_clip.get_tokenizer("local-dir:<this folder>")
```

## Similarity

| term | weight | | part of the triplet query | share |
|---|---|---|---|---|
{shares}

Chosen on the validation split. Temperature {record["temperature"]:.4f}.

## Measured, percent

| | {" | ".join(_MEASURES)} |
{"|---" * (1 + len(_MEASURES))}|
{rows}

## How

- seed {record["seed"]}, best epoch {record["best_epoch"]}
{settings}
- source weights, sha256: `{record["source"]["weights_sha256"]}`
{versions}
"""


def read_record(folder: Path) -> dict[str, Any]:
    """`lempo.json` of a tuned folder.

    Raises:
        UserError: it is missing or damaged.
    """
    path = folder / RECORD_NAME
    remedy = "Run `dvc repro`, or `lempo tune` for this dataset"
    record = read_json(path, remedy, "the tuned model is missing")
    if not {"weights", "mixture", "untuned"} <= record.keys():
        raise UserError("the file is not what `lempo tune` writes", "Run `dvc repro`", file=path)
    return record
