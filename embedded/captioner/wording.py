"""Phrasings of random modifications (`wording.yaml`) and the word lists of random graphs (`vocabulary.yaml`).

Slots stand in braces: {ref} is a group with its determiner, {bare} the same without, {is} agrees with it.
"""

from pathlib import Path
from typing import Any

import yaml

LISTS: dict[str, list[str]] = yaml.safe_load(Path(__file__).with_name("vocabulary.yaml").read_text())
_WAYS: dict[str, Any] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text())
ADD: list[str] = _WAYS["ADD"]
REMOVE: list[str] = _WAYS["REMOVE"]
ATTRIBUTE: list[str] = _WAYS["ATTRIBUTE"]
COLOUR_ONLY: list[str] = _WAYS["COLOUR_ONLY"]
SIZE_ONLY: list[str] = _WAYS["SIZE_ONLY"]
ATTRIBUTE_INSTEAD: list[str] = _WAYS["ATTRIBUTE_INSTEAD"]
MOVE: list[str] = _WAYS["MOVE"]
COUNT: list[str] = _WAYS["COUNT"]
MORE: list[str] = _WAYS["MORE"]
FEWER: list[str] = _WAYS["FEWER"]
RELATE: list[str] = _WAYS["RELATE"]
RELATE_INSTEAD: list[str] = _WAYS["RELATE_INSTEAD"]
UNRELATE: list[str] = _WAYS["UNRELATE"]
JOINTS: list[str] = _WAYS["JOINTS"]
PRELUDES: list[str] = _WAYS["PRELUDES"]
POSITION_PHRASES: list[str] = _WAYS["POSITION_PHRASES"]
POSITION_SYNONYMS: dict[str, list[str]] = _WAYS["POSITION_SYNONYMS"]
