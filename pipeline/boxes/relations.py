"""Rule: the few relations between groups that a person would say of an image.

A relation holds between groups as wholes: of all things of its subject. There are, the most salient first:

- "on" or "inside": each thing of the subject lies for the most part within a thing of the object that is
  larger; "on" where the object is a surface, as a road. One thing is in one, not in several;
- "left of" or "above": between groups in one cell of the grid, side by side. In two cells the places say it
  already, and the converse ("right of", "below") would say it twice;
- "near": each thing of the subject has one of the object close to it; the smaller things are the subject. Of
  things all over the image nothing is said to be near.

Of two groups at most one relation is said, with at most one for each subject and `MOST` for an image; of
equal ones those whose things cover more. A relation names its groups by looks and name alone, so a group is
left out whose looks and name another group has too.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from pipeline.boxes.geometry import Bounds, common_area, gap, is_within
from pipeline.boxes.places import MOST_COUNTED, Kind, Thing

MOST = 3
MOSTLY = 0.8  # of a thing's area inside another one, from which it is on or inside it
LARGER = 2.0  # times its area, that the other one has at least
BESIDE = 0.5  # of the smaller height, or width, that two groups side by side have in common
CLOSE = 0.5  # of the things' size (the geometric mean of both) between them at most
OVERLAP = 0.3  # of the smaller thing: with more in common, "near" says too little

# by the last word of a name
_SURFACES = frozenset(
    (
        "apron", "beach", "bridge", "court", "deck", "dock", "field", "grass", "ground", "grounds",
        "helipad", "intersection", "jetty", "lake", "lane", "lawn", "lot", "meadow", "pad", "park",
        "parking", "pavement", "pier", "pitch", "plaza", "pond", "quay", "railway", "ramp", "river", "road",
        "roof", "runway", "sand", "sea", "square", "stand", "street", "surface", "tarmac", "taxiway",
        "track", "water", "waterway",
    )
)  # fmt: skip

_Found = tuple[int, float, int, int, str]  # rank, minus the area covered, subject, object, predicate


def relations(kinds: Sequence[Kind]) -> list[tuple[int, str, int]]:
    """What to say as (subject, predicate, object), by indices into `kinds`, the most salient first."""
    named = Counter(kind.name for kind in kinds)
    called = Counter((kind.name, frozenset(kind.looks)) for kind in kinds)
    clear = [
        index
        for index, kind in enumerate(kinds)
        if named[kind.name] == 1 or (kind.looks and called[kind.name, frozenset(kind.looks)] == 1)
    ]
    found = sorted(relation for a, b in combinations(clear, 2) for relation in _between(a, b, kinds))
    said: list[tuple[int, str, int]] = []
    subjects: set[int] = set()
    for _, _, subject, object_, predicate in found:
        if subject not in subjects and len(said) < MOST:
            said.append((subject, predicate, object_))
            subjects.add(subject)
    return said


def partner(thing: Thing, others: Sequence[Thing]) -> Thing:
    """Which of the things that a relation speaks of is meant: what holds most of this one, or is closest."""
    return min(others, key=lambda o: (-common_area(thing.bbox, o.bbox), gap(thing.bbox, o.bbox), o.number))


def _between(a: int, b: int, kinds: Sequence[Kind]) -> Iterator[_Found]:
    """The relation of two groups, if there is one."""
    first, second = kinds[a], kinds[b]
    covered = -(_covered(first) + _covered(second))
    for subject, object_ in ((a, b), (b, a)):
        single = len(kinds[subject].things) == 1
        if not (single and len(kinds[object_].things) > 1) and _all_have(
            kinds[subject], kinds[object_], _holds
        ):
            surface = kinds[object_].name.rsplit(" ", 1)[-1] in _SURFACES
            yield 0, covered, subject, object_, "on" if surface else "inside"
            return
    if first.cell is not None and first.cell == second.cell:
        hulls = {a: _hull(first), b: _hull(second)}
        for axis, predicate in ((0, "left of"), (1, "above")):
            for subject, object_ in ((a, b), (b, a)):
                if _precedes(hulls[subject], hulls[object_], axis):
                    yield 1, covered, subject, object_, predicate
                    return
    subject, object_ = (a, b) if _mean_area(first) <= _mean_area(second) else (b, a)
    if None not in (first.cell, second.cell) and _all_have(kinds[subject], kinds[object_], _is_close):
        yield 2, covered, subject, object_, "near"


def _all_have(subject: Kind, object_: Kind, holds: Callable[[Bounds, Bounds], bool]) -> bool:
    """Whether each thing of the subject stands so to one of the object, of which there are few."""
    return len(object_.things) <= MOST_COUNTED and all(
        any(holds(thing.bbox, other.bbox) for other in object_.things) for thing in subject.things
    )


def _holds(inner: Bounds, outer: Bounds) -> bool:
    own, outer_area = inner[2] * inner[3], outer[2] * outer[3]
    if own == 0:  # a point, or a line
        return outer_area > 0 and is_within(inner, *outer)
    return outer_area >= LARGER * own and common_area(inner, outer) >= MOSTLY * own


def _is_close(a: Bounds, b: Bounds) -> bool:
    area_a, area_b = a[2] * a[3], b[2] * b[3]
    if gap(a, b) > CLOSE * (area_a * area_b) ** 0.25:
        return False
    return common_area(a, b) <= OVERLAP * min(area_a, area_b)


def _precedes(a: Bounds, b: Bounds, axis: int) -> bool:
    """Whether `a` ends before `b` begins, with much of the other axis in common."""
    if a[axis] + a[axis + 2] > b[axis]:
        return False
    other = 1 - axis
    common = min(a[other] + a[other + 2], b[other] + b[other + 2]) - max(a[other], b[other])
    return common > 0 and common >= BESIDE * min(a[other + 2], b[other + 2])


def _hull(kind: Kind) -> Bounds:
    left = min(thing.bbox[0] for thing in kind.things)
    top = min(thing.bbox[1] for thing in kind.things)
    right = max(thing.bbox[0] + thing.bbox[2] for thing in kind.things)
    bottom = max(thing.bbox[1] + thing.bbox[3] for thing in kind.things)
    return left, top, right - left, bottom - top


def _covered(kind: Kind) -> float:
    return sum(thing.bbox[2] * thing.bbox[3] for thing in kind.things)


def _mean_area(kind: Kind) -> float:
    return _covered(kind) / len(kind.things)
