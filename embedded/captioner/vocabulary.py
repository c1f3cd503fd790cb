"""Closed word lists that the captioner's training graphs draw on besides `words.txt` and made-up words."""

from pathlib import Path

import yaml

_LISTS: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
COLOURS = _LISTS["COLOURS"]
SIZES = _LISTS["SIZES"]
OTHER_ATTRIBUTES = _LISTS["OTHER_ATTRIBUTES"]
NOUNS = _LISTS["NOUNS"]
SCENES = _LISTS["SCENES"]
PREDICATES = _LISTS["PREDICATES"]
