"""Scenes found in texts: as one regular expression over all of them finds them, whatever their number."""

import re
import time
from random import Random

from pipeline.faithfulness.scenes import Scenes, squeezed


def reference(scenes: list[str], text: str) -> list[tuple[int, int]]:
    """What an alternation of all scenes finds, any joint between letters and an ending allowed."""
    spelt = [
        r"\b" + r"[\s\-_]?".join(map(re.escape, squeezed(scene))) + r"(?:s|es)?\b" for scene in sorted(scenes)
    ]
    return [match.span() for match in re.finditer("|".join(f"(?:{one})" for one in spelt), text)]


def test_scenes_are_found_as_one_pattern_finds_them() -> None:
    rng = Random(4)
    parts = ["a", "as", "b", "bus", "s", "es", "ab", "abs"]
    joints = [" ", "-", "_", "", "  ", ", ", "'"]
    for _ in range(3000):
        scenes = ["".join(rng.choices([*parts, " "], k=rng.randint(1, 4))) for _ in range(rng.randint(1, 5))]
        scenes = [scene for scene in scenes if squeezed(scene)] or ["ab"]
        text = "".join(rng.choice(parts) + rng.choice(joints) for _ in range(rng.randint(1, 9)))
        assert list(Scenes(scenes).find(text)) == reference(scenes, text), (scenes, text)


def test_a_scene_is_found_however_it_is_put_together() -> None:
    scenes = Scenes(["denseresidential", "tennis court"])
    text = "dense residential areas, a tennis-court, tenniscourts and a dense (residential) one"
    assert [text[a:b] for a, b in scenes.find(text)] == ["dense residential", "tennis-court", "tenniscourts"]
    assert not list(Scenes([]).find(text)) and not list(Scenes(["--"]).find(text))


def test_a_hundred_thousand_scenes_cost_no_more_than_ten() -> None:
    text = "a place 4711 scene with two red cars at the top left and a hangar. " * 20
    few, many = (Scenes(f"place {number}" for number in range(count)) for count in (10_000, 100_000))
    spent = []
    for scenes in (few, many):
        start = time.process_time()
        for _ in range(20):
            assert len(list(scenes.find(text))) == 20
        spent.append(time.process_time() - start)
    assert spent[1] < 5 * spent[0]
