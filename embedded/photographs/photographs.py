"""Photographs with boxes, in any kind of annotations that the stage `corpus` reads."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from pipeline.base.decode import ALL, decode
from pipeline.base.errors import UserError
from pipeline.base.progress import Progress
from pipeline.boxes.box import Box
from pipeline.corpus.annotations import ImageFile
from pipeline.corpus.image_files import ImageFiles, images_top
from pipeline.corpus.registry import kind_of
from pipeline.corpus.tables import Notes, Rejects


@dataclass(frozen=True)
class Photograph:
    """An image file and the boxes in it, in pixels of the image as a person sees it."""

    path: Path
    place: str | None
    width: int
    height: int
    boxes: tuple[Box, ...]

    def picture(self) -> Image.Image:
        """The pixels as RGB."""
        return decode(self.path.read_bytes(), ALL).convert("RGB")


def read_photographs(folder: Path, places: Collection[str] = ()) -> list[Photograph]:
    """The photographs of a dataset's folder that its annotations speak of, by name.

    Args:
        places: only those of these places; all, if none is given.

    Raises:
        UserError: the folder holds no annotations, or no photograph of one of the places.
    """
    kind = kind_of(folder)
    if kind is None:
        raise UserError("the folder holds no annotations", "Put them beside the images", file=folder)
    files = ImageFiles(folder, images_top(folder))
    images = {}
    for name in Progress(files.names, title=f"{folder.name}: sizes", unit="image"):
        width, height = decode((folder / name).read_bytes(), ALL).size
        images[files.stem(name)] = ImageFile(files.stem(name), name, width, height)
    notes, rejects = Notes(), Rejects()
    found = [
        Photograph(folder / image.file, said.place, image.width, image.height, tuple(said.boxes))
        for said in kind.read(folder, images, notes, rejects)
        for image in [images[said.image_id]]
        if said.boxes is not None and (not places or said.place in places)
    ]
    if missing := set(places) - {photograph.place for photograph in found}:
        remedy = "Correct --places: they are the values of the annotations' place"
        raise UserError(f"no photograph is of {sorted(missing)[0]}", remedy, file=folder)
    for line in notes.lines():
        print(line)
    return sorted(found, key=lambda photograph: photograph.path.as_posix())
