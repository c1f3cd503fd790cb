"""The closed word lists of the world: what its graphs can say."""

from dataclasses import dataclass

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (208, 28, 36),
    "orange": (245, 132, 22),
    "yellow": (246, 222, 48),
    "green": (22, 170, 66),
    "blue": (32, 84, 214),
    "purple": (138, 48, 176),
    "white": (246, 246, 244),
    "black": (26, 26, 30),
}
SIZES: dict[str, float] = {"small": 0.6, "medium": 1.0, "large": 1.55}
PREDICATES: dict[str, tuple[int, int]] = {  # from anchor to satellite, x to the right, y down
    "left of": (-1, 0),
    "right of": (1, 0),
    "above": (0, -1),
    "below": (0, 1),
}
EDIT_KINDS = ("add", "remove", "recolour", "resize", "move", "count", "relation")
MAX_COUNT = 5


@dataclass(frozen=True)
class ObjectName:
    """One kind of object, measured in pixels of a 256 px image at medium size.

    `natural` is its colour where the graph names none: muted, so that it is never one of `COLOURS`.
    `aligned` objects lie along the image's axes (within a few degrees), the others at any angle.
    """

    name: str
    plural: str
    length: float
    natural: tuple[int, int, int]
    height: float
    colourable: bool = True
    aligned: bool = False
    max_count: int = MAX_COUNT
    satellite: bool = False
    anchor: bool = True


_GREY = (158, 158, 160)
_OBJECTS = (
    ObjectName("airplane", "airplanes", 39.5, (186, 190, 196), 4),
    ObjectName("helicopter", "helicopters", 37, (128, 132, 112), 4),
    ObjectName("hangar", "hangars", 46, (150, 146, 140), 6, aligned=True, max_count=3),
    ObjectName("terminal", "terminals", 50, (172, 164, 152), 6, aligned=True, max_count=1),
    ObjectName("control tower", "control towers", 28, (164, 160, 156), 11, max_count=2, satellite=True),
    ObjectName("fuel truck", "fuel trucks", 34, _GREY, 3.5, aligned=True, satellite=True),
    ObjectName("car", "cars", 27, _GREY, 2.5, aligned=True, satellite=True),
    ObjectName("bus", "buses", 37, (160, 154, 146), 3.5, aligned=True, satellite=True),
    ObjectName("storage tank", "storage tanks", 29, (178, 176, 170), 6, satellite=True),
    ObjectName("tennis court", "tennis courts", 50, (176, 140, 112), 0, aligned=True, max_count=2),
    ObjectName("basketball court", "basketball courts", 46, (166, 150, 138), 0, aligned=True, max_count=2),
    ObjectName("swimming pool", "swimming pools", 38, (92, 196, 210), 0, colourable=False, max_count=3),
    ObjectName("house", "houses", 34, (142, 116, 100), 6, aligned=True, max_count=4),
    ObjectName("tree", "trees", 28, (62, 92, 44), 6, colourable=False, satellite=True),
    ObjectName("gazebo", "gazebos", 29, (156, 134, 112), 5, satellite=True, max_count=3),
    ObjectName("trampoline", "trampolines", 27, (150, 150, 156), 2, satellite=True, max_count=3),
    ObjectName("barn", "barns", 46, (146, 122, 104), 7, aligned=True, max_count=2),
    ObjectName("greenhouse", "greenhouses", 46, _GREY, 4, colourable=False, aligned=True, max_count=3),
    ObjectName("truck", "trucks", 38, _GREY, 4, aligned=True, satellite=True),
    ObjectName("tractor", "tractors", 28, (140, 136, 130), 3, aligned=True, satellite=True),
    ObjectName("pond", "ponds", 46, (70, 104, 118), 0, colourable=False, max_count=2),
    ObjectName("wind turbine", "wind turbines", 46, (206, 206, 204), 9, max_count=3),
    ObjectName("solar panel", "solar panels", 34, _GREY, 2, colourable=False, aligned=True, satellite=True),
)  # fmt: skip
OBJECTS: dict[str, ObjectName] = {entry.name: entry for entry in _OBJECTS}

DATASET_OBJECTS: dict[str, tuple[str, ...]] = {
    "airplane": (
        "airplane", "helicopter", "hangar", "terminal", "control tower", "fuel truck", "car", "bus",
        "storage tank",
    ),
    "tennis": (
        "tennis court", "basketball court", "swimming pool", "house", "tree", "gazebo", "trampoline", "car",
        "bus",
    ),
    "mixed": (
        "barn", "house", "greenhouse", "storage tank", "truck", "tractor", "pond", "wind turbine",
        "solar panel",
    ),
}  # fmt: skip
DATASETS = tuple(DATASET_OBJECTS)
SCENES: dict[str, tuple[str, ...]] = {
    "airplane": ("airport", "airfield"),
    "tennis": ("suburb", "sports park"),
    "mixed": ("farmland", "industrial area"),
}


def plural(name: str, quantity: int) -> str:
    """The noun after a number: "car" for 1, "cars" for more."""
    return name if quantity == 1 else OBJECTS[name].plural
