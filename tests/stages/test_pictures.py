"""Images beside the graphs, and without them: which rows there are, what is asked, what is asked again."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from lempo.cache import show_cache
from lempo.captions import Choice, show_captions
from pipeline.base.errors import UserError
from pipeline.base.expected import Expected
from pipeline.base.files import write_json
from pipeline.base.schemas import IMAGES, PAIRS, SCENE_GRAPHS
from pipeline.base.tables import read_table
from pipeline.captions.judging import EMPTY_GRAPH
from pipeline.llm.types import Request, Result
from stages import interpret, pairs
from tests.language_toy import FakeEngine, Toy, answered

SEEN = "A grey field with a road."
DESCRIBE = "Describe this image."


class Pictured(Toy):
    """Eight images with files in each dataset: twins have the same graph; of `toy`, the first has an empty
    graph and the second none."""

    def __init__(self, root: Path, **changes: Any) -> None:
        super().__init__(root, **{"llm__images": True} | changes)
        for dataset in ("toy", "free"):
            self.draw(dataset)

    def draw(self, dataset: str, recolour: int | None = None) -> None:
        """Write the image files and the corpus; `recolour` gives one image other pixels."""
        images = read_table(self.paths.images(dataset), IMAGES).to_pylist()
        for number, row in enumerate(images):
            file = self.paths.root / f"{row['image_id']}.png"
            level = 200 if number == recolour else 10 * number
            Image.new("RGB", (250, 100 + number), (level, 0, 0)).save(file)
            row |= {"path": file.name, "height": 100 + number}
            row["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        graphs = read_table(self.paths.scene_graphs(dataset), SCENE_GRAPHS).to_pylist()
        if dataset == "toy" and len(graphs) == len(images):
            graphs[0] |= {"objects": [], "relationships": []}
            del graphs[1]
        queries = read_table(self.paths.pairs(dataset), PAIRS).to_pylist()
        queries = [query for query in queries if query["reference_id"] in {g["image_id"] for g in graphs}]
        brought = [{name: query[name] for name in query if name not in ("style", "source", "row_key")}
                   for query in queries]  # fmt: skip
        Expected(self.params, self.paths).write_corpus(dataset, images, graphs, brought)
        pairs.run(self.params.model_copy(update={"datasets": (dataset,)}), self.paths)

    def right(self, request: Request) -> Result:
        """Pixels alone are described; a graph is said."""
        return answered(request, self.texts.get(request.messages[-1]["content"], SEEN))


@pytest.fixture
def toy(tmp_path: Path, word_tokenizer: None) -> Pictured:
    return Pictured(tmp_path)


def test_every_image_gets_a_row_which_says_what_its_text_is_made_from(
    toy: Pictured, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = toy.run()
    rows = {row["image_id"]: row for row in toy.rows()}
    assert len(rows) == 8 and all(row["status"] == "ok" for row in rows.values())
    empty, absent, twin = (rows[f"toy-{number:04d}"] for number in (0, 1, 6))
    assert empty["given"] == absent["given"] == "image" and empty["text"] == absent["text"] == SEEN
    unknown = ("facts", "fact_recall", "missed", "invented", "first_pass_all_right")
    assert all(row[name] is None for row in (empty, absent) for name in unknown)
    assert twin["given"] == "graph and image" and twin["facts"] and twin["fact_recall"] == 1.0
    assert twin["prompt_hash"] != absent["prompt_hash"]
    pictures = [request.picture for request in engine.asked]
    assert len(pictures) == 16 and all(picture and picture.side == 250 for picture in pictures)
    assert [r.messages[-1]["content"] for r in engine.asked].count(DESCRIBE) == 2
    metrics = toy.metrics()
    assert metrics["toy"]["of_images_alone"] == 2 and "of_images_alone" not in metrics["free"]
    assert "2 of images alone" in capsys.readouterr().err
    show_captions(toy.params, toy.paths, "toy", "interpret", Choice(limit=3))
    shown = capsys.readouterr().out
    assert "toy-0001 · first, ok, facts not known, of the image alone\n    (no graph)\n  > " + SEEN in shown
    assert " facts, of graph and image" in shown
    show_cache(toy.params, toy.paths, prune=False)
    assert "models/llm, prompts/describe.txt: 2 texts" in capsys.readouterr().out


def test_twins_in_graph_are_two_questions_and_a_changed_image_is_asked_again_alone(toy: Pictured) -> None:
    toy.run()
    keys = [row["row_key"] for row in toy.rows()]
    assert len(set(keys)) == 8
    assert toy.run().opened == 0
    for number in (1, 6):  # of a graph and of none
        toy.draw("toy", recolour=number)
        again = toy.run()
        changed = [
            row["image_id"] for row, key in zip(toy.rows(), keys, strict=True) if row["row_key"] != key
        ]
        assert changed == [f"toy-{number:04d}"] and len(again.asked) == 1
        toy.draw("toy")
        toy.run()


def test_the_side_counts_only_for_images_that_it_scales(toy: Pictured) -> None:
    toy.run()
    toy.with_params(llm__images=True, llm__image_side=4096)
    assert toy.run().opened == 0
    toy.with_params(llm__images=True, llm__image_side=64)
    assert len(toy.run().asked) == 16


def test_without_images_nothing_changes(tmp_path: Path, word_tokenizer: None) -> None:
    toy = Pictured(tmp_path, llm__images=False)
    engine = toy.run()
    assert not any(request.picture for request in engine.asked)
    rows = {row["image_id"]: row for row in toy.rows()}
    assert "toy-0001" not in rows and len(rows) == 7
    assert (rows["toy-0000"]["status"], rows["toy-0000"]["error"]) == ("empty", EMPTY_GRAPH)
    assert rows["toy-0000"]["given"] is None and rows["toy-0002"]["given"] == "graph"


def test_a_pseudo_caption_sees_the_reference(toy: Pictured) -> None:
    engine = toy.run(stage="caption")
    rows = {row["query_id"]: row for row in toy.rows(stage="caption")}
    assert rows["toy-q0000"]["given"] == "image" and rows["toy-q0000"]["facts"] is None
    assert rows["toy-q0006"]["given"] == "graph and image" and rows["toy-q0006"]["fact_recall"] == 1.0
    files = {request.picture.path.name for request in engine.asked if request.picture}
    assert files == {f"{row['reference_id']}.png" for name in ("toy", "free") for row in _pairs(toy, name)}
    assert toy.run(stage="caption").opened == 0


def test_a_text_by_rule_is_made_from_the_graph(tmp_path: Path, word_tokenizer: None) -> None:
    toy = Pictured(tmp_path, llm__fallback="rules", llm__repairs=0)
    toy.run(lambda request: answered(request, "A boat."))
    rows = {row["image_id"]: row for row in toy.rows()}
    assert (rows["toy-0006"]["source"], rows["toy-0006"]["given"]) == ("rules", "graph")
    assert (rows["toy-0001"]["source"], rows["toy-0001"]["given"]) == ("first", "image")


def test_modifications_are_written_without_images(tmp_path: Path, word_tokenizer: None) -> None:
    toy = Pictured(tmp_path)
    changes = {"llm__images": True, "pairs__write": "llm", "pairs__beside_brought": True}
    toy.with_params(**changes)
    engine = FakeEngine(lambda request: answered(request, "add a pond"))
    pairs.run(toy.params, toy.paths, engine=engine)
    assert engine.asked and not any(request.picture for request in engine.asked)


def test_a_model_of_texts_alone_is_refused_before_the_run(toy: Pictured) -> None:
    config = toy.paths.root / "models/llm/config.json"
    write_json(config, {"architectures": ["LlamaForCausalLM"]})
    engine = FakeEngine(toy.right)
    with pytest.raises(UserError, match=r"llm\.model.*texts alone.*models/llm.*llm\.images to false"):
        interpret.run(toy.params, toy.paths, engine=engine)
    assert not engine.opened
    write_json(config, {"architectures": ["LlavaForConditionalGeneration"]})
    interpret.run(toy.params, toy.paths, engine=engine)
    assert engine.opened == 1


def test_tables_know_which_images_they_are_of(toy: Pictured) -> None:
    toy.run()
    images = read_table(toy.paths.images("free"), IMAGES).to_pylist()
    graphs = read_table(toy.paths.scene_graphs("free"), SCENE_GRAPHS)
    images[0]["sha256"] = "0" * 64
    Expected(toy.params, toy.paths).write_corpus("free", images, graphs, [])
    with pytest.raises(UserError, match="images"):
        show_captions(toy.params, toy.paths, "free", "interpret", Choice(limit=1))


def _pairs(toy: Toy, dataset: str) -> list[dict[str, Any]]:
    return read_table(toy.paths.pairs(dataset), PAIRS).to_pylist()
