"""Pictures that look alike: copies, frames of one video, one place on two days.

Two pictures are near-duplicates if both halves of their hashes (`pipeline.base.picture_hash`) differ in at
most `MAX_DISTANCE` of 64 bits. Every picture is compared with every other one, by vectors: the time grows
with the square of their number, the memory with the number.
"""

from collections.abc import Mapping

import numpy as np

from pipeline.base.progress import Progress

MAX_DISTANCE = 10
_SHOWN = 3


def groups(hashes: Mapping[str, bytes], title: str = "compare") -> list[list[str]]:
    """Ids of pictures that look alike, directly or by way of others, without those that are like no other.

    Args:
        hashes: of each picture, by its id; one that is empty is like no other.

    Returns:
        Groups of two ids or more, each in the order of `hashes`, by their first id.
    """
    members: dict[bytes, list[str]] = {}
    for image_id, value in hashes.items():
        if value:
            members.setdefault(value, []).append(image_id)
    ids = list(members.values())
    place = {image_id: i for i, image_id in enumerate(hashes)}
    found = [[image_id for i in alike for image_id in ids[i]] for alike in _alike(b"".join(members), title)]
    found = [sorted(group, key=place.__getitem__) for group in found if len(group) > 1]
    return sorted(found, key=lambda group: place[group[0]])


def _alike(hashes: bytes, title: str) -> list[list[int]]:
    """Positions of the hashes of each group, those of groups of one too.

    A group grows from one hash: what is like a member joins and is not compared again.
    """
    values = np.frombuffer(hashes, np.uint64).reshape(-1, 2)
    rows, columns = values[:, 0].copy(), values[:, 1].copy()
    left = np.arange(len(values))  # positions of `rows` and `columns` among all
    found: list[list[int]] = []
    with Progress(total=len(left), unit="image", title=title) as bar:
        while len(left):
            group, waiting = [int(left[0])], [values[left[0]]]
            rows, columns, left = rows[1:], columns[1:], left[1:]
            while waiting and len(left):
                row, column = waiting.pop()
                near = np.flatnonzero(np.bitwise_count(rows ^ row) <= MAX_DISTANCE)
                near = near[np.bitwise_count(columns[near] ^ column) <= MAX_DISTANCE]
                if len(near):
                    group += left[near].tolist()
                    waiting += list(values[left[near]])
                    rows, columns, left = (np.delete(array, near) for array in (rows, columns, left))
            bar.update(len(group))
            found.append(group)
    return found


def across_splits(found: list[list[str]], splits: Mapping[str, str]) -> tuple[int, list[str]]:
    """How many pictures of val and test look like pictures of another split, and the first groups.

    Args:
        found: groups of ids.
        splits: of each id.

    Returns:
        The number, and for each of the first groups one picture of each of its splits, in words.
    """
    count, shown = 0, []
    for group in found:
        first: dict[str, str] = {}
        for image_id in group:
            first.setdefault(splits[image_id], image_id)
        if len(first) > 1:
            count += sum(splits[image_id] != "train" for image_id in group)
            shown.append(", ".join(f"'{image_id}' ({split})" for split, image_id in first.items()))
    return count, shown[:_SHOWN]
