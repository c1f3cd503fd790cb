"""What a scene of the world is: groups in the cells of a 3 x 3 grid, relations within a cell, and a site.

The site decides all that the graph never says: ground, decoration, light, where in its cell a group stands.
The same groups at another site are a twin; one group changed at the same site is an edit.
"""

from dataclasses import dataclass, replace

from pipeline.graph.scene_graph import POSITIONS

CANVAS = 256.0  # side of the picture in the units of all coordinates, which are pixels at the usual size
CELL = CANVAS / 3
POSITION_NAMES = tuple(name for row in POSITIONS for name in row)


@dataclass(frozen=True)
class SceneGroup:
    """Like objects in one cell. `uid` stays through every edit, so that the group keeps its pose.

    `lean` is the side of an anchor where its satellite stands, or stood before it was removed.
    """

    uid: int
    name: str
    size: str | None
    colour: str | None
    count: int
    position: str
    lean: str | None = None

    @property
    def attributes(self) -> tuple[str, ...]:
        return tuple(word for word in (self.size, self.colour) if word)


@dataclass(frozen=True)
class Relation:
    """`satellite` and `anchor` are uids of groups in one cell."""

    satellite: int
    predicate: str
    anchor: int


@dataclass(frozen=True)
class Site:
    """Ground, light and the seed of decoration and poses. `light` is where shadows fall, in radians."""

    ground: str
    seed: int
    light: float
    brightness: float = 1.0
    warmth: float = 0.0


@dataclass(frozen=True)
class Scene:
    """An exact description: what the graph says (`scene`, `groups`, `relations`), and where."""

    dataset: str
    scene: str
    groups: tuple[SceneGroup, ...]
    relations: tuple[Relation, ...]
    site: Site

    def group(self, uid: int) -> SceneGroup:
        return next(group for group in self.groups if group.uid == uid)

    def at(self, site: Site) -> "Scene":
        """The twin of this scene at another site."""
        return replace(self, site=site)

    def related(self) -> frozenset[int]:
        """uids of the groups that a relation names."""
        return frozenset(uid for relation in self.relations for uid in (relation.satellite, relation.anchor))

    def free_positions(self) -> tuple[str, ...]:
        taken = {group.position for group in self.groups}
        return tuple(name for name in POSITION_NAMES if name not in taken)
