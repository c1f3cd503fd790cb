"""Which graphs of a dataset differ by a few facts, found by an index over facts and never by all pairs.

Images with equal graphs in one *scope* (a split, and in it a scene or a place, or all of it) are one entry of
the index. Two entries are compared where their groups are the same but for one, or where they share one of
their rarest groups: entries that differ by at most d groups on each side share one of the d + 1 rarest
ones of each, if they share any. Each entry looks at a few of the others behind a key, so that a graph that
thousands have costs no more than one that two have.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.graph.scene_graph import Group, GroupGraph
from pipeline.pairs.difference import Change, canonical, difference

Keys = NDArray[np.uint64]
LOOKED_AT = 8  # entries behind a key, for each entry there
MOST_PARTNERS = 12  # of an entry
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(slots=True)
class Entry:
    """Images with one graph in one scope, by their numbers in the order in which they were added."""

    scope: int
    graph: GroupGraph
    images: list[int]
    rank: int  # an order that depends on the seed and on what the entry is, not on how it was read


@dataclass(frozen=True, slots=True)
class Pair:
    """Two entries, by their numbers, and the changes that make the second of the first."""

    reference: int
    target: int
    changes: tuple[Change, ...]


class GraphIndex:
    """Collects graphs and finds pairs of them.

    Args:
        most_facts: the largest difference of a pair.
    """

    def __init__(self, seed: int, most_facts: int) -> None:
        self.entries: list[Entry] = []
        self._seed, self._most = seed, most_facts
        self._number: dict[bytes, int] = {}  # of an entry
        self._scopes: dict[tuple[str, ...], int] = {}
        self._scope_hashes: list[int] = []
        self._groups: dict[Group, tuple[Group, int]] = {}  # one object for equal groups, and its hash
        self._count = 0

    def add(self, scope: Sequence[str], graph: GroupGraph) -> int:
        """Add an image with a graph of at least one group; its number."""
        scope = (*scope, graph.scene or "")
        where = self._scopes.setdefault(scope, len(self._scopes))
        if where == len(self._scope_hashes):
            self._scope_hashes.append(_hash(repr(scope)))
        key = hashlib.blake2b(f"{where} {canonical(graph)}".encode(), digest_size=16).digest()
        if (number := self._number.setdefault(key, len(self.entries))) == len(self.entries):
            groups = tuple(
                self._groups.setdefault(group, (group, _hash(repr(group))))[0] for group in graph.groups
            )
            rank = _hash(f"{self._seed} {scope} {canonical(graph)}")
            self.entries.append(Entry(where, replace(graph, groups=groups), [], rank))
        self.entries[number].images.append(self._count)
        self._count += 1
        return self._count - 1

    def pairs(self) -> Iterator[Pair]:
        """Pairs of entries of one scope, each once in each direction."""
        numbers = {group: number for number, group in enumerate(self._groups)}
        # sets of the groups themselves would take most of the memory
        facts = [tuple(numbers[group] for group in entry.graph.groups) for entry in self.entries]
        partners = [0] * len(self.entries)
        seen: set[int] = set()
        for first, second in self._candidates():
            if partners[first] >= MOST_PARTNERS and partners[second] >= MOST_PARTNERS:
                continue
            one, other = set(facts[first]), set(facts[second])
            if len(one - other) > self._most or len(other - one) > self._most:
                continue
            key = min(first, second) * len(facts) + max(first, second)
            if key in seen:
                continue
            seen.add(key)
            found = 0
            for reference, target in ((first, second), (second, first)):
                graph, wanted = self.entries[reference].graph, self.entries[target].graph
                if changes := difference(graph, wanted, self._most):
                    found = 1
                    yield Pair(reference, target, changes)
            partners[first] += found
            partners[second] += found

    def changes(self, reference: int, target: int) -> tuple[Change, ...]:
        """Those of a pair that `pairs` gave."""
        graph, wanted = self.entries[reference].graph, self.entries[target].graph
        return difference(graph, wanted, self._most) or ()

    def near(self) -> list[int]:
        """For each entry, how many images of its scope have all its groups but one: changed, gone or new."""
        owner, facts, full = self._arrays()
        sizes = np.array([len(entry.images) for entry in self.entries], np.int64)
        less = full[owner] - facts
        without, all_of = _Totals(less, sizes[owner]), _Totals(full, sizes)
        near = without.of(full)  # one group new
        np.add.at(near, owner, without.of(less) - sizes[owner] + all_of.of(less))
        return near.tolist()

    def _arrays(self) -> tuple[NDArray[np.int64], Keys, Keys]:
        """Of every group of every entry: the entry, and a hash; of every entry: the sum of its hashes."""
        counts = [len(entry.graph.groups) for entry in self.entries]
        owner = np.repeat(np.arange(len(counts)), counts)
        hashes = (self._groups[group][1] for entry in self.entries for group in entry.graph.groups)
        facts = np.fromiter(hashes, np.uint64, len(owner))
        full = self._scope_of_entries()
        np.add.at(full, owner, facts)
        return owner, facts, full

    def _scope_of_entries(self) -> Keys:
        scopes = np.array(self._scope_hashes, np.uint64)
        return scopes[[entry.scope for entry in self.entries]]

    def _candidates(self) -> Iterator[tuple[int, int]]:
        """Pairs of entries that may differ by little, the most likely ones first; some come again."""
        if not self.entries:
            return
        owner, facts, full = self._arrays()
        everyone = np.arange(len(self.entries))
        yield from self._behind(
            np.concatenate([full, full[owner] - facts]), np.concatenate([everyone, owner])
        )
        names = self._scope_of_entries()
        hashes = (_hash(group.name) for entry in self.entries for group in entry.graph.groups)
        np.add.at(names, owner, np.fromiter(hashes, np.uint64, len(owner)))
        few = np.bincount(owner, minlength=len(self.entries)) <= self._most  # these may share no group
        yield from self._behind(names[few] * _MIX, everyone[few])
        _, inverse, counts = np.unique(facts, return_inverse=True, return_counts=True)
        order = np.lexsort((facts, counts[inverse], owner))
        starts = np.searchsorted(owner, everyone)
        rare = order[np.arange(len(order)) - starts[owner] <= self._most]
        yield from self._behind(facts[rare] * _MIX + self._scope_of_entries()[owner[rare]], owner[rare])

    def _behind(self, keys: Keys, owner: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
        """Pairs of owners of one key that stand close to each other in the order of their ranks."""
        ranks = np.array([entry.rank for entry in self.entries], np.uint64)
        order = np.lexsort((owner, ranks[owner], keys))
        keys, owner = keys[order], owner[order]
        for shift in range(1, LOOKED_AT + 1):
            same = np.flatnonzero((keys[:-shift] == keys[shift:]) & (owner[:-shift] != owner[shift:]))
            for part in np.array_split(same, max(1, len(same) // 65_536)):
                yield from zip(owner[part].tolist(), owner[part + shift].tolist(), strict=True)


class _Totals:
    """Sums of weights by key."""

    def __init__(self, keys: Keys, weights: NDArray[np.int64]) -> None:
        self._keys, inverse = np.unique(keys, return_inverse=True)
        self._sums = np.zeros(len(self._keys), np.int64)
        np.add.at(self._sums, inverse, weights)

    def of(self, keys: Keys) -> NDArray[np.int64]:
        """The sum of each key, 0 for one that is not there."""
        at = np.searchsorted(self._keys, keys).clip(max=max(0, len(self._keys) - 1))
        return (
            np.where(self._keys[at] == keys, self._sums[at], 0)
            if len(self._keys)
            else np.zeros(len(keys), int)
        )


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")
