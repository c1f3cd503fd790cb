"""Tiny benchmarks in the layouts of the published ones, written by the tests."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

COLOURS = {
    "red": (200, 30, 30),
    "blue": (30, 40, 200),
    "green": (30, 160, 50),
    "white": (245, 245, 245),
    "black": (10, 10, 10),
    "grey": (120, 120, 120),
}


def write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_image(path: Path, seed: int) -> None:
    """A picture of its own for every seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = list(COLOURS.values())
    image = Image.new("RGB", (32, 32), colours[seed % len(colours)])
    image.paste(colours[(seed // len(colours) + 3) % len(colours)], (0, 0, 8 + seed % 17, 16))
    image.save(path)


def cirr_row(pairid: int, reference: str, target: str | None, caption: str, members: list[str]) -> dict:
    labels = {} if target is None else {"target_hard": target, "target_soft": {target: 1.0}}
    ranks = {"reference_rank": 0} if target is None else {"reference_rank": 0, "target_rank": 1}
    img_set = {"id": 1, "members": members, **ranks}
    return {"pairid": pairid, "reference": reference, **labels, "caption": caption, "img_set": img_set}


def make_cirr(root: Path, *, raw: bool = False) -> Path:
    """Eight images and three queries in val, the same in train, two queries without labels in test1."""
    for split, folder in (("val", "dev"), ("train", "train/0"), ("test1", "test1")):
        stem = folder.split("/")[0]
        names = [f"{stem}-{number}-0-img0" for number in range(8)]
        write_json(
            root / f"cirr/image_splits/split.rc2.{split}.json",
            {name: f"./{folder}/{name}.png" for name in reversed(names)},
        )
        for seed, name in enumerate(names):
            write_image((root / "cirr/img_raw" if raw else root) / folder / f"{name}.png", seed)
        known = split != "test1"
        rows = [
            cirr_row(101, names[0], names[1] if known else None, "make it blue", names[:6]),
            cirr_row(102, names[1], names[4] if known else None, "a green car", names[:6]),
            cirr_row(103, names[6], names[7] if known else None, "make the roof white", names[2:]),
        ]
        write_json(root / f"cirr/captions/cap.rc2.{split}.json", rows if known else rows[:2])
    return root


def make_fashioniq(root: Path) -> Path:
    """Four images and two queries for each category and split; one image is a PNG."""
    seed = 0
    for split in ("val", "train", "test"):
        for category in ("dress", "shirt", "toptee"):
            names = [f"B{split[0].upper()}{category[0].upper()}{number}" for number in range(4)]
            write_json(root / f"image_splits/split.{category}.{split}.json", names)
            for name in names:
                seed += 1
                write_image(root / f"images/{name}.{'png' if name.endswith('0') else 'jpg'}", seed)
            rows: list[dict[str, Any]] = [
                {"target": names[1], "candidate": names[0], "captions": ["is blue.", " a red car"]},
                {"target": names[3], "candidate": names[2], "captions": ["", "it is green?"]},
            ]
            if split == "test":
                rows = [{key: row[key] for key in ("candidate", "captions")} for row in rows]
            write_json(root / f"captions/cap.{category}.{split}.json", rows)
    return root


def make_circo(root: Path) -> Path:
    """Seven images; two queries in val, one without labels in test."""
    coco = root / "COCO2017_unlabeled"
    images = [{"id": 100 + number, "file_name": f"{100 + number:012d}.jpg"} for number in range(7)]
    write_json(coco / "annotations/image_info_unlabeled2017.json", {"info": {}, "images": images})
    for seed, image in enumerate(images):
        write_image(coco / "unlabeled2017" / str(image["file_name"]), seed)
    val = [
        {
            "reference_img_id": 100,
            "target_img_id": 101,
            "relative_caption": "is a blue car",
            "shared_concept": "a car",
            "gt_img_ids": [101, 104, 105],
            "id": 0,
            "semantic_aspects": ["cardinality", "negation"],
        },
        {
            "reference_img_id": 102,
            "target_img_id": 106,
            "relative_caption": "has a white roof",
            "shared_concept": "a roof",
            "gt_img_ids": [106],
            "id": 1,
            "semantic_aspects": ["negation"],
        },
    ]
    test = [{"reference_img_id": 103, "relative_caption": "a red boat", "shared_concept": "a boat", "id": 0}]
    write_json(root / "annotations/val.json", val)
    write_json(root / "annotations/test.json", test)
    return root


# image, attribute, value: airplanes white, white and grey; both kinds of residential are one class of density
PATTERNCOM = {
    "color": ["airplane001.jpg,color,white", "airplane002.jpg,color,white", "airplane003.jpg,color,grey"],
    "context": ["bridge001.jpg,context,water", "overpass001.jpg,context,road"],
    "density": ["denseresidential001.jpg,density,dense", "sparseresidential001.jpg,density,sparse"],
    "existence": ["harbor001.jpg,existence,boats", "ferryterminal001.jpg,existence,no boats"],
    "quantity": ["airplane001.jpg,quantity,one", "airplane002.jpg,quantity,two"],
    "shape": ["closedroad001.jpg,shape,cross", "intersection001.jpg,shape,round"],
}


def make_patterncom(root: Path) -> Path:
    """The six attributes, over the images they name and one more."""
    for attribute, lines in PATTERNCOM.items():
        write_lines(root / f"PatternCom/{attribute}.csv", lines)
    named = {line.split(",")[0] for lines in PATTERNCOM.values() for line in lines}
    listing = []
    for seed, name in enumerate(sorted(named | {"river001.jpg"})):
        folder = name.removesuffix("001.jpg").removesuffix("002.jpg").removesuffix("003.jpg")
        write_image(root / f"images/{folder}/{name}", seed)
        listing.append(f"images/{folder}/{name} {seed} {folder}")
    write_lines(root / "patternnet.csv", listing)
    return root


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
