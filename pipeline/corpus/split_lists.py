"""Lists of images that tell their split, as VOC's `ImageSets/Main/train.txt` and Darknet's `train.txt`."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

from pipeline.base.errors import UserError
from pipeline.corpus.checks import Rejected
from pipeline.corpus.layout import read_lines
from pipeline.corpus.reading import Reading, Row

VOC_LISTS = re.compile(r"(^|/)ImageSets/(.*/)?(train|val|test|trainval)\.txt$", re.IGNORECASE)
DARKNET_LISTS = re.compile(r"^([^/]+/)?(train|val|valid|test)\.txt$", re.IGNORECASE)
_SPLITS = {"train": "train", "val": "val", "valid": "val", "test": "test", "trainval": "train"}


def read_lists(reading: Reading, files: Sequence[str]) -> dict[str, str]:
    """The split of each listed image by its id; where lists disagree, the first in alphabetical order holds.

    `trainval` is read last: it says train of what no other list names. Names of images that are not there
    are passed by, since the lists of a published dataset name more than what a person kept of it.

    Raises:
        UserError: a list cannot be read.
    """
    splits: dict[str, str] = {}
    whole = [file for file in files if PurePosixPath(file).stem.lower() == "trainval"]
    for file in sorted(set(files) - set(whole)) + sorted(whole):
        split = _SPLITS[PurePosixPath(file).stem.lower()]
        path = reading.folder / file
        try:
            for number, line in read_lines(path):
                _enter(splits, split, line, Row(reading, file, number), file not in whole)
        except Rejected as error:
            raise UserError(error.reason, error.remedy, file=path, value=error.value) from None
    return splits


def _enter(splits: dict[str, str], split: str, line: str, row: Row, strict: bool) -> None:
    for name in (line, line.split()[0]):  # a name with blanks, or one with a number behind it
        try:
            image = row.reading.lookup.find(name)
        except Rejected:
            continue
        if splits.setdefault(image.image_id, split) != split and strict:
            reason = f"the image is in the list of {splits[image.image_id]} too"
            row.count("splits_disagree", Rejected(reason, "Remove it from one", None, name))
        return
