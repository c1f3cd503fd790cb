"""The tuned model as a folder that plain open_clip loads (`local-dir:`), with its record and its card."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.base.errors import UserError
from pipeline.base.files import identity_hash, read_json, sha256_file, write_json
from pipeline.base.params import VlmParams
from pipeline.base.provenance import Provenance, plain, remedy
from pipeline.base.storage import replacing_folder
from pipeline.vision import source as vlm_source
from pipeline.vision.vlm import Vlm
from trainer.retrieval.similarity import SHARES, TERMS

WEIGHTS_NAME = "open_clip_model.safetensors"
RECORD_NAME = "lempo.json"
CARD_NAME = "README.md"
_MEASURES = ("R@1", "R@5", "R@10", "R@50", "mAP", "mean_recall")
_CHOSEN = {
    "validation": "Chosen on the validation split.",
    "learned": "Learned from the training queries.",
    "fixed": "Stated in `params.yaml`, not chosen.",
}
_TOKENIZER_SUFFIXES = (".json", ".txt", ".model", ".jinja")


def save_tuned(
    folder: Path,
    vlm: Vlm,
    params: VlmParams,
    record: dict[str, Any],
    card: str,
    root: Path = Path("."),
    made_from: Mapping[str, Any] | None = None,
) -> None:
    """Write the folder as a whole: weights, config, tokenizer files, `lempo.json` and the model card.

    If the source is a local file, the vision side's tensors are those of that file, byte for byte.

    Args:
        folder: replaced if it exists.
        vlm: the source model with its text side tuned.
        params: name the source model; relative paths are relative to `root`.
        record: for `lempo.json`, as `RECORD` of `record.py` says.
        card: for `README.md`.
        made_from: as `Provenance.made_from`; it stands in `lempo.json` too, with a hash of every file.
    """
    source = vlm_source.locate(params, root)
    with replacing_folder(folder) as temporary:
        save_file(_tensors(vlm, source.weights), temporary / WEIGHTS_NAME, metadata={"format": "pt"})
        (temporary / WEIGHTS_NAME).chmod(0o644)
        _write_config(temporary, vlm, source, params.trust_remote_code)
        said = {**record, "made_from": plain(made_from or {})}
        write_json(temporary / RECORD_NAME, {**said, "content": content_hashes(temporary, said)})
        (temporary / CARD_NAME).write_text(card, encoding="utf-8")


def _write_config(folder: Path, vlm: Vlm, source: vlm_source.VlmSource, code_is_trusted: bool) -> None:
    """Write the model's config and the files of its tokenizer, with its code if that is trusted."""
    config = source.config or {"model_cfg": _model_config(source.name), "preprocess_cfg": _preprocessing(vlm)}
    if source.config is not None:
        origin = Path(source.name.removeprefix(vlm_source.LOCAL))
        for file in sorted(origin.iterdir()):
            code = file.suffix == ".py" and code_is_trusted
            if (file.suffix in _TOKENIZER_SUFFIXES or code) and file.is_file():
                shutil.copyfile(file, folder / file.name)
    elif config["model_cfg"]["text_cfg"].get("hf_tokenizer_name"):
        vlm.tokenizer.save(folder)
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
        record: of `lempo.json`, with what the model was made from.
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
    trusted = "- trust_remote_code: true, so loading the tokenizer runs the folder's own code\n"
    trusted = trusted if record["source"].get("trust_remote_code") else ""
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

To search with it, in the project that made it:

```
lempo index {record["dataset"]}
lempo search --id IMAGE --text "what shall be different"
```

## Similarity

| term | weight | | part of the triplet query | share |
|---|---|---|---|---|
{shares}

{_CHOSEN[record["made_from"]["method.choose"]]} Temperature {record["temperature"]:.4f}.

## Measured, percent

| | {" | ".join(_MEASURES)} |
{"|---" * (1 + len(_MEASURES))}|
{rows}

## How

- seed {record["seed"]}, best epoch {record["best_epoch"]}
{settings}
{trusted}- source weights, sha256: `{record["source"]["weights_sha256"]}`
{versions}
"""


def tuned_provenance(folder: Path, expect: Mapping[str, Any] | None = None) -> Provenance:
    """What a tuned folder says of itself; its weights are not read.

    Args:
        expect: what it must be made from: some names of `Provenance.made_from`.

    Raises:
        UserError: `lempo.json` is missing or damaged, or the folder is made from anything else.
    """
    record = _record(folder, expect)
    provenance = Provenance("tuned", record["made_from"], record["content"])
    provenance.expect("tuned", expect or {}, file=folder / RECORD_NAME, stage="tune")
    return provenance


def read_record(folder: Path, expect: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """`lempo.json` of a tuned folder whose files are those that were written; the card may have changed.

    Args:
        expect: as for `tuned_provenance`.

    Raises:
        UserError: a file is missing, damaged or changed, or the folder is made from anything else.
    """
    record = _record(folder, expect)
    provenance = tuned_provenance(folder, expect)
    said = {name: value for name, value in record.items() if name != "content"}
    found: dict[str, str | None] = {**dict.fromkeys(provenance.content), **content_hashes(folder, said)}
    provenance.expect_content(found, file=folder / RECORD_NAME, stage="tune")
    return record


def _record(folder: Path, expect: Mapping[str, Any] | None) -> dict[str, Any]:
    path, mend = folder / RECORD_NAME, remedy("tune", (expect or {}).get("dataset"))
    record = read_json(path, mend, "the tuned model is missing")
    if not {"weights", "mixture", "untuned"} <= record.keys():
        raise UserError("the file is not what `lempo tune` writes", mend, file=path)
    if not isinstance(record.get("made_from"), dict) or not isinstance(record.get("content"), dict):
        raise UserError("the file does not say what the model was made from", mend, file=path)
    return record


def content_hashes(folder: Path, said: Mapping[str, Any]) -> dict[str, str]:
    """Hashes of the record and of every file but it, the card, which is made from it, and hidden ones."""
    files = sorted(
        file
        for file in folder.iterdir()
        if file.is_file() and file.name not in (RECORD_NAME, CARD_NAME) and not file.name.startswith(".")
    )
    return {RECORD_NAME: identity_hash(dict(said)), **{file.name: sha256_file(file) for file in files}}
