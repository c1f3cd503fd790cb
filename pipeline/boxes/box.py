"""A labelled outline in an image."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """One annotated object.

    Attributes:
        name: the class, as its file writes it.
        outline: corners (x, y) in pixels of the upright image, from its top left: four of an upright or an
            oriented box, more of a polygon. They may lie outside the image.
        oriented: whether the outline's direction means the object's own.
        attributes: what the file says of the object besides.
    """

    name: str
    outline: tuple[tuple[float, float], ...]
    oriented: bool = False
    attributes: tuple[str, ...] = ()

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """The upright box (x, y, w, h) that holds the outline."""
        xs, ys = zip(*self.outline, strict=True)
        return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)

    @classmethod
    def upright(
        cls, name: str, x: float, y: float, w: float, h: float, attributes: tuple[str, ...] = ()
    ) -> "Box":
        """A box by its top left corner and its size."""
        return cls(name, ((x, y), (x + w, y), (x + w, y + h), (x, y + h)), attributes=attributes)
