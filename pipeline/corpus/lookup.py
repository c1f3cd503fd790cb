"""Which image the files of a dataset mean, where their names for it differ from its file's."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from urllib.parse import unquote

from pipeline.corpus import checks
from pipeline.corpus.annotations import ImageFile
from pipeline.corpus.checks import Rejected
from pipeline.corpus.layout import split_of

_ENDING = 5  # characters of an image file's ending at most


class ImageLookup:
    """Images by the names that annotations have for them; each image is found once.

    The bare name decides, in any case, else without its ending. Among images of one bare name the one wins
    whose folders are most alike. Names are equal if they are the same text in Unicode, composed or
    decomposed, and if one of them is the other's address on the web ("a%20b.png?v=1"). An image of another
    split is never meant, and none in the place of a file that was rejected.

    Args:
        images: those that can be used, by their ids.
        rejected: other image files.
    """

    def __init__(self, images: Mapping[str, ImageFile], rejected: Iterable[str] = ()) -> None:
        self._by_name: dict[str, list[ImageFile]] = defaultdict(list)
        self._by_stem: dict[str, list[ImageFile]] = defaultdict(list)
        self._claims: dict[str, str] = {}
        for image in images.values():
            name = _bare(_normal(image.file))
            self._by_name[name.casefold()].append(image)
            self._by_stem[_stem(name).casefold()].append(image)
        self._rejected = {_bare(_normal(file)).casefold(): file for file in rejected}

    def find(self, name: str, near: str = "", split: str | None = None) -> ImageFile:
        """The image that a name means.

        Args:
            name: as the annotations write it: with folders of another machine, without ending.
            near: the folder of the file that holds the name, from the dataset's folder.
            split: of the annotations, where it is known.

        Raises:
            Rejected: no image or several are meant.
        """
        path = _normal(name.replace("\\", "/"))
        bare = _bare(path)
        on_disk = _normal(unquote(bare.partition("?")[0]))
        alike = self._alike(bare) or self._alike(on_disk)
        if not {bare.casefold(), on_disk.casefold()} & self._by_name.keys():
            self._check_rejected(bare, name)
            self._check_rejected(on_disk, name)
        split = split_of(path) or split
        meant = [image for image in alike if split is None or split_of(image.file) in (None, split)]
        if not meant:
            reason = "there is no usable image of this name"
            if alike:
                reason += f" in its split; there is {alike[0].file}"
            raise Rejected(reason, "Put the image there, or correct the name", "file_name", name)
        folders = PurePosixPath(path).parts[:-1]
        scores = [_likeness(image, bare, folders, PurePosixPath(near).parts) for image in meant]
        best = [image for image, score in zip(meant, scores, strict=True) if score == max(scores)]
        if len(best) > 1:
            reason = f"the name can mean {best[0].file} or {best[1].file}"
            raise Rejected(reason, "Write it with its folder and ending", "file_name", name)
        return best[0]

    def _check_rejected(self, bare: str, name: str) -> None:
        if (file := self._rejected.get(bare.casefold())) is not None:
            reason = f"the image was rejected: {file}"
            raise Rejected(reason, "Mend or rename the image", "file_name", name)

    def _alike(self, bare: str) -> list[ImageFile]:
        return (
            self._by_name.get(bare.casefold(), [])
            or self._by_stem.get(bare.casefold(), [])
            or self._by_stem.get(_stem(bare).casefold(), [])
        )

    def claim(self, image: ImageFile, by: str) -> ImageFile:
        """Say that an image was found.

        Raises:
            Rejected: it was found before.
        """
        if (first := self._claims.setdefault(image.image_id, by)) is not by:
            remedy = "Keep one of them"
            raise Rejected(
                f"the image is described twice, by {checks.printable(first)} too",
                remedy,
                "file_name",
                image.file,
            )
        return image

    def is_claimed(self, image_id: str) -> bool:
        return image_id in self._claims


def _likeness(
    image: ImageFile, bare: str, folders: tuple[str, ...], near: tuple[str, ...]
) -> tuple[int, bool, bool, int]:
    own = _normal(image.file)
    parts = PurePosixPath(own).parts[:-1]
    from_near = next((n for n, (a, b) in enumerate(zip(parts, near, strict=False)) if a != b), None)
    shared = min(len(parts), len(near)) if from_near is None else from_near
    alike = 0
    while alike < min(len(parts), len(folders)) and parts[-1 - alike] == folders[-1 - alike]:
        alike += 1
    return alike, _bare(own) == bare, _stem(_bare(own)) == _stem(bare), shared


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _bare(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _stem(name: str) -> str:
    stem, _, ending = name.rpartition(".")
    return stem if stem and ending[:1].isalpha() and len(ending) <= _ENDING else name
