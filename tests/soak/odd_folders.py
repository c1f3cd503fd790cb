"""Trials of dataset folders with what no dataset should hold: pipes, sockets, devices, loops, odd names."""

import os
import random
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.schemas import IMAGES, QUERIES, REJECTS, SCENE_GRAPHS
from pipeline.base.tables import write_table
from pipeline.corpus.folder import read_folder
from tests.pipeline.corpus.source import Source
from tests.soak._limit import TooSlow, limited
from tests.soak.trial import Outcome, each

PROMISE = (
    "A dataset's folder may hold anything: every row is read or rejected with a reason, and nothing hangs."
)
HOW = (
    "A small dataset gets one to four oddities: pipes, sockets, devices, loops of links, folders 1,000 deep, "
    "sparse files of 40 GB. Names are too long, not UTF-8, or lead elsewhere."
)
TEST_TRIALS = 60
SOAK_TRIALS = 3_000
LONGEST_S = 120
_FILES = {"images": IMAGES, "scene_graphs": SCENE_GRAPHS, "queries": QUERIES}


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        path.rename(path.with_name(f"{path.name}-before"))
    elif os.path.lexists(path):
        path.unlink()


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    here = os.getcwd()
    os.chdir(path.parent)  # the whole path may be too long for a socket
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def _loop(path: Path) -> None:
    path.symlink_to(path.name)


def _zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


def _terminal(path: Path) -> None:
    path.symlink_to("/dev/tty")


def _nothing(path: Path) -> None:
    path.symlink_to("nowhere")


def _folder(path: Path) -> None:
    path.mkdir()


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 40 << 30)


def _empty(path: Path) -> None:
    path.touch()


_THINGS = (_pipe, _socket, _loop, _zeros, _terminal, _nothing, _folder, _sparse, _empty)
_NAMES = (
    b"a\nb.png", b"\xff\xfe.png", b"-rf.png", b" .png", b"..png", b"%2e%2e.png", b"\xe2\x80\xae.png",
    b"\x1b[2J.png", "e\u0301.png".encode(), b"train-red.PNG", b"a;b|c.png", b"n" * 251 + b".png",
)  # fmt: skip
_VALUES = (
    "images/" + "x" * 10_000 + ".png", "images/" + "x" * 300 + ".png", "images/\ud800.png", "images/a\0.png",
    ".", "images", "scene_graphs.json", "images/../../parks/images/train-red.png", "/etc/passwd",
    "images//train-red.png", "images/train-red.png/", "~/x.png", "file:///etc/passwd", "http://localhost/x.png",
    "C:\\x.png",
)  # fmt: skip


def _thing_in_images(source: Source, rng: random.Random) -> str:
    thing, name = rng.choice(_THINGS), rng.choice(("odd.png", "val-green.png", "sub/odd.jpg"))
    path = source.folder / "images" / name
    path.parent.mkdir(exist_ok=True)
    _remove(path)
    thing(path)
    if rng.random() < 0.5:
        source.graphs[4]["file_name"] = f"images/{name}"
    return f"{thing.__name__} as {name}"


def _thing_as_source(source: Source, rng: random.Random) -> str:
    thing, name = rng.choice(_THINGS), rng.choice(("scene_graphs.json", "triplets.json", "images"))
    path = source.folder / name
    _remove(path)
    thing(path)
    return f"{thing.__name__} as {name}"


def _odd_name(source: Source, rng: random.Random) -> str:
    name = rng.choice(_NAMES)
    folder = os.fsencode(source.folder) + b"/images/"
    with open(folder + name, "wb") as file:
        file.write(source.image("val-red").read_bytes() + name)
    if rng.random() < 0.5:
        source.graphs[4]["file_name"] = "images/" + os.fsdecode(name)
    return f"a file {name!r}"


def _odd_folder_name(source: Source, rng: random.Random) -> str:
    name = rng.choice(_NAMES).removesuffix(b".png")
    folder = os.fsencode(source.folder) + b"/images/" + name
    os.makedirs(folder, exist_ok=True)
    with open(folder + b"/x.png", "wb") as file:
        file.write(source.image("val-red").read_bytes() + name + b"/")
    return f"a folder {name!r}"


def _odd_value(source: Source, rng: random.Random) -> str:
    value, key = rng.choice(_VALUES), rng.choice(("file_name", "image_id"))
    source.graphs[4][key] = value
    return f"{key} {value[:60]!r}"


def _odd_query(source: Source, rng: random.Random) -> str:
    value, key = rng.choice(_VALUES), rng.choice(("reference", "target", "modification", "pair_id", "split"))
    source.queries[4][key] = value
    return f"{key} {value[:60]!r}"


def _deep(source: Source, rng: random.Random) -> str:
    depth, name = rng.choice(((1000, "d"), (1000, "d"), (40, "d" * 100), (45, "d" * 100)))
    top = source.folder / "images" / rng.choice(("", ".hidden"))
    top.mkdir(exist_ok=True)
    here = os.getcwd()
    os.chdir(top)
    try:
        for _ in range(depth):
            os.makedirs(name, exist_ok=True)
            os.chdir(name)
        Path("x.png").write_bytes(b"deep")
    finally:
        os.chdir(here)
    return f"{depth} folders in one another, each with a name of {len(name)}"


def _links(source: Source, rng: random.Random) -> str:
    target = rng.choice(("..", ".", "../images", "../../parks", "/", "/proc/self/root", "/dev", "sub"))
    if target in ("/", "/proc/self/root"):  # the whole machine would be read
        target = "/dev/fd"
    link = source.folder / "images" / rng.choice(("link", "link.png"))
    if not os.path.lexists(link):
        link.symlink_to(target)
    return f"a link to {target}"


_ODDITIES = (
    _thing_in_images, _thing_in_images, _thing_as_source, _odd_name, _odd_folder_name, _odd_value, _odd_query,
    _deep, _links,
)  # fmt: skip


@contextmanager
def _emptied(folder: Path) -> Iterator[Path]:
    """A folder that is removed; Python itself cannot remove folders so deep."""
    folder.mkdir()
    try:
        yield folder
    finally:
        subprocess.run(["rm", "-rf", folder], check=True)


def run(trials: int, seed: int, folder: Path) -> Outcome:
    rng, failures, done, refused = random.Random(seed), [], 0, 0
    for number in each(trials):
        with _emptied(folder / str(number)) as place:
            source = Source(place / "parks")
            files = [rng.choice(_ODDITIES) for _ in range(rng.choice((1, 1, 2, 4)))]
            # sources are replaced last: nothing is written into a pipe
            said = [odd(source, rng) for odd in files if odd is not _thing_as_source]
            source.write()
            said += [odd(source, rng) for odd in files if odd is _thing_as_source]
            try:
                with limited(LONGEST_S):
                    _check(source, place)
            except UserError as error:
                refused += 1
                if not error.problem.file or not str(error).isprintable():
                    failures.append(f"trial {number}, {'; '.join(said)}: no file is named: {error}")
            except (Exception, TooSlow) as error:
                failures.append(f"trial {number}, {'; '.join(said)}: {type(error).__name__}: {error}")
        done = number + 1
    return Outcome(done, tuple(failures), {"folders refused as a whole": refused})


def _check(source: Source, place: Path) -> None:
    """Read the folder; every row must be in a table or among the rejects, and sound ones in the table."""
    corpus = read_folder(source.folder, "parks", workers=1, max_pixels=1_000_000)
    for name, schema in _FILES.items():
        write_table(getattr(corpus, name), place / f"{name}.parquet", schema, {"dataset": "parks"})
    rejects = [{"dataset": "parks", **row} for row in corpus.rejects.rows]
    write_table(rejects, place / "rejects.parquet", REJECTS)
    assert all(row["reason"] and row["remedy"] and row["file"] for row in rejects), (
        "a reject without a reason"
    )
    for table, rows in (("scene_graphs", source.graphs), ("queries", source.queries)):
        out = {row["row"] for row in rejects if row["table"] == table}
        kept = getattr(corpus, table).num_rows
        assert kept + len(out) == len(rows), f"{table}: {len(rows)} rows in, {kept} kept, {len(out)} rejected"
    images = set(corpus.images["image_id"].to_pylist())
    sound = {graph["image_id"] for number, graph in enumerate(source.graphs) if number != 4}
    assert source.image("val-red").exists() <= (sound <= images), (
        f"sound images are lost: {sorted(sound - images)}"
    )
