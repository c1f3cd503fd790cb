"""Writing files: what a failed write means, locks, and what killed writers left behind.

A lock here is the kernel's (`flock`): it is free as soon as its holder has ended, however that ended. So a
temporary folder that nobody has locked belongs to nobody, on any machine that shares the disk.
"""

import errno
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from pipeline.base.errors import UserError
from pipeline.base.interrupts import held

_KEPT = "what was written before is kept, so run the same command again after that"
_MEANINGS = {
    errno.ENOSPC: ("the disk is full", f"Free some space there; {_KEPT}"),
    errno.EDQUOT: ("the disk quota is used up", f"Free some space there, or raise the quota; {_KEPT}"),
    errno.EFBIG: (
        "the file is larger than this process may write",
        f"Raise `ulimit -f`, or use another file system; {_KEPT}",
    ),
    errno.EROFS: ("the file system is read-only", "Make it writable, or work in another folder"),
    errno.EACCES: ("the permission is missing", "Change the owner or the permissions of the path"),
    errno.EPERM: ("the operation is not permitted", "Change the owner or the permissions of the path"),
    errno.EMFILE: (
        "this process has too many files open",
        "Raise `ulimit -n`, or lower speed.workers and speed.endpoint_concurrency",
    ),
    errno.ENFILE: ("the machine has too many files open", "End other programs"),
    errno.EIO: ("the disk reports an error", f"Check the disk and the connection to it; {_KEPT}"),
}
UNUSED_DAYS = 30.0  # a file of a cache that no run has used for so long goes
_NUMBER = re.compile(
    r"(?:\(os error |\[errno |Os { code: )(\d+)", re.IGNORECASE
)  # as libraries in Rust and C++ write it


def storage_error(error: BaseException, path: object = None) -> UserError | None:
    """The error for users where the cause is a disk, a quota, a limit or a permission; else None.

    Args:
        path: what was being written, if the error itself names no path.
    """
    if isinstance(error, ConnectionError | ChildProcessError | TimeoutError):
        return None
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (found := _NUMBER.search(str(error))):
        number = int(found[1])
    named = getattr(error, "filename", None)
    if number in _MEANINGS:
        reason, remedy = _MEANINGS[number]
        return UserError(reason, remedy, file=named if named is not None else path)
    if isinstance(error, OSError) and (named or path or error.strerror):
        reason = error.strerror or "the file could not be written whole"
        remedy = f"Check the path, its permissions and the free space; {_KEPT}"
        value = None if error.strerror else error
        return UserError(reason, remedy, file=named if named is not None else path, value=value)
    return None


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Errors of disks, quotas and limits in here become a `UserError` that names `path`.

    Raises:
        UserError: as said.
    """
    try:
        yield
    except Exception as error:
        if (known := storage_error(error, path)) is None:
            raise
        raise known from error


def try_lock(descriptor: int, mode: int = fcntl.LOCK_EX) -> bool | None:
    """Lock an open file or folder without waiting.

    Returns:
        whether it is locked now; None where the file system has no locks.
    """
    try:
        fcntl.flock(descriptor, mode | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Create a folder beside `path` to write it in; deleted at the end.

    After a kill the next writer in that folder deletes it.
    """
    remove_leftovers(path.parent)
    made: list[tuple[Path, int]] = []
    try:
        try:
            with held():
                made.append(_locked_folder(path))
            yield made[0][0]
        finally:
            _delete(made)
    finally:  # a signal raises once: if it did so before the first call could hold it, this one has no other
        _delete(made)


def _delete(made: list[tuple[Path, int]]) -> None:
    with held():
        while made:
            folder, descriptor = made.pop()
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to write; it takes the place of `folder` once it is whole."""
    with storage_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(folder) as outer:
            temporary = outer / folder.name
            temporary.mkdir()
            yield temporary
            shutil.rmtree(folder, ignore_errors=True)
            temporary.rename(folder)


def _locked_folder(path: Path) -> tuple[Path, int]:
    for number in count(os.getpid()):
        folder = path.with_name(f".{path.name}.{number}.tmp")
        try:
            folder.mkdir()
        except FileExistsError:
            if not remove_if_unlocked(folder):
                continue  # of a process on another machine, or of another thread
            folder.mkdir(exist_ok=True)
        if (descriptor := lock_folder(folder)) is not None:
            return folder, descriptor
    raise AssertionError("numbers have no end")


def lock_folder(folder: Path) -> int | None:
    """Lock a folder that was just made; the open descriptor that is returned holds the lock.

    Returns None if another process took the folder for a leftover before it was locked.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    if try_lock(descriptor) is not False:
        with suppress(FileNotFoundError):
            if os.stat(folder).st_ino == os.fstat(descriptor).st_ino:
                return descriptor
    os.close(descriptor)
    return None


_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")
_seen: set[str] = set()


def remove_leftovers(folder: Path) -> None:
    """Delete the temporary folders of killed writers in `folder`; it is listed once in a process."""
    key = os.path.realpath(folder)
    if key in _seen:
        return
    _seen.add(key)
    for entry in os.scandir(folder):
        if _TEMPORARY.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
            remove_if_unlocked(Path(entry.path))


def remove_if_unlocked(folder: Path) -> bool:
    """Delete a folder that no process has locked; returns whether that was so."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        if not try_lock(descriptor):
            return False
        shutil.rmtree(folder, ignore_errors=True)
        return True
    finally:
        os.close(descriptor)


def use(file: Path) -> None:
    """Note that a file of a cache is in use: `remove_unused` then leaves it for a while."""
    with suppress(OSError):  # it may belong to another user
        os.utime(file)


def remove_unused(folder: Path, days: float = UNUSED_DAYS) -> None:
    """Delete what no run has used for some days in a folder of a cache, and what killed writers left there.

    Args:
        days: 0 deletes everything.
    """
    if not folder.is_dir():
        return
    remove_leftovers(folder)
    for entry in list(os.scandir(folder)):
        with suppress(OSError):
            if _TEMPORARY.fullmatch(entry.name):
                continue
            if days and entry.stat(follow_symlinks=False).st_mtime > time.time() - days * 86_400:
                continue
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)


def is_damaged(file: Path) -> bool:
    """Whether a file that could not be understood is to blame for it itself.

    It is not where it is gone by now, or where its bytes cannot be read: then the machine is to blame.
    """
    if not file.is_file():
        return os.path.lexists(file)
    try:
        with open(file, "rb") as opened:
            opened.read(1)
    except (OSError, MemoryError):
        return False
    return True


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder of a cache; those that vanish meanwhile do not count."""
    total = 0
    for entry in os.scandir(folder) if folder.is_dir() else ():
        with suppress(OSError):
            total += entry.stat(follow_symlinks=False).st_size
    return total
