"""What every table and folder of a project must be made from: the parameters and files as they are now.

Who writes one records this, and who reads one expects it, so the two cannot differ. Only metadata is read
here, up to the tables of the corpus: what a reader opens is made from what the project holds now, or is
refused.

A parameter named here must be one of the stage's in `dvc.yaml`: else a reader would refuse what `dvc repro`
does not make again.
"""

import hashlib
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel

from pipeline.base.decode import RULES, decoder
from pipeline.base.errors import UserError, refuse_odd
from pipeline.base.files import read_json
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.provenance import Provenance, remedy
from pipeline.base.schemas import (
    BROUGHT_CAPTIONS,
    IMAGES,
    INTERPRETATIONS,
    PAIRS,
    PSEUDO_CAPTIONS,
    QUERIES,
    SCENE_GRAPHS,
)
from pipeline.base.tables import as_table, content_hash, table_provenance, write_table

MANIFEST_NAME, RECORD_NAME = "manifest.json", "lempo.json"  # of a folder of features, of a tuned folder
_LANGUAGE = (
    "seed", "llm.model", "llm.revision", "llm.temperature", "llm.top_p", "llm.repairs",
    "llm.repair_temperature", "llm.fallback", "llm.thought_tokens", "llm.output", "llm.max_groups",
    "llm.max_relations", "llm.sampling", "llm.chat_template_kwargs", "llm.images", "llm.image_side",
    "llm.engine_args", "llm.trust_remote_code", "vlm.model", "vlm.trust_remote_code",
)  # fmt: skip
_PAIRS = (
    "seed", "pairs.within", "pairs.max_facts", "pairs.per_image", "pairs.most", "pairs.beside_brought",
    "pairs.write", "llm.max_groups", "llm.max_relations",
)  # fmt: skip
_WRITER = (  # where the language model writes modifications
    "pairs.max_tokens", "pairs.fallback", "llm.model", "llm.revision", "llm.temperature", "llm.top_p",
    "llm.repairs", "llm.repair_temperature", "llm.thought_tokens", "llm.output", "llm.sampling",
    "llm.chat_template_kwargs",
    "llm.engine_args", "llm.trust_remote_code",
)  # fmt: skip
_VLM = ("vlm.model", "vlm.pretrained", "vlm.precision", "vlm.trust_remote_code")
_METHOD = ("seed", *_VLM, "method.reference", "method.choose", "method.weights", "method.mixture")
PARAMETERS = {  # those that change what a stage writes
    "corpus": (
        "corpus.root", "corpus.max_pixels", "corpus.bands", "corpus.stretch", "corpus.tile_size",
        "corpus.tile_overlap", "corpus.tile_keep", "corpus.tile_drop_cut", "corpus.tile_objects",
        "corpus.colours", "corpus.place", "corpus.split_shares", "corpus.split_seed",
        "corpus.near_duplicates",
    ),
    "pairs": (*_PAIRS, *_WRITER),
    "interpret": (*_LANGUAGE, "interpret.max_tokens"),
    "caption": (*_LANGUAGE, "caption.max_tokens", "caption.samples", "caption.sample_temperature"),
    "embed": (*_VLM, "embed.dtype"),
    "tune": (*_METHOD, "tune"),
    "evaluate": (*_METHOD, "comparators"),
}  # fmt: skip


class Expected:
    """What the tables and folders of a project are made from; one of these serves one command.

    Each method gives names and values for `Provenance.made_from` of a dataset's table or folder.

    Raises:
        UserError: something that it is made from is missing, or is itself made from anything else.
    """

    def __init__(self, params: Params, paths: Paths) -> None:
        self.params, self.paths = params, paths
        self._found: dict[Path, Provenance] = {}
        self._corpora: dict[str, dict[str, Any]] = {}  # by dataset, once its four tables belong together

    def corpus(self, dataset: str) -> dict[str, Any]:
        """Of the tables of images, graphs, queries and brought captions: each names the hashes of all."""
        if dataset not in self._corpora:
            made_from = self._of("corpus", dataset)
            files = self._corpus_files(dataset)
            for file, schema in files.values():
                self._table(file, schema, made_from)
            made_from |= {name: self._hash(file) for name, (file, _) in files.items()}
            for name, (file, _) in files.items():
                self._found[file].expect(name, made_from, file=file, stage="corpus")
            self._corpora[dataset] = made_from
        return dict(self._corpora[dataset])

    def rejects(self) -> dict[str, Any]:
        """The rejected rows of all datasets. Without `metrics`, the hash of the corpus's figures."""
        queries = {}
        for dataset in self.params.datasets:
            queries[f"queries of {dataset}"] = self.corpus(dataset)["queries"]
        return queries

    def pairs(self, dataset: str) -> dict[str, Any]:
        """Of the table of all queries. Without `llm`, as `interpretations`, where the LLM writes any."""
        corpus = self.corpus(dataset)
        if not self.makes_pairs(dataset):
            return {"dataset": dataset} | corpus
        values = self._of("pairs", dataset)
        if self.params.pairs.write == "rules":
            return {name: value for name, value in values.items() if name not in _WRITER} | corpus
        return values | {"prompt": self._prompt(self.params.pairs.prompt)} | corpus

    def makes_pairs(self, dataset: str) -> bool:
        """Whether queries are made: where the dataset brings none, or beside those that it brings."""
        file = self.paths.queries(dataset)
        self._table(file, QUERIES, self._of("corpus", dataset))
        return self.params.pairs.beside_brought or not pq.read_metadata(file).num_rows

    def dropped(self) -> dict[str, Any]:
        """Of the made queries that were left out, of all datasets."""
        return {f"pairs of {dataset}": self._pairs_hash(dataset) for dataset in self.params.datasets}

    def interpretations(self, dataset: str) -> dict[str, Any]:
        """Without `llm`, the identity of the model, which only the stage itself knows."""
        corpus = self.corpus(dataset)
        images = {}
        if self.params.llm.images:
            images["prompt_without_graph"] = self._prompt(self.params.interpret.prompt_without_graph)
            images["images"] = corpus["images"]
        return self._of("interpret", dataset) | {
            **images,
            "prompt": self._prompt(self.params.interpret.prompt),
            "scene_graphs": corpus["scene_graphs"],
            "brought_captions": corpus["brought_captions"],
        }

    def pseudo_captions(self, dataset: str) -> dict[str, Any]:
        """Without `llm`, as `interpretations`."""
        hashes = {
            "scene_graphs": self.corpus(dataset)["scene_graphs"],
            "pairs": self._pairs_hash(dataset),
            "brought_captions": self.corpus(dataset)["brought_captions"],
        }
        if self.params.llm.images:
            hashes["images"] = self.corpus(dataset)["images"]
        if self.params.llm.repairs:
            hashes["repair_prompt"] = self._prompt(self.params.caption.repair_prompt)
        prompt = self._prompt(self.params.caption.prompt)
        return self._of("caption", dataset) | {"prompt": prompt, **hashes}

    def features(self, dataset: str, identity: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Of the manifest.

        Args:
            identity: of the VLM, where it is loaded; its keys stand in the manifest as they are.
        """
        vlm = self.params.vlm
        named = {"model": vlm.model, "pretrained": vlm.pretrained, "precision": vlm.precision}
        return {
            "dataset": dataset,
            **named,
            **(identity or {}),
            "dtype": self.params.embed.dtype,
            "decoder": decoder(),
            "pixels": RULES,
            "images": self.corpus(dataset)["images"],
        }

    def tuned(self, dataset: str) -> dict[str, Any]:
        """Without `vlm` and `tokens`, which only who has loaded the VLM knows."""
        return self._of("tune", dataset) | self._read_by_trainers(dataset)

    def rankings(self, dataset: str) -> dict[str, Any]:
        """Without `vlm`, `tuned` and the hashes of the metrics."""
        return self._of("evaluate", dataset) | self._read_by_trainers(dataset)

    def check_captions(self, dataset: str) -> None:
        """Refuse captions of the two language stages that are of two models.

        Raises:
            UserError: names both identities.
        """
        paths = self.paths
        described = self._table(
            paths.interpretations(dataset), INTERPRETATIONS, self.interpretations(dataset)
        )
        file = paths.pseudo_captions(dataset)
        captions = self._table(file, PSEUDO_CAPTIONS, self.pseudo_captions(dataset))
        same_model = {"llm": described.made_from.get("llm"), "dataset": dataset}
        captions.expect("pseudo_captions", same_model, file=file, stage="interpret caption")

    def write_corpus(
        self,
        dataset: str,
        images: pa.Table | list[dict],
        scene_graphs: pa.Table | list[dict],
        queries: pa.Table | list[dict],
        captions: pa.Table | list[dict] | None = None,
    ) -> None:
        """Write the four tables of a dataset so that they belong together.

        Raises:
            ValueError: what `write_table` raises.
        """
        rows = {"images": images, "scene_graphs": scene_graphs, "queries": queries}
        rows["brought_captions"] = [] if captions is None else captions
        files = self._corpus_files(dataset)
        self._corpora.pop(dataset, None)
        tables = {name: as_table(rows[name], schema, dataset) for name, (_, schema) in files.items()}
        hashes = {name: content_hash(table) for name, table in tables.items()}
        for name, (file, schema) in files.items():
            self._found.pop(file, None)
            write_table(tables[name], file, schema, self._of("corpus", dataset) | hashes)

    def remove_corpus(self, dataset: str) -> None:
        """Delete the four tables of a dataset."""
        self._corpora.pop(dataset, None)
        for file, _ in self._corpus_files(dataset).values():
            self._found.pop(file, None)
            file.unlink(missing_ok=True)

    def _corpus_files(self, dataset: str) -> dict[str, tuple[Path, pa.Schema]]:
        paths = self.paths
        return {
            "images": (paths.images(dataset), IMAGES),
            "scene_graphs": (paths.scene_graphs(dataset), SCENE_GRAPHS),
            "queries": (paths.queries(dataset), QUERIES),
            "brought_captions": (paths.captions(dataset), BROUGHT_CAPTIONS),
        }

    def _read_by_trainers(self, dataset: str) -> dict[str, Any]:
        self.check_captions(dataset)
        paths = self.paths
        tables = {
            "interpretations": paths.interpretations(dataset),
            "pseudo_captions": paths.pseudo_captions(dataset),
        }
        hashes = {"images": self.corpus(dataset)["images"], "pairs": self._pairs_hash(dataset)}
        hashes |= {name: self._hash(file) for name, file in tables.items()}
        manifest = features_provenance(paths.features(dataset), self.features(dataset))
        return hashes | {"features": manifest.hash}

    def _pairs_hash(self, dataset: str) -> str:
        return self._table(self.paths.pairs(dataset), PAIRS, self.pairs(dataset)).hash

    def _table(self, file: Path, schema: pa.Schema, made_from: Mapping[str, Any]) -> Provenance:
        if file not in self._found:
            self._found[file] = table_provenance(file, schema, made_from)
        return self._found[file]

    def _hash(self, file: Path) -> str:
        """Of a table that was checked before."""
        return self._found[file].hash

    def _of(self, stage: str, dataset: str) -> dict[str, Any]:
        values: dict[str, Any] = {"dataset": dataset}
        for name in PARAMETERS[stage]:
            value = reduce(getattr, name.split("."), self.params)
            if name in ("tune", "comparators"):
                values |= {f"{name}.{leaf}": of for leaf, of in value.model_dump().items()}
            else:
                values[name] = value.model_dump() if isinstance(value, BaseModel) else value
        return values

    def _prompt(self, name: str) -> str:
        """The sha256 of a prompt's text, as in the column `prompt_hash`."""
        file = self.paths.root / name
        try:
            refuse_odd(file)
            return hashlib.sha256(file.read_text(encoding="utf-8").encode()).hexdigest()
        except (OSError, UnicodeDecodeError) as error:
            mend = "Correct the path in params.yaml, or write the file"
            raise UserError("the prompt file cannot be read", mend, file=file, value=error) from None


def features_provenance(folder: Path, expect: Mapping[str, Any] | None = None) -> Provenance:
    """What a folder of features says of itself; no vector is read.

    Args:
        expect: some names and values of its manifest.

    Raises:
        UserError: the manifest is missing or damaged, or a value is not the expected one.
    """
    mend = remedy("embed")
    file = folder / MANIFEST_NAME
    manifest = read_json(file, mend, "the features have no manifest: they are missing or incomplete")
    content = manifest.get("content")
    if not manifest.keys() >= {"dtype", "dimension", "rows"} or not isinstance(content, dict):
        raise UserError("the manifest is incomplete", mend, file=file)
    record = Provenance("features", manifest, content)
    record.expect("features", expect or {}, file=file, stage="embed")
    return record
