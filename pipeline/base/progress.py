"""How far long work is: a bar with rate and remaining time on a terminal, else a line now and then.

Work of less than two seconds shows nothing. Worker processes show nothing: their parent does.
"""

import io
import logging
import multiprocessing
import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

log = logging.getLogger(__name__)

FIRST_S = 2.0  # before anything is shown
LINE_S = 30.0  # between two lines where there is no terminal


class Progress(tqdm):
    """A tqdm bar, or lines in the log where standard error is no terminal.

    Args:
        iterable, total, initial: as tqdm has them.
        title: what is done, as in `embed`.
        unit: of what is counted, as in `image`.
        leave: whether the bar stays on the screen at the end.
    """

    def __init__(
        self,
        iterable: Iterable[Any] | None = None,
        *,
        title: str,
        unit: str,
        total: float | None = None,
        initial: int = 0,
        leave: bool = True,
    ) -> None:
        self._lines = not sys.stderr.isatty()
        # some terminals say that they have no columns
        wide = not self._lines and os.get_terminal_size(sys.stderr.fileno()).columns > 0
        worker = multiprocessing.parent_process() is not None or int(os.environ.get("RANK", "0")) > 0
        super().__init__(
            iterable,
            desc=title,
            unit=unit,
            total=total,
            initial=initial,
            leave=leave and not self._lines,
            delay=FIRST_S,
            mininterval=LINE_S if self._lines else 0.5,
            maxinterval=LINE_S if self._lines else 10.0,
            dynamic_ncols=wide,
            ncols=None if wide else 80,
            file=io.StringIO() if self._lines else sys.stderr,
            disable=worker,
        )

    def say(self, text: str) -> None:
        """Put a text behind the figures, when they are shown next."""
        self.set_postfix_str(text, refresh=False)

    def display(self, msg: str | None = None, pos: int | None = None) -> Any:
        """Draw the bar, or write the line."""
        if not self._lines:
            return super().display(msg, pos)
        if msg is None:
            log.info("%s", self.line())
        return True

    def line(self) -> str:
        """As in "embed: 512 of 6,336 images, 51 images/s, 01:54 left"."""
        shown = self.format_dict
        done, elapsed, unit = shown["n"] - shown["initial"], shown["elapsed"], f"{self.unit}s"
        rate = shown["rate"] or (done / elapsed if elapsed else 0)
        parts = [f"{shown['n']:,} of {self.total:,} {unit}" if self.total else f"{shown['n']:,} {unit}"]
        if rate:
            parts.append(
                f"{rate:.{0 if rate >= 10 else 1}f} {unit}/s" if rate >= 1 else f"{1 / rate:.1f} s each"
            )
            if self.total:
                parts.append(f"{self.format_interval(max(0, self.total - shown['n']) / rate)} left")
        return f"{self.desc.removesuffix(': ')}: {', '.join([*parts, *filter(None, [shown['postfix']])])}"
