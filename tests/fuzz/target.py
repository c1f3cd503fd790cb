"""What a target is, and what counts as a clean refusal."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.base.decode import UnusableImage
from pipeline.base.errors import UserError
from pipeline.corpus.checks import Rejected


@dataclass(frozen=True)
class Target:
    """A reader in a folder that was made for it.

    Attributes:
        attempt: gives the reader some bytes and uses what it returns. It raises `UserError`, `UnusableImage`
            or `Rejected` where the reader refuses them; anything else that it raises is a fault.
        seeds: sound inputs, at least one.
        files: that the bytes are put into; `read` reads again what has to do with one of them.
    """

    attempt: Callable[[bytes], None]
    seeds: list[bytes]
    files: Sequence[Path] = ()
    read: Callable[[Path], object] = lambda _: None


def is_read(target: Target, data: bytes) -> bool:
    """Whether the reader takes these bytes; False if it refuses them as it should.

    Raises:
        Exception: a fault: anything but a clean refusal.
    """
    return is_clean(lambda: target.attempt(data))


def is_clean(read: Callable[[], object]) -> bool:
    """The same of any call of a reader."""
    try:
        read()
    except UserError as error:
        problem = error.problem
        assert problem.reason and problem.remedy, f"an error without reason or remedy: {error}"
        assert problem.file, f"an error that names no file: {error}"
        assert str(error).isprintable(), f"an error that is no single line: {error!r}"
        str(error).encode()
        return False
    except (UnusableImage, Rejected) as error:
        assert str(error) and error.remedy
        return False
    return True


def of_file(path: Path, read: Callable[[], object], *further: bytes) -> Target:
    """A target that replaces one file, which is sound now, and reads it again; `further` seeds."""
    return of_files([path], lambda _: read(), *((0, data) for data in further))


def of_files(paths: list[Path], read: Callable[[Path], object], *further: tuple[int, bytes]) -> Target:
    """A target that replaces one of several files.

    With more than one, the first byte of its input chooses the file, and the others are sound.
    """
    sound = [path.read_bytes() for path in paths]

    def attempt(data: bytes) -> None:
        number = 0
        if len(paths) > 1:
            number, data = (data[0] % len(paths), data[1:]) if data else (0, b"")
        paths[number].write_bytes(data)
        try:
            read(paths[number])
        finally:
            paths[number].write_bytes(sound[number])
            for aside in paths[number].parent.glob("*.damaged"):
                aside.unlink()

    seeds = [*enumerate(sound), *further]
    inputs = [(bytes([n]) if len(paths) > 1 else b"") + data for n, data in seeds]
    return Target(attempt, inputs, paths, read)
