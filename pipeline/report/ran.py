"""What ran: models, versions and the parameters that change results."""

import re
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel

from pipeline.base.errors import reading
from pipeline.base.expected import PARAMETERS, RECORD_NAME, Expected, features_provenance
from pipeline.base.files import canonical_json, file_bytes, read_json
from pipeline.base.metrics_io import read_metrics
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.provenance import remedy
from pipeline.base.schemas import INTERPRETATIONS, PSEUDO_CAPTIONS
from pipeline.base.tables import read_batches

_CARD_LENGTH = 800  # characters
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")  # of Markdown: its target lies beside the card, not here


def models(expected: Expected) -> list[dict[str, Any]]:
    """The models of the run: name, identity and, if its folder has a card, the card's first paragraph."""
    paths, datasets = expected.paths, expected.params.datasets
    embedded = paths.metrics("embed")
    with reading(embedded, remedy("embed"), "the figures are not what the stage writes"):
        identity = read_metrics(embedded).get("model", {})
        model = str(identity.get("model", "unknown"))
        shown = {key: value for key, value in identity.items() if key != "model" and value is not None}
    for dataset in datasets:
        features_provenance(paths.features(dataset), expected.features(dataset, identity))
    rows = [_model(paths, "vision language model", model, shown)]
    prompts: dict[str, dict[str, set[str]]] = {}
    for title, locate, schema, expect in (
        ("interpretations", paths.interpretations, INTERPRETATIONS, expected.interpretations),
        ("pseudo captions", paths.pseudo_captions, PSEUDO_CAPTIONS, expected.pseudo_captions),
    ):
        for dataset in datasets:
            columns = ["model", "prompt_hash"]
            for batch in read_batches(locate(dataset), schema, columns, expect(dataset)):
                for name, prompt in pl.DataFrame(batch).unique().iter_rows():
                    prompts.setdefault(name, {}).setdefault(f"prompt of the {title}", set()).add(prompt)
    for name in sorted(prompts):
        hashes = {key: ", ".join(sorted(values)) for key, values in prompts[name].items()}
        rows.append(_model(paths, "language model", name, hashes))
    return rows


def _model(paths: Paths, role: str, name: str, identity: dict[str, Any]) -> dict[str, Any]:
    card = first_paragraph(paths.root / name.removeprefix("local-dir:") / "README.md")
    return {"role": role, "name": name, "identity": identity, "card": card}


def first_paragraph(file: Path) -> str | None:
    """The first paragraph of a model's card as plain text, at most 800 characters; None if there is none."""
    try:
        text = file_bytes(file).decode("utf-8", errors="replace")
    except (OSError, ValueError):  # there is none, or the model's name is no path
        return None
    if text.startswith("---\n"):  # the metadata block that model hubs put first
        text = text.partition("\n---\n")[2]
    for paragraph in text.split("\n\n"):
        lines = [line for line in paragraph.strip().splitlines() if not line.startswith("#")]
        if lines:
            plain = _LINK.sub(r"\1", " ".join(lines)).replace("**", "").replace("`", "")
            return plain[:_CARD_LENGTH]
    return None


def versions(paths: Paths, datasets: Sequence[str]) -> dict[str, str]:
    """The versions of packages with which the encoders were tuned and the images decoded, by name.

    Raises:
        UserError: a tuned folder or the features have no record.
    """
    found: dict[str, set[str]] = {}
    for dataset in datasets:
        file = paths.tuned(dataset) / RECORD_NAME
        record = read_json(file, remedy("tune", dataset), "the tuned model is missing")
        with reading(file, remedy("tune", dataset), "the record is not what the stage writes"):
            said = {str(name): str(version) for name, version in record.get("versions", {}).items()}
        decoder = str(features_provenance(paths.features(dataset)).made_from.get("decoder", ""))
        name, _, version = decoder.partition(" ")
        for package, number in (said | ({name: version} if version else {})).items():
            found.setdefault(package, set()).add(number)
    return {name: ", ".join(sorted(found[name])) for name in sorted(found, key=str.lower)}


def parameters(params: Params) -> list[tuple[str, list[tuple[str, str]]]]:
    """The parameters that change what a stage writes: by section, leaf and value."""
    names = sorted({name for stage in PARAMETERS.values() for name in stage} - {"tune", "comparators"})
    names += [f"{of}.{leaf}" for of in ("tune", "comparators") for leaf in getattr(params, of).model_dump()]
    sections: dict[str, list[tuple[str, str]]] = {}
    for name in sorted(names):
        section, _, leaf = name.rpartition(".")
        value = reduce(getattr, name.split("."), params)
        plain = value.model_dump() if isinstance(value, BaseModel) else value
        sections.setdefault(section or "all stages", []).append((leaf, _said(plain)))
    return sorted(sections.items(), key=lambda item: (item[0] != "all stages", item[0]))


def _said(value: Any) -> str:
    return value if isinstance(value, str) else canonical_json(value)
