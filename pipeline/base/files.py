"""Files that are replaced as a whole, their hashes, and JSON files."""

import errno
import hashlib
import json
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.base.errors import UserError, is_odd, refuse_odd
from pipeline.base.progress import Progress
from pipeline.base.storage import storage_errors, temporary_folder

_SEAL = "sha256"  # the key of a cache file's own hash
_HASH_LENGTH = 64  # of a sha256 in hex
_DIGEST = 32  # bytes of a sha256

log = logging.getLogger(__name__)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path near `path`; on success fsync it and rename it to `path`.

    Raises:
        UserError: it could not be written; names `path`. What stood there before still does.
    """
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary_folder(path) as folder:  # some libraries write yet another file beside theirs
            temporary = folder / path.name
            yield temporary
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, path)


def read_json(path: Path, remedy: str, missing: str = "the file is missing") -> dict[str, Any]:
    """Read a file that holds one JSON object in UTF-8.

    Args:
        remedy: what the user can do if there is no such object.
        missing: the error's reason if there is no file.

    Raises:
        UserError: the file is missing, or holds anything else.
    """
    refuse_odd(path, remedy)
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise UserError(missing, remedy, file=path) from None
    except OSError as error:
        raise UserError("the file cannot be read", remedy, file=path, value=error.strerror) from None
    except (ValueError, RecursionError) as error:  # ValueError: not UTF-8, no JSON, an endless number
        raise UserError("the file holds no JSON", remedy, file=path, value=error) from None
    if not isinstance(value, dict):
        raise UserError("the file holds no JSON object", remedy, file=path, value=value)
    return value


def write_json(path: Path, value: Any) -> None:
    """Write JSON with sorted keys: equal values are equal bytes.

    Raises:
        ValueError: a number is NaN or infinite.
    """
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def remember(store: Path, value: dict[str, Any]) -> None:
    """Write a JSON object into a file of the cache folder, with the hash by which damage is noticed."""
    write_json(store, {_SEAL: identity_hash(value), "value": value})


def remembered(store: Path) -> dict[str, Any]:
    """The JSON object that `remember` wrote; {} if it is missing, or damaged and now set aside."""
    if not os.path.lexists(store):
        return {}
    try:
        held = read_json(store, "")
        if _SEAL not in held:  # written by an earlier version
            return {}
        if identity_hash(held["value"]) == held[_SEAL]:
            return held["value"]
    except (UserError, KeyError, ValueError, RecursionError):  # ValueError: half of a surrogate pair
        pass
    set_aside(store)
    return {}


def hash_is_name(part: Path) -> bool:
    """Whether a part of a cache is named by the hash of its content; those of earlier versions are not."""
    return len(part.name.partition(".")[0]) == _HASH_LENGTH


def is_whole(part: Path) -> bool:
    """Whether a file that is named by the sha256 of its bytes still holds these bytes.

    Raises:
        OSError: the file cannot be read for a reason that is no damage, such as its permissions.
    """
    try:
        return part.is_file() and sha256_file(part) == part.name.partition(".")[0]
    except OSError as error:
        if error.errno in (errno.EIO, errno.ENOENT):  # damaged, or gone since it was found
            return False
        raise


def set_aside(file: Path) -> None:
    """Rename a damaged file of a cache, so that nobody reads it again, and say so."""
    for number in range(1000):
        aside = file.with_name(f"{file.name}.{number}.damaged")
        if os.path.lexists(aside):
            continue
        try:
            os.rename(file, aside)
        except FileNotFoundError:  # another process was faster
            return
        except OSError as error:
            log.warning("%s is damaged and not used; it cannot be moved: %s", file, error.strerror)
            return
        log.warning("%s is damaged: what it held is made again; now %s, to be deleted", file, aside.name)
        return
    log.warning("%s is damaged: what it held is made again; delete the damaged files beside it", file)


def cached_bytes(file: Path, make: Callable[[], bytes]) -> bytes:
    """What a file of a cache holds; else what `make` gives, which is then kept there after a hash."""
    try:
        kept = file.read_bytes() if file.is_file() else b"" if os.path.lexists(file) else None
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        kept = b""
    if kept is not None:
        digest, data = kept[:_DIGEST], kept[_DIGEST:]
        if _named_digest(file, data) == digest:
            return data
        set_aside(file)
    data = make()
    with replacing(file) as temporary:
        temporary.write_bytes(_named_digest(file, data) + data)
    return data


def _named_digest(file: Path, data: bytes) -> bytes:
    """sha256 of a name and bytes: another file of the cache, put in this one's place, does not fit."""
    return hashlib.sha256(file.name.encode() + b"\n" + data).digest()


# why it cannot be used, and the remedy
LFS_POINTER = "the file is a git-LFS pointer, not the file itself", "Run `git lfs pull`"


def is_lfs_pointer(head: bytes) -> bool:
    """Whether a file that begins so is a git-LFS pointer, a short text in place of the file itself."""
    return head.startswith(b"version https://git-lfs.github.com/spec/")


def refuse_lfs_pointers(files: Iterable[Path]) -> None:
    """Refuse files that a clone without git-lfs left as pointers; folders are passed by.

    Raises:
        UserError: names the first of them.
    """
    for path in sorted(files):
        if not path.is_file():
            continue
        with open(path, "rb") as file:
            if is_lfs_pointer(file.read(100)):
                raise UserError(*LFS_POINTER, file=path)


def file_bytes(path: Path) -> bytes:
    """A file's bytes.

    Raises:
        OSError: as of any read; and it is no regular file.
    """
    if is_odd(path):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
    return path.read_bytes()


def sha256_file(path: Path) -> str:
    """Hex sha256 of a file's bytes.

    Raises:
        UserError: it is no regular file.
    """
    refuse_odd(path)
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_hashes(files: Sequence[Path], cache: Path, folder: Path | None = None) -> dict[str, str]:
    """The sha256 of each file, by its name.

    Reading weights takes minutes, so a file that has not been touched since an earlier call is not read
    again: its path, size, both of its times, device and number there (inode) are as they were.

    Args:
        folder: names are relative to it; without it they are bare.
    """
    store = cache / "file_hashes.json"
    known = remembered(store)
    hashes, changed = {}, False
    for file in Progress(files, title="read the weights", unit="file", leave=False):
        path, stat = os.path.realpath(file), file.stat()
        early = [stat.st_size, stat.st_mtime_ns]  # the hash after them: so earlier versions read it too
        late = [stat.st_dev, stat.st_ino, stat.st_ctime_ns]
        entry = known.get(path)
        if entry is None or entry[:2] != early or entry[3:] != late:
            entry = known[path] = [*early, sha256_file(file), *late]
            changed = True
        hashes[file.relative_to(folder).as_posix() if folder else file.name] = entry[2]
    if changed:  # of files that are gone, such as copies for experiments, nothing is remembered
        remember(store, {path: entry for path, entry in known.items() if os.path.exists(path)})
    return hashes


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, plain UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)


def identity_hash(identity: dict[str, Any]) -> str:
    """Hex sha256 of an identity's canonical JSON."""
    return hashlib.sha256(canonical_json(identity).encode()).hexdigest()
