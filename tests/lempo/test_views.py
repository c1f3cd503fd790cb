"""`lempo captions` and `lempo cache` over the texts of a few rows."""

import pytest

from lempo.cache import show_cache
from lempo.captions import show_captions
from pipeline.base.errors import UserError
from tests.language_toy import Toy, answered


def test_captions_are_shown_worst_first(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.with_params(llm__repairs=0)
    toy.run(
        lambda request: answered(request, toy.texts[request.messages[-1]["content"]].replace("blue", "pink"))
    )
    show_captions(toy.params, toy.paths, "toy", "interpret", worst=True, limit=2)
    shown = capsys.readouterr().out
    assert shown.startswith("toy toy-0001") and "- one blue car at the left" in shown
    assert "missed:   blue car" in shown and "invented: pink car" in shown and "2 of 8 rows" in shown
    toy.run(stage="caption")
    capsys.readouterr()
    show_captions(toy.params, toy.paths, None, "caption", worst=False, limit=3)
    assert "Modification: add a pond at the bottom" in capsys.readouterr().out


def test_captions_before_any_run_say_what_to_do(toy: Toy) -> None:
    for dataset in (None, "toy"):
        with pytest.raises(UserError, match="dvc repro"):
            show_captions(toy.params, toy.paths, dataset, "caption", worst=False, limit=3)


def test_the_cache_is_shown_and_pruned_of_what_no_table_uses(
    toy: Toy, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="no caption table"):
        show_cache(toy.params, toy.paths, prune=True)
    toy.run(toy.failing("blue"))
    toy.write("toy", 8, recolour=3)
    toy.run()
    show_cache(toy.params, toy.paths, prune=False)
    assert "models/llm, prompts/interpret.txt: 15 texts" in capsys.readouterr().out
    show_cache(toy.params, toy.paths, prune=True)
    assert "removed 1 entries" in capsys.readouterr().out
    assert toy.run().opened == 0
