"""Values grouped by a key on disk, so that the rows of a file may come in any order and in any number."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import gettempdir
from typing import Any

from pipeline.base.errors import UserError

_START = """
PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -32768; PRAGMA temp_store = FILE;
CREATE TABLE entries (seq INTEGER PRIMARY KEY, key TEXT NOT NULL, id TEXT UNIQUE, value TEXT NOT NULL);
CREATE TABLE taken (key TEXT PRIMARY KEY);
"""


class Spool:
    """JSON values by key, in the order in which they came, in a temporary database.

    The database is a nameless file in the system's folder for temporary files: it goes with the process.

    Raises:
        UserError: from every method, if there is no room for it.
    """

    def __init__(self) -> None:
        self._indexed = False
        with _on_disk():
            self._database = sqlite3.connect("", isolation_level=None)
            self._database.executescript(_START)
            self._database.execute("BEGIN")

    def close(self) -> None:
        self._database.close()

    def add(self, key: str, value: Any, unique: str | None = None) -> bool:
        """Keep a value; false, and it is not kept, if one of this `unique` id is there already."""
        text = json.dumps(value, ensure_ascii=True)
        with _on_disk():
            done = self._database.execute(
                "INSERT OR IGNORE INTO entries (key, id, value) VALUES (?, ?, ?)", (key, unique, text)
            )
        return done.rowcount > 0

    def take(self, key: str) -> list[Any]:
        """All values of a key."""
        with _on_disk():
            if not self._indexed:
                self._database.execute("CREATE INDEX by_key ON entries (key, seq)")
                self._indexed = True
            self._database.execute("INSERT OR IGNORE INTO taken VALUES (?)", (key,))
            rows = self._database.execute("SELECT value FROM entries WHERE key = ? ORDER BY seq", (key,))
            return [json.loads(value) for (value,) in rows]

    def entries(self) -> Iterator[tuple[str, Any]]:
        """Every key and value, in the order in which they came."""
        yield from self._select("SELECT key, value FROM entries ORDER BY seq")

    def left(self) -> Iterator[tuple[str, Any]]:
        """Those whose key nobody took, in the order in which they came."""
        yield from self._select(
            "SELECT key, value FROM entries WHERE key NOT IN (SELECT key FROM taken) ORDER BY seq"
        )

    def _select(self, query: str) -> Iterator[tuple[str, Any]]:
        with _on_disk():
            for key, value in self._database.execute(query):
                yield key, json.loads(value)


@contextmanager
def _on_disk() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        remedy = "Free disk space, or set TMPDIR to a folder with more room"
        reason = "the temporary database of annotations cannot grow"
        raise UserError(reason, remedy, file=gettempdir(), value=error) from None
