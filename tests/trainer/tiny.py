"""A tiny open_clip folder and a tiny dataset, made here: no model or data from outside is needed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pipeline.base.params import Params, load_params
from pipeline.base.paths import Paths
from pipeline.base.schemas import IMAGES, INTERPRETATIONS, PSEUDO_CAPTIONS, QUERIES, SCENE_GRAPHS, SPLITS
from pipeline.base.tables import write_table
from pipeline.graph.edits import Edit, edit_to_row
from pipeline.graph.scene_graph import Group
from pipeline.vision.features import write_features
from pipeline.vision.vlm import load_vlm
from tests.belonging import sign

REPOSITORY = Path(__file__).parents[2]
COLOURS = ("red", "blue", "white", "green", "grey", "brown", "black", "yellow")
THINGS = ("car", "boat", "roof", "tree", "court", "plane", "pool", "road")
WORDS = (
    "<pad>",
    "<s>",
    ".",
    "a",
    "make",
    "the",
    *COLOURS,
    *THINGS,
    "it",
    "</s>",
)  # end: highest id
CONTEXT = 16


def make_vlm_folder(folder: Path, *, custom_text: bool = False, half: bool = False, seed: int = 0) -> Path:
    """A random two-block open_clip model of width 32 with a word tokenizer."""
    import open_clip
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    folder.mkdir(parents=True)
    ids = {word: place for place, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="it"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", ids["<s>"]), ("</s>", ids["</s>"])]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="it"
    ).save_pretrained(folder)
    config: dict[str, Any] = {
        "model_cfg": {
            "embed_dim": 16,
            "vision_cfg": {"layers": 1, "width": 32, "head_width": 16, "patch_size": 16, "image_size": 32},
            "text_cfg": {
                "context_length": CONTEXT,
                "vocab_size": len(WORDS),
                "width": 32,
                "heads": 2,
                "layers": 2,
                "hf_tokenizer_name": "tokenizer",
            },
        },
        "preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3, "resize_mode": "squash"},
    }
    if custom_text:
        config["model_cfg"]["custom_text"] = True
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    model_config = {key: value for key, value in config["model_cfg"].items() if key != "custom_text"}
    kind = open_clip.CustomTextCLIP if custom_text else open_clip.CLIP
    model = kind(**model_config)
    state = {name: value.half() if half else value for name, value in model.state_dict().items()}
    save_file(
        {name: value.contiguous() for name, value in state.items()}, folder / "open_clip_model.safetensors"
    )
    return folder


@pytest.fixture(scope="session")
def vlm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_vlm_folder(tmp_path_factory.mktemp("models") / "tiny", half=True)


def _caption(key: str, row_id: str, text: str | None) -> dict[str, Any]:
    return {
        key: row_id,
        "text": text,
        "status": "ok" if text else "failed",
        "error": None if text else "context",
        "finish_reason": "stop",
        "source": "first",
        "model": "test",
        "prompt_hash": "0",
        "row_key": row_id,
        "summarised": False,
        "alternatives": [],
    }


def _graph(image_id: str) -> dict[str, Any]:
    _, thing, colour, _ = image_id.split("-")
    node = {"object_id": 1, "name": thing, "attributes": [colour], "bbox": None}
    size = {"width": 32, "height": 32}
    return {"image_id": image_id, **size, "scene": None, "objects": [node], "relationships": []}


def _recolouring(thing: str, wanted: str) -> list[dict[str, Any]]:
    old, new = (Group("", thing, (colour,)) for colour in ("red", wanted))
    return [edit_to_row(Edit(op, "object", group)) for op, group in (("remove", old), ("add", new))]


def make_dataset(paths: Paths, params: Params, dataset: str, edits: bool = False) -> None:
    """Images of one coloured thing each; a query asks for another colour. Features say colour and thing.

    Every colour and thing stands at two places, a and b, so that some queries have two right answers.

    Args:
        edits: whether queries say which facts they change.
    """
    rng = np.random.default_rng(0)
    vlm = load_vlm(params.vlm, "cpu", paths.root)
    directions = {word: rng.normal(size=vlm.dimension) for word in (*COLOURS, *THINGS, "a", "b")}
    images, queries, interpretations, captions, vectors = [], [], [], [], []
    for split in SPLITS:
        for thing in THINGS:
            for colour in COLOURS[:4]:
                for place in "ab":
                    image_id = f"{split}-{thing}-{colour}-{place}"
                    images.append({"image_id": image_id, "split": split, "path": "x", "sha256": image_id})
                    interpretations.append(_caption("image_id", image_id, f"a {colour} {thing}."))
                    vectors.append(
                        directions[thing] + directions[colour] + 0.3 * directions[place]
                        + 0.1 * rng.normal(size=vlm.dimension)
                    )  # fmt: skip
        for thing in THINGS:
            for place in "ab":
                wanted = COLOURS[1 + (THINGS.index(thing) + "ab".index(place)) % 3]
                query_id = f"{split}-{thing}-{place}"
                targets = [f"{split}-{thing}-{wanted}-{place}"]
                if place == "b":
                    targets.append(f"{split}-{thing}-{wanted}-a")
                queries.append(
                    {
                        "query_id": query_id,
                        "split": split,
                        "reference_id": f"{split}-{thing}-red-{place}",
                        "target_id": targets[0],
                        "target_ids": sorted(targets),
                        "modification": f"make the {thing} {wanted}",
                        "kind": "recolour",
                        "family": f"{split}-{thing}",
                        "edits": _recolouring(thing, wanted) if edits else None,
                    }
                )
                captions.append(_caption("query_id", query_id, f"a {wanted} {thing}."))
    captions[-1] = _caption("query_id", captions[-1]["query_id"], None)
    order = np.argsort([row["image_id"] for row in images])
    unit = np.array(vectors)[order]
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    made_from = {"dataset": dataset}
    write_features(
        paths.features(dataset),
        [images[i]["image_id"] for i in order],
        [images[i]["sha256"] for i in order],
        [unit.astype(np.float32)],
        dimension=vlm.dimension,
        dtype="float16",
        made_from=vlm.identity | made_from,
    )
    sized = [{**row, "width": 32, "height": 32, "family": None} for row in images]
    graphs = [_graph(row["image_id"]) for row in images]
    write_table(sized, paths.images(dataset), IMAGES, made_from)
    write_table(graphs, paths.scene_graphs(dataset), SCENE_GRAPHS, made_from)
    write_table(queries, paths.queries(dataset), QUERIES, made_from)
    write_table(interpretations, paths.interpretations(dataset), INTERPRETATIONS, made_from)
    write_table(captions, paths.pseudo_captions(dataset), PSEUDO_CAPTIONS, made_from)
    sign(params, paths, dataset)


@pytest.fixture(scope="session")
def make_params(vlm_folder: Path) -> Callable[..., Params]:
    """The project's parameters with the tiny model and short runs; `tune={...}` changes a section."""
    raw = load_params(REPOSITORY / "params.yaml").model_dump()

    def make(**sections: Any) -> Params:
        changed = {
            **raw,
            "datasets": ["tiny"],
            "vlm": {"model": f"local-dir:{vlm_folder}", "pretrained": None, "precision": "fp32"},
        }
        changed["tune"] = {**raw["tune"], "epochs": 3, "batch_size": 8, "patience": 3, "learning_rate": 3e-3}
        changed["comparators"] = {**raw["comparators"], "epochs": 2, "batch_size": 16}
        for name, values in sections.items():
            changed[name] = {**changed[name], **values} if isinstance(values, dict) else values
        return Params.model_validate(changed)

    return make


@pytest.fixture
def project(tmp_path: Path, make_params: Callable[..., Params]) -> Paths:
    """A project's root with the dataset `tiny`, all that `tune` reads."""
    paths = Paths(tmp_path)
    make_dataset(paths, make_params(), "tiny")
    return paths
