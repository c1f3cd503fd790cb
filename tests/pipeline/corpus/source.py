"""A small sound dataset folder, for tests to break."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.corpus.folder import read_folder
from pipeline.corpus.tables import Corpus

COLOURS = {"red": (200, 30, 30), "green": (40, 160, 60), "blue": (40, 60, 200)}


class Source:
    """`images/<split>-<colour>.png` of 40 x 30 pixels, a graph each, and three queries a split.

    With `shared` all splits hold the same three pictures.
    """

    def __init__(self, folder: Path, shared: bool = False) -> None:
        self.folder = folder
        (folder / "images").mkdir(parents=True)
        self.graphs: list[dict[str, Any]] = []
        self.queries: list[dict[str, Any]] = []
        for split in ("train", "val", "test"):
            for colour, rgb in COLOURS.items():
                image_id = f"{split}-{colour}"
                rgb_of_split = rgb if shared else (rgb[0], rgb[1], rgb[2] + len(split))
                Image.new("RGB", (40, 30), rgb_of_split).save(folder / f"images/{image_id}.png")
                self.graphs.append(
                    {
                        "image_id": image_id,
                        "file_name": f"images/{image_id}.png",
                        "scene": "park",
                        "objects": [
                            {"object_id": 0, "name": "roof", "attributes": [colour], "bbox": [2, 2, 9, 9]},
                            {"object_id": 1, "name": "tree", "attributes": []},
                        ],
                        "relationships": [{"subject_id": 0, "predicate": "next to", "object_id": 1}],
                    }
                )
            for wanted, further in (("green", []), ("blue", []), ("green", ["blue"])):
                self.queries.append(
                    {
                        "pair_id": len(self.queries),
                        "split": split,
                        "reference": f"{split}-red",
                        "modification": f"paint the roof {wanted}",
                        "target": f"{split}-{wanted}",
                        "targets": [f"{split}-{name}" for name in (wanted, *further)],
                    }
                )
        self.write()

    def write(self) -> "Source":
        """Put both files into the folder."""
        (self.folder / "scene_graphs.json").write_text(json.dumps(self.graphs))
        (self.folder / "triplets.json").write_text(json.dumps(self.queries))
        return self

    def read(self) -> Corpus:
        """Put both files into the folder and read it."""
        self.write()
        return read_folder(self.folder, "somewhere/parks", workers=1)

    def image(self, image_id: str) -> Path:
        return self.folder / f"images/{image_id}.png"
