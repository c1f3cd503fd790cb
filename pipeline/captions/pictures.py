"""The images of a dataset that stand beside its prompts: where their files lie; none is read here."""

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.base.expected import Expected
from pipeline.base.schemas import IMAGES
from pipeline.base.tables import READ_ROWS, read_table
from pipeline.llm.pictures import Picture

_COLUMNS = ["image_id", "path", "sha256", "width", "height"]


class Pictures:
    """The image table of a dataset in Arrow's memory.

    Raises:
        UserError: the table is missing, or not made from what the project holds now.
    """

    def __init__(self, expected: Expected, dataset: str) -> None:
        self._root, self._side = expected.paths.root, expected.params.llm.image_side
        file, made_from = expected.paths.images(dataset), expected.corpus(dataset)
        self._table = read_table(
            file, IMAGES, _COLUMNS, made_from
        ).combine_chunks()  # once, not in each `take`

    def of(self, ids: Sequence[str]) -> dict[str, Picture]:
        """The pictures of some images, a few thousand at most at a time; ids without an image are absent."""
        wanted = pa.array(dict.fromkeys(ids), pa.string())
        rows = pc.index_in(wanted, value_set=self._table["image_id"]).drop_null()
        return self._pictures(self._table.take(rows))

    def __iter__(self) -> Iterator[dict[str, Picture]]:
        """All pictures by their images' ids, in the order of these, a few thousand at a time."""
        for batch in self._table.to_batches(READ_ROWS):
            yield self._pictures(batch)

    def _pictures(self, rows: pa.Table | pa.RecordBatch) -> dict[str, Picture]:
        return {
            row["image_id"]: Picture(
                self._root / row["path"], row["sha256"], min(self._side, max(row["width"], row["height"]))
            )
            for row in rows.to_pylist()
        }
