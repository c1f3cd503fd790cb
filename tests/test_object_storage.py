"""An archive that comes from S3 and outs that go there: DVC does both, with a real client and a local server.

Needs the extra `remotes-test` (docs/more-machines.md).
"""

import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from pipeline.base.schemas import IMAGES
from pipeline.base.tables import read_table
from tests.pipeline.corpus.source import Source
from tests.project import Project

_MISSING = "not installed; the extra `remotes-test` brings it (docs/more-machines.md)"
pytest.importorskip("dvc_s3", reason=f"dvc-s3 is {_MISSING}")
server = pytest.importorskip("moto.server", reason=f"moto is {_MISSING}")
import boto3  # noqa: E402 - moto brings it

pytestmark = pytest.mark.slow
ARCHIVE, STORE = "field-archive", "field-store"  # buckets


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Any]]:
    """The address of a server with two empty buckets, and a client of it."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv(
        "AWS_ACCESS_KEY_ID", "test"
    )  # as a person sets them, and never in a file of the project
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    try:
        host, port = running.get_host_and_port()
        url = f"http://{host}:{port}"
        client = boto3.client("s3", endpoint_url=url)
        for bucket in (ARCHIVE, STORE):
            client.create_bucket(Bucket=bucket)
        yield url, client
    finally:
        running.stop()


def test_an_archive_comes_from_a_bucket_and_outs_go_to_one_and_back(
    tmp_path: Path, s3: tuple[str, Any]
) -> None:
    url, client = s3
    source = Source(tmp_path / "source").folder
    for file in sorted(source.rglob("*.*")):
        client.upload_file(str(file), ARCHIVE, f"ucm/{file.relative_to(source)}")

    project = Project(tmp_path / "project")
    project.set(datasets=["ucm"], corpus__root="archive")
    (project.folder / "archive").mkdir()
    _dvc(project, "import-url", f"s3://{ARCHIVE}/ucm", "archive/ucm", "--fs-config", f"endpointurl={url}")
    assert _files(project.folder / "archive/ucm") == _files(source)
    _dvc(project, "repro", "corpus")
    rows = read_table(project.paths.images("ucm"), IMAGES)
    assert len(rows) == 9
    _dvc(project, "remote", "add", "-d", "store", f"s3://{STORE}/lempo")
    _dvc(project, "remote", "modify", "store", "endpointurl", url)
    project.commit("An archive from a bucket")
    made = _files(project.folder / "data/corpus")
    _dvc(project, "push", "corpus")
    assert _stored(client) == {*map(_key, made.values())}
    _dvc(project, "push")
    assert _stored(client) == {*map(_key, [*made.values(), *_files(source).values()])}

    project.git("clone", "-q", str(project.folder), str(tmp_path / "clone"))
    clone = Project.at(tmp_path / "clone")
    assert not (clone.folder / "data/corpus").exists() and not (clone.folder / "archive/ucm").exists()
    _dvc(clone, "pull", "data/corpus", "archive/ucm")
    assert _files(clone.folder / "data/corpus") == made
    assert _files(clone.folder / "archive/ucm") == _files(source)
    assert "didn't change" in _dvc(clone, "repro", "corpus")

    Image.new("RGB", (40, 30), (9, 99, 199)).save(source / "images/one-more.png")  # the archive grows at home
    client.upload_file(str(source / "images/one-more.png"), ARCHIVE, "ucm/images/one-more.png")
    _dvc(clone, "update", "archive/ucm.dvc")
    assert (clone.folder / "archive/ucm/images/one-more.png").is_file()
    _dvc(clone, "repro", "corpus")
    assert len(read_table(clone.paths.images("ucm"), IMAGES)) == 10


def _dvc(project: Project, *arguments: str) -> str:
    """DVC of this very environment, which has its client of S3."""
    return project.run(sys.executable, "-m", "dvc", *arguments).stdout


def _key(content: bytes) -> str:
    """Where DVC puts a file in the bucket."""
    digest = hashlib.md5(content).hexdigest()
    return f"lempo/files/md5/{digest[:2]}/{digest[2:]}"


def _stored(client: Any) -> set[str]:
    """The keys of all files in the bucket, without DVC's lists of folders."""
    keys = {item["Key"] for item in client.list_objects_v2(Bucket=STORE)["Contents"]}
    return {key for key in keys if not key.endswith(".dir")}


def _files(folder: Path) -> dict[str, bytes]:
    found = (file for file in folder.rglob("*") if file.is_file())
    return {str(file.relative_to(folder)): file.read_bytes() for file in found}
