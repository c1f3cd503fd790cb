from collections.abc import Callable

import pytest
import torch

from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.params import Params
from pipeline.base.paths import Paths
from pipeline.base.schemas import QUERIES
from pipeline.base.tables import read_table, write_table
from pipeline.vision.features import read_features
from pipeline.vision.texts import Texts, encode_texts
from pipeline.vision.vlm import Vlm, load_vlm
from tests.belonging import sign
from trainer.retrieval import splits as of_splits
from trainer.retrieval.similarity import TEXT_INPUTS
from trainer.retrieval.splits import Split, language_text, load_splits

Load = Callable[..., dict[str, Split]]


@pytest.fixture
def vlm(make_params: Callable[..., Params]) -> Vlm:
    return load_vlm(make_params().vlm, "cpu")


@pytest.fixture
def load(make_params: Callable[..., Params], project: Paths) -> Load:
    params = make_params()

    def load(*splits: str, removed: bool = True) -> dict[str, Split]:
        sign(params, project, "tiny")
        features = read_features(project.features("tiny"))
        return load_splits(Expected(params, project), "tiny", features, splits, removed)

    return load


def _edit_queries(paths: Paths, **change: object) -> None:
    rows = read_table(paths.queries("tiny"), QUERIES).to_pylist()
    rows[0] |= change
    write_table(rows, paths.queries("tiny"), QUERIES)


def test_a_split_holds_its_own_images_and_queries(project: Paths, load: Load) -> None:
    loaded = load("train", "test")
    for name, split in loaded.items():
        assert len(split) == 16
        assert len(split.gallery_ids) == len(split.gallery) == 64
        assert all(image_id.startswith(name) for image_id in split.gallery_ids)
        for row, (query_id, target) in enumerate(zip(split.query_ids, split.answers.target, strict=True)):
            _, thing, place = query_id.split("-")
            assert split.gallery_ids[split.reference[row]] == f"{name}-{thing}-red-{place}"
            assert split.gallery_ids[target].endswith(f"-{place}")
    assert torch.allclose(loaded["test"].gallery.norm(dim=1), torch.ones(64), atol=1e-6)


def test_training_reads_a_large_gallery_as_it_is_stored(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    split = load("train")["train"]
    assert split.trained_on is split.gallery
    monkeypatch.setattr(of_splits, "_COPIED_MIB", 0)
    assert split.trained_on is split.stored and torch.equal(split.stored[:], split.gallery)
    rows = torch.tensor([3, 0, 3])
    assert torch.equal(split.images(rows), split.image[rows])


def test_the_reference_is_removed_or_kept(project: Paths, load: Load) -> None:
    removed, kept = (load("val", removed=choice)["val"] for choice in (True, False))
    assert torch.equal(removed.answers.removed, removed.reference)
    assert (kept.answers.removed == -1).all()


def test_a_missing_caption_is_replaced_by_the_modification_and_counted(project: Paths, load: Load) -> None:
    split = load("test")["test"]
    assert split.missing_captions == 1
    assert split.texts["pseudo_caption"][split.query_ids.index("test-road-b")] == "make the road green"
    assert load("val")["val"].missing_captions == 0


def test_language_text_says_the_modification_first() -> None:
    assert language_text("Add a car .", "A road.") == "Add a car. A road."
    assert language_text("add a car", "A road.") == "add a car. A road."
    assert language_text("Add a car.", None) == "Add a car."


def test_texts_are_encoded_once_and_as_the_vlm_encodes_them(
    project: Paths, load: Load, vlm: Vlm, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = load("train")["train"]
    texts = Texts.of(vlm, split.all_texts())
    assert len(texts.tokens) == len(set(split.all_texts()))
    encoded = []
    encode = Texts.encode

    def counted(self: Texts, model: object, rows: torch.Tensor, *others: object) -> torch.Tensor:
        encoded.append(rows)
        return encode(self, model, rows, *others)  # type: ignore[arg-type]

    monkeypatch.setattr(Texts, "encode", counted)
    features = split.features(vlm.model, texts, batch=5)
    rows = torch.cat(encoded)
    assert len(rows) == len(rows.unique()) == len(texts.tokens)
    for part in TEXT_INPUTS:
        assert torch.allclose(getattr(features, part), encode_texts(vlm, split.texts[part], 64), atol=1e-5)


@pytest.mark.parametrize("batch", [None, 1, 3, 100])
def test_encoding_does_not_depend_on_the_batch_and_lets_gradients_flow(vlm: Vlm, batch: int | None) -> None:
    some = ["red", "a red car", "make the car red. a road. a boat. a tree. a pool. a court. it", "blue"]
    texts = Texts.of(vlm, some)
    rows = torch.tensor([2, 0, 3, 1])
    found = texts.encode(vlm.model, rows, batch)
    assert torch.allclose(
        found, vlm.model.encode_text(vlm.tokenize([some[r] for r in rows]), normalize=True), atol=1e-5
    )
    assert found.requires_grad


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"target_id": "nowhere", "target_ids": ["nowhere"]}, r"target_id.*not in its split, test.*nowhere"),
        (
            {"target_ids": ["test-boat-blue-a", "train-car-red-a"]},
            r"target_ids.*not in its split.*train-car-red-a",
        ),
        ({"reference_id": "val-car-red-a"}, r"reference_id.*not in its split.*val-car-red-a"),
        (
            {"target_id": "test-boat-red-a", "target_ids": ["test-boat-red-a"]},
            r"target_id.*target of query test-boat-a is its reference.*method\.reference to kept",
        ),
    ],
)
def test_a_query_that_cannot_be_answered_names_itself(
    project: Paths, load: Load, change: dict, message: str
) -> None:
    rows = read_table(project.queries("tiny"), QUERIES).to_pylist()
    assert rows[0]["query_id"] == "test-boat-a"
    _edit_queries(project, **change)
    with pytest.raises(UserError, match=message):
        load("test")


def test_an_empty_split_names_the_table_and_the_split(project: Paths, load: Load) -> None:
    rows = read_table(project.queries("tiny"), QUERIES).to_pylist()
    write_table([row for row in rows if row["split"] != "val"], project.queries("tiny"), QUERIES)
    with pytest.raises(UserError, match=r"pairs/tiny\.parquet.*'split'.*no query of this split.*'val'"):
        load("train", "val")
