"""What a stage made goes to a remote and back, as docs/experiments.md says: real clients, local servers.

The clients and two of the servers come with the extra `remotes-test`; SSH also needs OpenSSH's `sshd`.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.project import Project

pytestmark = pytest.mark.slow
_EXTRA = "the extra `remotes-test` brings it (docs/more-machines.md)"
_ANSWERS_WITHIN_S = 20


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a person who has no keys and no credentials."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "GOOGLE_", "SSH_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def test_ssh(tmp_path: Path, home: Path, ssh: int) -> None:
    store = tmp_path / "server/lempo"
    round_trip(tmp_path, f"ssh://store-machine{store}")  # ~/.ssh/config says where that machine is
    assert any(path.is_file() for path in store.rglob("*"))


def test_google_cloud_storage(tmp_path: Path, gs: str) -> None:
    round_trip(tmp_path, "gs://bucket/lempo")


def test_s3(tmp_path: Path, s3: str) -> None:
    round_trip(tmp_path, "s3://bucket/lempo", endpointurl=s3)


def round_trip(folder: Path, url: str, **options: str) -> None:
    """A stage's outputs are pushed, and pulled into another clone, where nothing is left to do."""
    (folder / "project").mkdir()
    project, clone = Project.at(folder / "project"), Project.at(folder / "clone")
    project.git("init", "-q", "-b", "main")
    dvc(project, "init", "-q")
    write = 'mkdir -p data/deep && echo "roads" > data/deep/a.txt && seq 200000 > table.txt'
    dvc(project, "stage", "add", "-q", "-n", "write", "-o", "data", "-o", "table.txt", write)
    dvc(project, "repro", "-q")
    dvc(project, "remote", "add", "-d", "store", url)
    for name, value in options.items():
        dvc(project, "remote", "modify", "store", name, value)
    project.commit("First run")
    assert "3 files pushed" in dvc(project, "push")  # a file, and a folder: its list and its file

    project.git("clone", "-q", str(project.folder), str(clone.folder))
    assert "Data and pipelines are up to date." not in dvc(clone, "status")
    dvc(clone, "pull", "-q")
    assert dvc(clone, "status").strip() == "Data and pipelines are up to date."
    for name in ("data/deep/a.txt", "table.txt"):
        assert (clone.folder / name).read_bytes() == (project.folder / name).read_bytes()
    assert "up to date" in dvc(project, "push")
    assert project.git("status", "--short") == clone.git("status", "--short") == ""


def dvc(project: Project, *arguments: str) -> str:
    """DVC of this very environment, which has the clients."""
    return project.run(sys.executable, "-m", "dvc", *arguments).stdout


@pytest.fixture
def ssh(tmp_path: Path, home: Path) -> Iterator[int]:
    """The port of an SSH server, and a key and a configuration with which this person reaches it."""
    pytest.importorskip("dvc_ssh", reason=f"dvc-ssh is not installed; {_EXTRA}")
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
    if sshd is None:
        pytest.skip("sshd is not installed; on Debian: apt install openssh-server")
    server = tmp_path / "server"
    server.mkdir()
    (home / ".ssh").mkdir(mode=0o700)
    for key in (server / "host_key", home / ".ssh/id_ed25519"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    port = free_port()
    (home / ".ssh/config").write_text(f"Host store-machine\n  HostName 127.0.0.1\n  Port {port}\n")
    (server / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {server}/host_key\n"
        f"AuthorizedKeysFile {home}/.ssh/id_ed25519.pub\nPasswordAuthentication no\n"
        "PidFile none\nStrictModes no\nUsePAM no\nSubsystem sftp internal-sftp\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(
            mode=0o755, exist_ok=True
        )  # as the system's own service does before it starts
    with open(server / "log", "w") as log:
        process = subprocess.Popen([sshd, "-D", "-e", "-f", str(server / "config")], stderr=log)
    try:
        wait_for(port, server / "log")
        yield port
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def gs(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server with one bucket, where Google's clients look for it."""
    pytest.importorskip("dvc_gs", reason=f"dvc-gs is not installed; {_EXTRA}")
    emulator = pytest.importorskip(
        "gcp_storage_emulator.server", reason=f"gcp-storage-emulator is not installed; {_EXTRA}"
    )
    port = free_port()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url := f"http://127.0.0.1:{port}")
    # gcsfs asks Google over gRPC which kind of bucket it is; the emulator has no gRPC.
    monkeypatch.setenv("GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT", "false")
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    server.start()
    try:
        yield url
    finally:
        server.stop()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a server with one bucket."""
    pytest.importorskip("dvc_s3", reason=f"dvc-s3 is not installed; {_EXTRA}")
    moto = pytest.importorskip("moto.server", reason=f"moto is not installed; {_EXTRA}")
    import boto3  # moto brings it

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="bucket")
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def wait_for(port: int, log: Path) -> None:
    """Until a server answers at the port."""
    until = time.monotonic() + _ANSWERS_WITHIN_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.05)
