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
from pipeline.corpus.raster import Look
from pipeline.corpus.registry import kind_of
from pipeline.corpus.rendering import look_at_all
from pipeline.corpus.tables import Notes, Rejects


@dataclass(frozen=True)
class Photograph:
    """An image file, its sha256, and the boxes in it, in pixels of the image as a person sees it."""

    path: Path
    sha256: str
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
        UserError: no photograph has boxes, or none is of one of the places; or an image cannot be used.
    """
    kind = kind_of(folder)
    if kind is None:
        raise UserError("the folder holds no image", "Correct --photographs", file=folder)
    files, images, hashes = ImageFiles(folder, images_top(folder)), dict[str, ImageFile](), dict[str, str]()
    looked = look_at_all([folder / name for name in files.names], 1, Look())
    sources = Progress(looked, total=len(files.names), title=f"{folder.name}: decode", unit="image")
    for name, source in zip(files.names, sources, strict=True):
        image_id, found = files.stem(name), source.probe
        if found.error is not None or source.why is not None:
            reason = found.error or "the image must be rendered, as the stage corpus does it"
            raise UserError(reason, found.remedy or "Train from rendered files", file=folder / name)
        if image_id in images:
            raise UserError("another image has this id", "Rename the file", file=folder / name)
        images[image_id] = ImageFile(image_id, name, found.width, found.height, source.georeference)
        hashes[image_id] = found.sha256
    notes, rejects = Notes(), Rejects()
    photographs = [
        Photograph(
            folder / image.file,
            hashes[said.image_id],
            said.place,
            image.width,
            image.height,
            tuple(said.boxes),
        )
        for said in kind.read(folder, images, notes, rejects)
        for image in [images[said.image_id]]
        if said.boxes is not None and (not places or said.place in places)
    ]
    for line in (*notes.lines(), *map(str, rejects.problems("scene_graphs"))):
        print(line)
    if missing := set(places) - {photograph.place for photograph in photographs}:
        remedy = "Correct --places: they are the values of the annotations' place"
        raise UserError(f"no photograph is of {sorted(missing)[0]}", remedy, file=folder)
    if not any(photograph.boxes for photograph in photographs):
        raise UserError("no photograph has boxes", "Put annotations beside the images", file=folder)
    return sorted(photographs, key=lambda photograph: photograph.path.as_posix())
