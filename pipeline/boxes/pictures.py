"""`python -m pipeline.boxes.pictures docs/boxes-to-graphs`: a drawing of each rule, with what it makes."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image, ImageDraw

from pipeline.boxes.box import Box
from pipeline.boxes.graph import GraphMaker
from pipeline.boxes.names import singular
from pipeline.graph.scene_graph import graph_from_row, group_objects
from pipeline.graph.verbalise import verbalise

WIDTH, HEIGHT = 240, 160
GROUND = "#6f7a5c"
FILLS = {
    "plane": "#dfe3e6", "ship": "#c9b79a", "car": "#4f81b5", "truck": "#a65e44", "hangar": "#8a8f94",
    "road": "#55595c", "tennis court": "#3f7f8c", "harbor": "#7fb2cf", "storage tank": "#b7bfc4",
}  # fmt: skip


@dataclass(frozen=True)
class Example:
    """Boxes that show one rule.

    Attributes:
        sizes: the usual shares of the image, as `median_sizes` gives them.
        fills: the colour of each box, where the rule is about colours.
    """

    name: str
    boxes: Sequence[Box]
    sizes: dict[str, float] = field(default_factory=dict)
    fills: Sequence[str] = ()

    def sentence(self) -> str:
        """What `verbalise` says of the graph."""
        maker = GraphMaker(self.sizes, colours=bool(self.fills))
        row = maker.make(self.name, self.boxes, WIDTH, HEIGHT, image=self._image() if self.fills else None)
        return verbalise(group_objects(graph_from_row(row)))

    def svg(self) -> str:
        """The boxes, over the 3 x 3 grid."""
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}"'
            f' viewBox="0 0 {WIDTH} {HEIGHT}">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{GROUND}"/>',
        ]
        for third in (1, 2):
            x, y = WIDTH * third // 3, HEIGHT * third // 3
            lines.append(f'<path d="M{x} 0V{HEIGHT}M0 {y}H{WIDTH}" stroke="#fff" stroke-opacity=".35"/>')
        for box, fill in zip(self.boxes, self._fills(), strict=True):
            corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in box.outline)
            lines.append(f'<polygon points="{corners}" fill="{fill}" stroke="#111"/>')
        return "\n".join([*lines, "</svg>", ""])

    def _fills(self) -> Sequence[str]:
        return self.fills or [FILLS[singular(box.name)] for box in self.boxes]

    def _image(self) -> Image.Image:
        image = Image.new("RGB", (WIDTH, HEIGHT), GROUND)
        draw = ImageDraw.Draw(image)
        for box, fill in zip(self.boxes, self._fills(), strict=True):
            draw.polygon(box.outline, fill=fill)
        return image


def _many(name: str, *places: tuple[float, float], size: tuple[float, float]) -> list[Box]:
    return [Box.upright(name, x, y, *size) for x, y in places]


def _ship(x: float, y: float, across: tuple[float, float], down: tuple[float, float]) -> Box:
    (a, b), (c, d) = across, down
    return Box("ship", ((x, y), (x + a, y + b), (x + a + c, y + b + d), (x + c, y + d)), oriented=True)


EXAMPLES = (
    Example("names", [Box.upright("Storage_Tanks", 105, 65, 30, 30)]),
    Example(
        "places",
        _many("plane", (12, 14), (44, 20), (200, 70), size=(20, 18))
        + _many("Hangars", (95, 108), size=(50, 40)),
    ),
    Example(
        "many",
        _many("car", *((10 + 37 * i, 12 + 33 * j) for i in range(6) for j in range(4)), size=(16, 9)),
    ),
    Example(
        "sizes",
        _many("plane", (30, 20), size=(16, 14))
        + _many("plane", (100, 65), size=(28, 26))
        + _many("plane", (175, 95), size=(52, 50)),
        sizes={"plane": 0.02},
    ),
    Example(
        "orientation",
        [
            _ship(15, 20, (56, 0), (0, 14)),
            _ship(190, 10, (14, 0), (0, 46)),
            _ship(100, 90, (40, 40), (-12, 12)),
        ],
    ),
    Example("rows", _many("tennis court", *((22 + 36 * i, 60) for i in range(6)), size=(26, 40))),
    Example(
        "on",
        _many("road", (0, 96), size=(240, 40)) + _many("car", (100, 104), (120, 118), size=(15, 8)),
    ),
    Example("inside", _many("harbor", (85, 58), size=(70, 45)) + _many("ship", (100, 70), size=(30, 10))),
    Example("left-of", _many("truck", (84, 70), size=(22, 12)) + _many("hangar", (116, 58), size=(38, 38))),
    Example("above", _many("truck", (105, 56), size=(22, 12)) + _many("hangar", (98, 74), size=(40, 30))),
    Example("near", _many("plane", (54, 62), size=(24, 24)) + _many("hangar", (90, 50), size=(60, 50))),
    Example(
        "colours",
        _many("car", (20, 20), (100, 70), (190, 120), size=(36, 18)),
        fills=["#b92d28", "#f0f0f0", "#2d5aa5"],
    ),
    Example(
        "frame",
        _many("plane", (-12, 60), size=(34, 32)) + _many("plane", (228, 10), size=(60, 40)),
    ),
)


def main(folder: Path) -> None:
    """Write one SVG file for each example, and print their sentences."""
    folder.mkdir(parents=True, exist_ok=True)
    for example in EXAMPLES:
        (folder / f"{example.name}.svg").write_text(example.svg())
        print(f"{example.name}: {example.sentence()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
