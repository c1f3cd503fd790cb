"""Finds scenes in a text, their words joined or not: "dense residential", "denseresidential"."""

import re
from collections.abc import Iterable, Iterator

_WORD = re.compile(r"[^\W_]+")
_JOINT = re.compile(r"[\s\-_]")
_ENDINGS = ("s", "es", "")

Span = tuple[int, int]  # from and to, in characters


class Scenes:
    """A set of scenes that a text is searched for; the time taken does not depend on how many there are."""

    def __init__(self, scenes: Iterable[str]) -> None:
        self._rank: dict[str, int] = {}
        for scene in sorted(scenes):
            if letters := squeezed(scene):
                self._rank.setdefault(letters, len(self._rank))
        self._longest = max(map(len, self._rank), default=0)
        # the first one, two and three letters of every scene
        self._heads = {
            (letters + ending)[:size] for letters in self._rank for ending in _ENDINGS for size in (1, 2, 3)
        }

    def find(self, text: str) -> Iterator[Span]:
        """The spans of scenes in a lower-case text: whole words, from left to right, without overlap.

        Of scenes that begin at the same word, the first in alphabetical order counts. A plural counts too.
        """
        end = 0
        for match in _WORD.finditer(text):
            if match[0][:3] not in self._heads:
                continue
            start = match.start()
            if start >= end and text[start - 1 : start] != "_" and (scene_end := self._at(text, start)):
                end = scene_end
                yield start, end

    def _at(self, text: str, start: int) -> int | None:
        """The end of the scene that begins here."""
        letters, before, ends = "", start, []
        for word in _WORD.finditer(text, start):
            if letters and not _JOINT.fullmatch(text, before, word.start()):
                break
            letters, before = letters + word[0], word.end()
            if len(letters) > self._longest + 2 or letters[:3] not in self._heads:
                break
            if text[before : before + 1] == "_":
                continue
            for ending in _ENDINGS:
                scene = letters.removesuffix(ending)
                if letters.endswith(ending) and len(word[0]) > len(ending) and scene in self._rank:
                    ends.append((self._rank[scene], -before))
        return -min(ends)[1] if ends else None


def squeezed(text: str) -> str:
    """Letters and digits alone, in lower case."""
    return "".join(char for char in text.lower() if char.isalnum())
