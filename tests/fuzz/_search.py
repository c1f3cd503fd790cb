"""python -m tests.fuzz._search TARGET FOLDER SECONDS: search one target by coverage; tests.fuzz starts this.

Faults are saved as files in FOLDER, one of each kind, and the search goes on.
"""

import hashlib
import logging
import sys
import tempfile
import traceback
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["embedded", "pipeline", "trainer", "PIL", "yaml"]):
    from tests.fuzz.target import is_read
    from tests.fuzz.targets import TARGETS, found

ROOT = Path(__file__).parents[2]
SLOWEST_S = 20  # an input that takes longer is a fault
MOST_MB = 4096


def main(name: str, folder: Path, seconds: int) -> None:
    corpus = folder / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    target = TARGETS[name](Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-")))
    for data in (*target.seeds, *(path.read_bytes() for path in found(name))):
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    def attempt(data: bytes) -> None:
        try:
            is_read(target, data)
        except Exception as error:
            _save(folder, data, error)

    limits = [f"-max_total_time={seconds}", f"-timeout={SLOWEST_S}", f"-rss_limit_mb={MOST_MB}"]
    options = [*limits, "-max_len=20000", f"-artifact_prefix={folder}/", "-seed=1"]
    logging.disable(logging.WARNING)
    atheris.Setup([sys.argv[0], *options, str(corpus)], attempt)
    atheris.Fuzz()


def _save(folder: Path, data: bytes, error: Exception) -> None:
    """Keep the input of the first fault of its kind: the error's type, and where in this project it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    place = [frame for frame in frames if frame.filename.startswith(str(ROOT))][-1]
    kind = f"{type(error).__name__}-{Path(place.filename).stem}-{place.lineno}"
    file = folder / f"fault-{kind}"
    if not file.exists():
        file.write_bytes(data)
        (folder / f"{file.name}.txt").write_text("".join(traceback.format_exception(error))[-4000:])


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
