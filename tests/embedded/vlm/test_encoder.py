"""The embedded encoder loads as any open_clip model does, and tells words and objects apart."""

from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from tokenizers import Tokenizer

from embedded.vlm.captions import facts_of
from embedded.vlm.encoder import encode_image, encode_text, tokenise
from embedded.vlm.evaluate import captions_for, image_features, pair_accuracy, recall, text_features
from embedded.vlm.general_world import general_scene, graph_of
from embedded.vlm.losses import bag_loss, contrastive_loss
from embedded.world.edits import sample_scene
from embedded.world.render import render
from embedded.world.scene import scene_graph
from pipeline.graph.scene_graph import group_objects

ROOT = Path(__file__).parents[3]

FOLDER = ROOT / "models" / "vlm"


@pytest.fixture(scope="module")
def loaded() -> tuple[Any, Any, Any]:
    torch.set_num_threads(1)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{FOLDER}")
    return model.eval(), preprocess, open_clip.get_tokenizer(f"local-dir:{FOLDER}")


def test_weights_are_small_and_float16() -> None:
    from safetensors import safe_open

    assert (FOLDER / "open_clip_model.safetensors").stat().st_size < 30_000_000
    with safe_open(FOLDER / "open_clip_model.safetensors", "pt") as file:
        kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
    assert kinds == {"F16", "I64"}  # counters of batch normalisation are integers


def test_colours_numbers_names_and_places_differ(loaded: tuple[Any, Any, Any]) -> None:
    """An encoder that has collapsed has cosines of 0.999 and more here."""
    model, _, tokenizer = loaded
    most = {
        ("two yellow buses", "two green buses"): 0.95,
        ("two white buses", "two white barns"): 0.95,
        ("two yellow buses in the top left", "two yellow buses in the bottom right"): 0.95,
        ("two yellow buses", "four yellow buses"): 0.995,
    }
    with torch.inference_mode():
        first, second = (
            F.normalize(model.encode_text(tokenizer([pair[side] for pair in most])), dim=-1)
            for side in (0, 1)
        )
    cosines = (first * second).sum(dim=1).tolist()
    assert all(cosine < limit for cosine, limit in zip(cosines, most.values(), strict=True)), cosines


def test_the_short_cuts_give_open_clips_features(loaded: tuple[Any, Any, Any]) -> None:
    model, _, tokenizer = loaded
    texts = ["two red cars", "three small blue trucks in the bottom left, one barn in the center"]
    fast = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    x = torch.rand(3, 3, 96, 96)
    with torch.inference_mode():
        torch.testing.assert_close(
            encode_text(model, tokenise(fast, texts)),
            model.encode_text(tokenizer(texts)),
            atol=1e-4,
            rtol=1e-4,
        )
        torch.testing.assert_close(encode_image(model, x), model.encode_image(x), atol=1e-4, rtol=1e-4)


def test_new_scenes_are_found_by_their_captions(loaded: tuple[Any, Any, Any]) -> None:
    """60 scenes drawn here: the encoder's own figures are in its card, this asks for less."""
    model, preprocess, _ = loaded
    rng = np.random.default_rng(5)
    scenes = [general_scene(rng, number) for number in range(60)]
    graphs = [graph_of(scene) for scene in scenes]
    images = torch.stack([preprocess(Image.fromarray(render(scene, 256))) for scene in scenes])
    fast = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    with torch.inference_mode():
        features = F.normalize(model.encode_image(images), dim=-1)
    scores = text_features(model, fast, captions_for(graphs)) @ features.T
    assert recall(scores)["R@1"] >= 70
    assert recall(scores)["R@10"] >= 95


def test_image_features_take_raw_pixels(loaded: tuple[Any, Any, Any]) -> None:
    model, preprocess, _ = loaded
    pixels = np.random.default_rng(0).integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    with torch.inference_mode():
        images = torch.stack([preprocess(Image.fromarray(picture)) for picture in pixels])
        expected = F.normalize(model.encode_image(images), dim=-1)
    torch.testing.assert_close(image_features(model, pixels), expected, atol=1e-4, rtol=1e-3)


def test_recall_and_pairs_by_hand() -> None:
    scores = torch.tensor([[0.9, 0.1, 0.2], [0.5, 0.4, 0.1], [0.3, 0.2, 0.1]])
    assert recall(scores, (1, 2)) == {"R@1": 33.3, "R@2": 66.7}
    family = torch.eye(5)
    family[0, 2] = 2.0  # the base's caption prefers the second edit's image
    kinds = ["", "move", "count", "add", "move"]
    assert pair_accuracy(family, kinds) == {"add": 100.0, "count": 50.0, "move": 100.0}


def test_contrastive_loss_leaves_other_right_answers_out() -> None:
    image, text = torch.eye(3), torch.eye(3)
    text[0] = F.normalize(torch.tensor([1.0, 1.0, 0.0]), dim=0)  # as near to image 1 as to its own
    scale = torch.tensor(10.0)
    none, one = torch.eye(3, dtype=torch.bool), torch.eye(3, dtype=torch.bool)
    one[0, 1] = True
    logits = 10 * (text @ image.T).numpy().astype(np.float64)
    weights = np.exp(logits)

    def by_loops(left_out: set[tuple[int, int]]) -> float:
        total = 0.0
        for i in range(3):
            row = sum(weights[i, j] for j in range(3) if (i, j) not in left_out)
            column = sum(weights[j, i] for j in range(3) if (j, i) not in left_out)
            total -= (np.log(weights[i, i] / row) + np.log(weights[i, i] / column)) / 6
        return total

    assert contrastive_loss(image, text, scale, none)[0].item() == pytest.approx(by_loops(set()), rel=1e-5)
    assert contrastive_loss(image, text, scale, one)[0].item() == pytest.approx(by_loops({(0, 1)}), rel=1e-4)


def test_bag_loss_sees_what_tells_features_apart() -> None:
    """A large part that all features share changes nothing."""
    generator = torch.Generator().manual_seed(0)
    feature = torch.randn(16, 8, generator=generator)
    weight, bias = torch.randn(5, 8, generator=generator), torch.zeros(5)
    bag = (torch.rand(16, 5, generator=generator) < 0.3).float()
    loss = bag_loss(feature, weight, bias, bag)
    torch.testing.assert_close(bag_loss(feature + 100, weight, bias, bag), loss, rtol=1e-3, atol=1e-3)
    assert bag_loss(feature, weight * 0, bias, bag).item() == pytest.approx(
        np.log(2) * bag.numel() / bag.sum().item(), rel=1e-5
    )


def test_facts_are_those_of_the_scene() -> None:
    scene = sample_scene(np.random.default_rng(3), "airplane")
    single = {fact[0] for fact in facts_of(group_objects(scene_graph(scene))) if len(fact) == 1}
    named = {word for word in single if not word.startswith("@")}
    assert named == {group.name for group in scene.groups}
