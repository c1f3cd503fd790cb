"""`lempo pairs`: the queries that every later stage reads."""

from pathlib import Path

import pytest

from pipeline.base.errors import UserError
from pipeline.base.metrics_io import read_metrics
from pipeline.base.schemas import PAIRS, QUERIES
from pipeline.base.tables import read_table
from stages import pairs
from tests.exchanges import change_rows, halve
from tests.language_toy import Toy


@pytest.fixture
def toy(tmp_path: Path) -> Toy:
    return Toy(tmp_path)


def test_brought_queries_stay_as_they_are(toy: Toy) -> None:
    pairs.run(toy.params, toy.paths)
    first = toy.paths.pairs("toy").read_bytes()
    brought = read_table(toy.paths.queries("toy"), QUERIES).to_pylist()
    all_queries = read_table(toy.paths.pairs("toy"), PAIRS).to_pylist()
    assert all_queries == [query | {"style": None, "source": "brought", "row_key": None} for query in brought]
    figures = read_metrics(toy.paths.metrics("pairs"))["toy"]
    assert (figures["brought"], figures["queries_test"], figures["kinds"]) == (8, 8, {"add": 8})
    pairs.run(toy.params, toy.paths)
    assert toy.paths.pairs("toy").read_bytes() == first


def test_queries_of_another_corpus_are_refused(toy: Toy) -> None:
    change_rows(toy.paths.queries("toy"), halve)
    with pytest.raises(UserError, match="content is not what was written"):
        pairs.run(toy.params, toy.paths)
