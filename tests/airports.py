"""A small archive of real photographs, taken from the airports beside this repository, where they are."""

import json
import shutil
from collections import Counter, defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
AIRPORTS = ROOT.parent / "shared/airports"
SITES, EACH = 10, 6
HOSTILE_NAMES = {
    "site17-004.jpg": "<img src=x onerror=alert(1)>.jpg",
    "site30-003.jpg": "a'b\" onerror=alert(2) &amp;.jpg",
}  # of photographs that the hash of their places puts into the test split
HOSTILE_CLASS, HOSTILE_CLASS_IN = "<b>cart</b>", "site17-005.jpg"  # of all boxes of this one


def write_archive(folder: Path) -> None:
    """60 photographs of 10 sites, each with 2 to 8 airplanes, and their annotations in COCO's form.

    Two files have names that a page could take for markup, and so has the class of all boxes of one.
    """
    source = json.loads((AIRPORTS / "annotations.json").read_text())
    airplanes = Counter(row["image_id"] for row in source["annotations"])
    sites = defaultdict(list)
    for image in source["images"]:
        if 2 <= airplanes[image["id"]] <= 8:
            sites[image["site"]].append(image)
    largest = sorted(sites, key=lambda site: (-len(sites[site]), site))[:SITES]
    images = [image for site in sorted(largest) for image in sites[site][:EACH]]
    (folder / "images").mkdir(parents=True)
    names = {image["id"]: HOSTILE_NAMES.get(image["file_name"], image["file_name"]) for image in images}
    for image in images:
        shutil.copyfile(AIRPORTS / "images" / image["file_name"], folder / "images" / names[image["id"]])
    boxes = [row for row in source["annotations"] if row["image_id"] in names]
    marked = next(image["id"] for image in images if image["file_name"] == HOSTILE_CLASS_IN)
    boxes = [{**row, "category_id": 2} if row["image_id"] == marked else row for row in boxes]
    written = {
        "images": [{**image, "file_name": names[image["id"]]} for image in images],
        "annotations": boxes,
        "categories": [*source["categories"], {"id": 2, "name": HOSTILE_CLASS}],
    }
    (folder / "annotations.json").write_text(json.dumps(written))
