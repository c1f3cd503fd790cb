"""Combinations of object name, colour and place that are held out of training, to see if they can be said."""

import hashlib

from embedded.world.vocabulary import COLOURS
from pipeline.graph.scene_graph import Group, GroupGraph

_SHARE = 13  # of 256: one combination in twenty


def is_held_out(name: str, colour: str, cell: str) -> bool:
    """Whether the hash of the three words holds this combination out."""
    return hashlib.sha256(f"{name}|{colour}|{cell}".encode()).digest()[0] < _SHARE


def _held_out(group: Group) -> bool:
    return group.position is not None and any(
        is_held_out(group.name, attribute, group.position)
        for attribute in group.attributes
        if attribute in COLOURS
    )


def has_held_out(*graphs: GroupGraph) -> bool:
    """Whether any group of any graph is a held-out combination; groups without colour or place never are."""
    return any(_held_out(group) for graph in graphs for group in graph.groups)
