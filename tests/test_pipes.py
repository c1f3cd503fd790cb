"""A pipe or a device in place of a file holds no reader up. tests/test_fuzz_targets.py tries further ones."""

import os
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from lempo.costs import weights_count
from lempo.init import _ignore
from lempo.search.pictures import _bytes
from pipeline.base.errors import UserError, reading
from pipeline.base.files import cached_bytes, file_bytes, read_json, remembered, sha256_file
from pipeline.base.images import probe
from pipeline.base.params import load_params
from pipeline.base.schemas import IMAGES
from pipeline.base.tables import read_table
from pipeline.base.yaml_file import read_mapping
from pipeline.captions.clip_tokens import _stored
from pipeline.captions.row_cache import RowCache
from pipeline.llm.identity import chat_template_text
from pipeline.llm.pictures import Picture
from pipeline.llm.prompt import load_prompt
from pipeline.report.pictures import Wanted, _copy
from pipeline.report.ran import first_paragraph
from pipeline.vision.feature_cache import FeatureCache
from pipeline.vision.reading import Problem, Source, bytes_of
from tests.soak._limit import limited
from trainer.tuning.checkpoint import load_sealed

SHA256 = "0" * 64


def _library(file: Path) -> None:
    with reading(file, "Restore it"):
        file.read_bytes()


def _locked(file: Path) -> None:
    file.rename(file.with_name(".lock"))
    assert RowCache(file.parent).summary() == []


def _part(file: Path) -> None:
    file.rename(file.with_name("old.parquet"))
    assert RowCache(file.parent).parts() == []


def _features(file: Path) -> None:
    folder = FeatureCache(file.parent, {}, 4, "float16").folder
    folder.mkdir()
    file.rename(folder / "part.sha256.npy")
    assert FeatureCache(file.parent, {}, 4, "float16").damaged == 1


def _weights(file: Path) -> None:
    weights_count(file.rename(file.with_name("odd.safetensors")).parent)


READERS: dict[str, Callable[[Path], object]] = {
    "JSON": lambda file: read_json(file, "Restore it"),
    "YAML": lambda file: read_mapping(file, "Write it", "Write keys"),
    "a cached value": remembered,
    "cached bytes": lambda file: cached_bytes(file, lambda: b""),
    "a hash": sha256_file,
    "a library": _library,
    "a table": lambda file: read_table(file, IMAGES),
    "parameters": load_params,
    "a prompt": lambda file: load_prompt(file, ("graph",)),
    "a chat template": lambda file: chat_template_text(str(file)),
    "an image of a dataset": probe,
    "an image for an LLM": lambda file: Picture(file, SHA256, 48).load(),
    "an image to embed": lambda file: bytes_of(Source(file, SHA256, 1.0)),
    "an image for the report": lambda file: _copy(file.parent, Wanted(file, SHA256, False)),
    "an image for a page": _bytes,
    "a model's card": first_paragraph,
    "a checkpoint": load_sealed,
    "counts of tokens": _stored,
    "the lock of the texts": _locked,
    "a part of the texts": _part,
    "a part of the features": _features,
    "the size of weights": _weights,
    "patterns for git": lambda file: _ignore(file, file),
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("put", [os.mkfifo, lambda file: file.symlink_to("/dev/zero")], ids=["pipe", "zeros"])
@pytest.mark.parametrize("name", READERS)
def test_a_pipe_or_a_device_holds_no_reader_up(
    name: str, put: Callable[[Path], None], tmp_path: Path
) -> None:
    file = tmp_path / "odd"
    put(file)
    with limited(20):
        try:
            READERS[name](file)
        except UserError as error:
            assert error.problem.remedy and "odd" in str(error.problem.file or error)
        except (OSError, ValueError, pa.ArrowException) as error:
            assert "regular" in str(error)


def test_the_reason_is_said(tmp_path: Path) -> None:
    file = tmp_path / "odd"
    os.mkfifo(file)
    with pytest.raises(UserError, match=r"odd: it is no regular file\. Restore it"):
        read_json(file, "Restore it")
    with pytest.raises(OSError, match="no regular file"):
        file_bytes(file)
    problem = bytes_of(Source(file, SHA256, 1.0))
    assert isinstance(problem, Problem) and problem.reason.endswith("cannot be read: it is no regular file")
