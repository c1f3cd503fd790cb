"""Finds scenes in a text, their words joined or not: "dense residential", "denseresidential"."""

import re
from collections.abc import Iterable, Iterator

from pipeline.faithfulness import words

_WORD = re.compile(r"[^\W_]+")
_JOINT = re.compile(r"[\s\-_]")
_DENIED = re.compile(r"\b(?:no|not|never|isn't|without|neither|nor)\s+(?:an?\s+|the\s+)?\Z")
_BEFORE_SCENE = re.compile(r"\b(?:an?|the|this|in|at|of)\s+\Z")
_AFTER_SCENE = re.compile(
    r"\s*(?:[.,;:!?()]|\Z)|\s+(?:scene|area|setting|with|where|in|at|and|has|contains|features|featuring|shows|is|"
    r"seen|from|that|which|there|containing)\b"
)
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


def is_denied(text: str, span: Span) -> bool:
    """Whether a scene in a lower-case text is denied: "no harbor", "not a harbor"."""
    return _DENIED.search(text, 0, span[0]) is not None


def is_scene(text: str, span: Span) -> bool:
    """Whether the words of a scene name one here: "in the park", "A park with"; not "a park bench"."""
    return (
        _BEFORE_SCENE.search(text, 0, span[0]) is not None and _AFTER_SCENE.match(text, span[1]) is not None
    )


def said_apart(text: str, scene: str) -> bool:
    """Whether a lower-case text calls a scene by its last word, and says the others elsewhere.

    As in "ten greenhouses are in the center of the complex", of a greenhouse complex.
    """
    *others, last = _WORD.findall(scene.lower())
    return (
        bool(others)
        and re.search(rf"\b(?:the|this) {last}\b", text) is not None
        and all(re.search(rf"\b{word}(?:s|es)?\b", text) for word in others)
    )


def spellings(scene: str) -> list[str]:
    """A scene and the other spellings of its words: "harbour" of "harbor"."""
    found = [scene]
    for one, other in words.SCENE_SPELLINGS:
        found += [scene.lower().replace(a, b) for a, b in ((one, other), (other, one)) if a in scene.lower()]
    return found


def squeezed(text: str) -> str:
    """Letters and digits alone, in lower case."""
    return "".join(char for char in text.lower() if char.isalnum())
