"""Files of another run: of another project's folder, or of a revision from git and DVC's cache."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.base.errors import UserError
from pipeline.base.paths import Paths


@contextmanager
def other_run(paths: Paths, against: str, files: Sequence[Path]) -> Iterator[Paths]:
    """Give the paths of a folder that holds the other run's files, as far as that run has them.

    Args:
        against: a folder; else a git revision, or the name of an experiment.
        files: below `paths.root`; outs of DVC come from its cache, or from its remote.

    Raises:
        UserError: there is no such folder and no such revision, or a file of it is in no cache.
    """
    if Path(against).is_dir():
        yield Paths(Path(against))
        return
    with TemporaryDirectory(prefix="lempo-") as folder:
        _fetch(paths.root, against, [file.relative_to(paths.root) for file in files], Path(folder))
        yield Paths(Path(folder))


def _fetch(root: Path, revision: str, files: Sequence[Path], folder: Path) -> None:
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc.scm import RevError, SCMError
    from dvc_data.index import DataIndexDirError

    file = Path()
    try:
        stored = DVCFileSystem(str(root), rev=revision)
        for file in files:
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            try:
                stored.get_file(file.as_posix(), str(folder / file))
            except FileNotFoundError:
                if stored.exists(file.as_posix()):
                    raise
    except RevError:
        reason = "there is no such folder and no such revision"
        remedy = "Name a folder, a git revision, or an experiment of `dvc exp show`"
        raise UserError(reason, remedy, field="--against", value=revision) from None
    except SCMError as error:
        remedy = "Name the folder of another project"
        raise UserError(str(error), remedy, field="--against", value=revision) from None
    except (DvcException, DataIndexDirError, OSError):
        reason = f"DVC's cache does not hold this file of {revision}"
        remedy = (
            "Run `dvc fetch -A` if a remote holds it; else run `dvc repro` in a clone, and name its folder"
        )
        raise UserError(reason, remedy, file=file, field="--against", value=revision) from None
