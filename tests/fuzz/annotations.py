"""Targets: files of annotations of every kind, up to the scene graphs that boxes become."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.base.schemas import REJECTS, SCENE_GRAPHS
from pipeline.boxes.graph import GraphMaker, median_sizes
from pipeline.corpus.annotations import Georeference, ImageFile
from pipeline.corpus.registry import KINDS
from pipeline.corpus.tables import Notes, Rejects
from tests.fuzz.target import Target, of_files

_IMAGES = {
    name: ImageFile(
        name, f"images/{name}.tif", 100, 80, Georeference((1, 0, x, 0, -1, 5_538_000), "EPSG:32633")
    )
    for name, x in (("a", 500_000), ("b", 500_100))
}


def coco(folder: Path) -> Target:
    image = {
        "id": 1,
        "file_name": "a.tif",
        "width": 100,
        "height": 80,
        "site": "north",
        "license": 1,
        "gsd": 0.3,
    }
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [10, 20, 30, 25], "iscrowd": 0}
    polygon = [[10, 20, 40, 20, 40, 45, 25, 30]]
    contents = {
        "images": [image, {"id": 2, "file_name": "b.tif"}],
        "licenses": [{"id": 1, "name": "CC BY"}],
        "annotations": [
            box,
            box | {"id": 2, "segmentation": polygon, "attributes": {"colour": "red", "parked": True}},
            box | {"id": 3, "segmentation": {"counts": "ab", "size": [80, 100]}},
            box | {"id": 4, "image_id": 2, "bbox": [], "segmentation": polygon},
        ],
        "categories": [{"id": 1, "name": "car"}],
    }
    text = json.dumps(contents)
    return _target(folder, "COCO", {"annotations.json": text}, (0, text.encode("utf-16")))


def voc(folder: Path) -> Target:
    box = "<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>40</xmax><ymax>45</ymax></bndbox>"
    turned = "<robndbox><cx>50</cx><cy>40</cy><w>40</w><h>10</h><angle>1.5</angle></robndbox>"
    polygon = "<polygon><pt><x>1</x><y>2</y></pt><pt><x>9</x><y>2</y></pt><pt><x>9</x><y>9</y></pt></polygon>"
    objects = "".join(
        f"<object><name>car</name><difficult>{n}</difficult>{outline}</object>"
        for n, outline in enumerate((box, turned, polygon))
    )
    size = "<size><width>100</width><height>80</height></size>"
    text = f"<annotation><filename>a.tif</filename><gsd>0.5</gsd>{size}{objects}</annotation>"
    entities = '<!DOCTYPE a [<!ENTITY b "bb"><!ENTITY c "&b;&b;">]><annotation>&c;</annotation>'
    files = {"annotations/a.xml": text, "ImageSets/Main/train.txt": "a\n"}
    return _target(folder, "VOC", files, (0, entities.encode()), (0, text.encode("utf-16")))


def dota(folder: Path) -> Target:
    text = (
        "imagesource:GoogleEarth\ngsd:0.14\n10 20 40 20 40 45 10 45 small-vehicle 1\n1 1 9 1 9 9 1 9 ship 0\n"
    )
    return _target(folder, "DOTA", {"labelTxt/a.txt": text}, (0, text.encode("utf-16")))


def yolo(folder: Path) -> Target:
    text = "0 0.25 0.5 0.2 0.5\n1 0.1 0.25 0.3 0.25 0.3 0.5 0.1 0.5\n0 0.1 0.2 0.3 0.2 0.3 0.5\n"
    files = {"labels/train/a.txt": text, "data.yaml": "names: [car, bus]\n", "train.txt": "images/a.tif\n"}
    return _target(folder, "YOLO", files, (1, b"names: {0: car, 1: bus}\nkpt_shape: [2, 3]\n"))


def geojson(folder: Path) -> Target:
    def feature(kind: str, coordinates: Any) -> dict[str, Any]:
        geometry = {"type": kind, "coordinates": coordinates}
        return {"type": "Feature", "geometry": geometry, "properties": {"class": "car"}}

    east, north = 500_010, 5_537_980
    ring = [[east, north], [east + 30, north], [east + 30, north - 20], [east, north]]
    features = [
        feature("Polygon", [ring]),
        feature("MultiPolygon", [[ring], [ring]]),
        feature("Point", [east, north]),
        feature("Point", [15.0005, 49.995]),
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32633"}}
    contents = {"type": "FeatureCollection", "crs": crs, "features": features}
    in_pixels = {"type": "FeatureCollection", "coordinates": "pixels", "features": [feature("Point", [5, 5])]}
    return _target(
        folder,
        "GeoJSON",
        {"map.geojson": json.dumps(contents), "b.geojson": json.dumps(in_pixels)},
        (0, json.dumps({**contents, "crs": None}).encode()),
    )


def _target(folder: Path, kind: str, files: dict[str, str], *further: tuple[int, bytes]) -> Target:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return of_files([folder / name for name in files], _reader(folder, kind), *further)


def _reader(folder: Path, kind: str) -> Callable[[Path], None]:
    def read(_: Path) -> None:
        notes, rejects = Notes(), Rejects()
        found = list(KINDS[kind].read(folder, _IMAGES, notes, rejects))
        assert len({said.image_id for said in found}) == len(found)
        rows = [{"dataset": "parks", **row} for row in rejects.rows]
        pa.Table.from_pylist(rows, schema=REJECTS)
        assert all(row["reason"] and row["remedy"] and row["file"] for row in rows)
        "\n".join(notes.lines()).encode()
        json.dumps([said.extras for said in found], allow_nan=False)
        boxes = [(said.boxes, 100, 80) for said in found if said.boxes is not None]
        maker = GraphMaker(median_sizes(boxes))
        graphs = [maker.make(said.image_id, said.boxes, 100, 80, said.scene) for said in found if said.boxes]
        pa.Table.from_pylist(graphs, schema=SCENE_GRAPHS)

    return read
