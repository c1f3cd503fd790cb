"""Rows made of boxes: their shape and order, and that every sentence made of them is found right."""

import itertools
import math
import random

import pyarrow as pa
import pytest
from PIL import Image

from pipeline.base.schemas import SCENE_GRAPHS
from pipeline.boxes.box import Box
from pipeline.boxes.graph import GraphMaker, median_sizes
from pipeline.boxes.relations import MOST
from pipeline.faithfulness.check import Checker, vocabulary_of
from pipeline.graph.scene_graph import graph_from_row, group_objects
from pipeline.graph.verbalise import verbalise

NAMES = (
    "plane", "Airplanes", "small-vehicle", "large-vehicle", "Ground_Track_Field", "StorageTank", "harbor",
    "ship", "road", "RUNWAY", "Court", "swimming pool", "bus", "person", "7", "GTF", "helipad", "dock",
)  # fmt: skip


def _random_box(rng: random.Random, name: str, width: int, height: int) -> Box:
    w, h = rng.choice([(12, 20), (30, 14), (60, 60), (150, 40), (rng.uniform(4, 300), rng.uniform(4, 300))])
    x, y = rng.uniform(-w / 2, width - w / 2), rng.uniform(-h / 2, height - h / 2)
    if rng.random() < 0.3:
        turn = rng.choice([0.0, 45.0, 90.0, rng.uniform(0, 180)]) * math.pi / 180
        across, down = (math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))
        corners = tuple(
            (x + (u * w * across[0] + v * h * down[0]) / 2, y + (u * w * across[1] + v * h * down[1]) / 2)
            for u, v in ((-1, -1), (1, -1), (1, 1), (-1, 1))
        )
        return Box(name, corners, oriented=True)
    return Box.upright(name, x, y, w, h, rng.choice([(), (), ("damaged",), ("white",)]))


def _random_boxes(rng: random.Random, width: int, height: int) -> list[Box]:
    names = rng.sample(NAMES, rng.randint(1, 4))
    boxes = [
        _random_box(rng, rng.choice(names), width, height)
        for _ in range(rng.choice([0, 1, 2, 3, 5, 8, 12, 30]))
    ]
    if rng.random() < 0.4:  # a row
        x, y, step = rng.uniform(0, 200), rng.uniform(0, height - 40), rng.uniform(25, 60)
        boxes += [Box.upright(names[0], x + i * step, y, 22, 30) for i in range(rng.randint(3, 7))]
    return boxes


def test_a_row_has_the_shape_of_the_table() -> None:
    boxes = [Box.upright("Car", 0, 0, 10, 10), Box.upright("Bus", 90, 90, 10, 10)]
    row = GraphMaker({}).make("i", boxes, 100, 100, scene="car park")
    table = pa.Table.from_pylist([row], schema=SCENE_GRAPHS)
    assert table.to_pylist() == [{"dataset": None, **row}]  # the writer names it
    assert row == {
        "image_id": "i",
        "width": 100,
        "height": 100,
        "scene": "car park",
        "objects": [
            {"object_id": 0, "name": "bus", "attributes": [], "bbox": {"x": 90, "y": 90, "w": 10, "h": 10}},
            {"object_id": 1, "name": "car", "attributes": [], "bbox": {"x": 0, "y": 0, "w": 10, "h": 10}},
        ],
        "relationships": [],
    }


def test_an_image_without_boxes_has_no_objects() -> None:
    row = GraphMaker({}).make("i", [], 100, 100)
    assert (row["objects"], row["relationships"], row["scene"]) == ([], [], None)


def test_the_order_of_the_boxes_does_not_matter() -> None:
    rng = random.Random(5)
    for _ in range(50):
        boxes = _random_boxes(rng, 400, 300)
        row = GraphMaker({"plane": 0.01}).make("i", boxes, 400, 300)
        rng.shuffle(boxes)
        assert GraphMaker({"plane": 0.01}).make("i", boxes, 400, 300) == row
        assert [entry["object_id"] for entry in row["objects"]] == list(range(len(row["objects"])))


def test_boxes_over_the_edge_are_clipped_or_left_out_and_counted() -> None:
    maker = GraphMaker({})
    boxes = [
        Box.upright("car", -5, 10, 20, 10),
        Box.upright("car", 50, 50, 10, 10),
        Box.upright("car", -18, 40, 20, 10),
        Box.upright("car", 300, 40, 20, 10),
        Box.upright("car", float("nan"), 40, 20, 10),
        Box.upright(" -- ", 5, 5, 20, 10),
        Box.upright("Ignored_Regions", 5, 5, 20, 10),
    ]
    row = maker.make("i", boxes, 100, 100)
    assert [entry["bbox"] for entry in row["objects"]] == [
        {"x": 0, "y": 10, "w": 15, "h": 10},
        {"x": 50, "y": 50, "w": 10, "h": 10},
    ]
    assert maker.counts == {"boxes_clipped": 1, "boxes_left_out": 5}
    assert maker.first == {
        "boxes_clipped": "i, car with the corners ((-5, 10), (15, 10), (15, 20), (-5, 20))",
        "boxes_left_out": "i, car with the corners ((-18, 40), (2, 40), (2, 50), (-18, 50))",
    }


def test_every_sentence_made_of_boxes_is_all_right() -> None:
    rng = random.Random(0)
    images = [(_random_boxes(rng, 640, 480), 640, 480) for _ in range(1500)]
    maker = GraphMaker(median_sizes(images))
    graphs = [group_objects(graph_from_row(maker.make("i", *image))) for image in images]
    checker = Checker(vocabulary_of(graphs))
    said = {attribute for graph in graphs for group in graph.groups for attribute in group.attributes}
    assert said >= {"small", "large", "horizontal", "vertical", "diagonal", "lined-up", "damaged", "white"}
    assert {p for graph in graphs for _, p, _ in graph.relations} == {
        "on", "inside", "left of", "above", "near",
    }  # fmt: skip
    wrong = [
        (verbalise(graph), check)
        for graph in graphs
        for check in [checker.check(verbalise(graph), graph)]
        if not check.all_right or check.unchecked
    ]
    assert wrong == []


def test_relations_are_few_and_never_said_twice() -> None:
    rng = random.Random(2)
    for _ in range(500):
        row = GraphMaker({}).make("i", _random_boxes(rng, 300, 300), 300, 300)
        relations = group_objects(graph_from_row(row)).relations
        assert len(relations) <= MOST
        pairs = [frozenset((subject, object_)) for subject, _, object_ in relations]
        assert all(len(pair) == 2 for pair in pairs)
        assert all(a != b for a, b in itertools.combinations(pairs, 2))


def test_colours_need_the_image() -> None:
    with pytest.raises(ValueError, match="need the image"):
        GraphMaker({}, colours=True).make("i", [], 100, 100)


def test_no_outline_is_an_error() -> None:
    rng = random.Random(3)
    odd = (0, -0.0, 5, 99.99, 100.0001, -1e-9, 1e-300, 1e155, -1e308, math.inf, math.nan, 33.333)
    image = Image.new("RGB", (100, 100), "red")

    def number() -> float:
        return rng.choice(odd) if rng.random() < 0.6 else rng.uniform(-20, 120)

    for turn in range(500):
        boxes = [
            Box(
                rng.choice(["a", "car", "--", "B C", "1"]),
                tuple((number(), number()) for _ in range(rng.choice([0, 1, 2, 3, 4, 4, 4, 7]))),
                oriented=rng.random() < 0.5,
                attributes=rng.choice([(), ("x",), ("2", "many", "")]),
            )
            for _ in range(rng.randint(1, 4))
        ]
        maker = GraphMaker(median_sizes([(boxes, 100, 100)] * 20), colours=turn % 4 == 0)
        row = maker.make("i", boxes, 100, 100, image=image)
        assert len(row["objects"]) + maker.counts["boxes_left_out"] == len(boxes)
        for entry in row["objects"]:
            if entry["bbox"] is not None:
                x, y, w, h = (entry["bbox"][key] for key in "xywh")
                assert 0 <= x <= x + w <= 100 + 1e-9 and 0 <= y <= y + h <= 100 + 1e-9
