"""Combinations of object name, colour and position held out of training, for evaluation alone."""

import hashlib

from embedded.world.vocabulary import COLOURS
from pipeline.graph.scene_graph import GroupGraph

_SHARE = 13  # of 256: one combination in twenty


def is_held_out(name: str, colour: str, position: str) -> bool:
    """Whether the hash of the three words holds this combination out."""
    return hashlib.sha256(f"{name}|{colour}|{position}".encode()).digest()[0] < _SHARE


def has_held_out(graph: GroupGraph) -> bool:
    """Whether any group is a held-out combination; groups without colour or position never are."""
    return any(
        is_held_out(group.name, attribute, group.position)
        for group in graph.groups
        for attribute in group.attributes
        if group.position is not None and attribute in COLOURS
    )
