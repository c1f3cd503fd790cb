"""Texts that a person brings: they stand in the place of the model's, row by row."""

import logging
from collections.abc import Iterable, Iterator
from typing import Literal

from pipeline.base.expected import Expected
from pipeline.base.schemas import BROUGHT_CAPTIONS
from pipeline.base.tables import read_batches

log = logging.getLogger(__name__)


class BroughtTexts:
    """The brought texts of a dataset for one stage, asked for in the order of their ids; few are held.

    Attributes:
        unused: how many are for no row of the stage, once `finish` has been called.
    """

    def __init__(
        self, expected: Expected, dataset: str, purpose: Literal["interpretation", "pseudo_caption"]
    ) -> None:
        self._dataset, self._purpose = dataset, purpose
        self._rows = self._read(expected)
        self._next = next(self._rows, None)
        self.unused = 0
        self._first_unused: str | None = None

    @property
    def left(self) -> bool:
        """Whether a text has not been asked for yet."""
        return self._next is not None

    def of(self, id: str) -> str | None:
        """The text for a row; None if there is none. Ids must be asked for in ascending order."""
        self._pass(id)
        if self._next is None or self._next[0] != id:
            return None
        text = self._next[1]
        self._next = next(self._rows, None)
        return text

    def among(self, ids: Iterable[str]) -> dict[str, str]:
        """The texts for some rows, by their ids; as for `of`, these ascend."""
        texts = ((id, self.of(id)) for id in ids)
        return {id: text for id, text in texts if text is not None}

    def finish(self) -> None:
        """Say which texts were for no row."""
        self._pass(None)
        if self.unused:
            log.warning(
                "%s: brought texts that are for no row: %d. The first is for '%s': correct or remove it",
                self._dataset,
                self.unused,
                self._first_unused,
            )

    def _pass(self, before: str | None) -> None:
        while self._next is not None and (before is None or self._next[0] < before):
            self.unused += 1
            self._first_unused = self._first_unused or self._next[0]
            self._next = next(self._rows, None)

    def _read(self, expected: Expected) -> Iterator[tuple[str, str]]:
        file = expected.paths.captions(self._dataset)
        for batch in read_batches(file, BROUGHT_CAPTIONS, expect=expected.corpus(self._dataset)):
            for row in batch.to_pylist():
                if row["for"] == self._purpose:
                    yield row["id"], row["text"]
