"""The server as a command: its address, its end by signals, and what it says."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from PIL import Image

from lempo.search.indexing import index_folder
from lempo.search.settings import Settings
from pipeline.base.params import VlmParams

ROOT = Path(__file__).parents[3]
COMMAND = """
import sys, typer
from pathlib import Path
from lempo import cli
from lempo.search.serving import serve
from tests.lempo.search.toy_index import ToyIndex

@cli.app.command()
def toy(folder: Path, host: str, port: int, seconds: float):
    serve(lambda: ToyIndex(folder, seconds), host, port)

cli.main()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / "a.png")
    return tmp_path


@contextmanager
def _served(
    folder: Path, host: str = "127.0.0.1", port: int = 0, seconds: float = 0
) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "toy", str(folder), host, str(port), str(seconds)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    for line in process.stderr:
        found = re.search(r"The page: http://\S+?:(\d+)/", line)
        if found:
            return int(found[1])
    raise AssertionError("the server has ended")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_within_seconds_also_while_it_searches(folder: Path, number: int, code: int) -> None:
    with _served(folder, seconds=60) as process:
        port = _port(process)
        idle = http.client.HTTPConnection("127.0.0.1", port)
        idle.request("GET", "/api/info")
        assert idle.getresponse().read()  # and the connection stays open
        thread = threading.Thread(target=_search, args=(port,), daemon=True)
        thread.start()
        time.sleep(0.5)
        process.send_signal(number)
        start = time.monotonic()
        assert process.wait(8) == code
        assert time.monotonic() - start < 5
        assert process.stderr is not None
        said = process.stderr.read()
        assert "Traceback" not in said
        assert said.splitlines()[-1] == ("interrupted" if number == signal.SIGINT else "ended by SIGTERM")


def _search(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    body = json.dumps({"text": "red"})
    try:
        connection.request("POST", "/api/search", body, {"content-type": "application/json"})
        connection.getresponse()
    except OSError:
        pass


def test_an_address_in_use_is_one_line(folder: Path) -> None:
    with (
        closing(socket.create_server(("127.0.0.1", 0))) as taken,
        _served(folder, port=taken.getsockname()[1]) as process,
    ):
        assert process.wait(60) == 1
        assert process.stderr is not None
        said = process.stderr.read()
    assert said.startswith("error: field '--port': the address cannot be used: Address already in use")
    assert said.count("\n") == 1


@pytest.mark.slow
def test_an_address_for_others_is_said_and_loopback_is_the_only_one_that_checks_names(folder: Path) -> None:
    with _served(folder, host="0.0.0.0") as process:
        assert process.stderr is not None
        first = process.stderr.readline()
        assert first.startswith("warning: --host 0.0.0.0: whoever reaches this machine can search")
        port = _port(process)
        connection = http.client.HTTPConnection("127.0.0.1", port)
        connection.request("GET", "/api/info", headers={"host": "gpu.example"})
        assert connection.getresponse().status == 200


@pytest.mark.slow
def test_the_command_serves_an_index(tiny_vlm: VlmParams, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (200, 0, 0)).save(tmp_path / "a.png")
    index_folder(tmp_path, tmp_path / ".lempo-index", Settings(tiny_vlm))
    process = subprocess.Popen(
        [sys.executable, "-m", "lempo.cli", "serve", str(tmp_path), "--port", "0"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        connection = http.client.HTTPConnection("127.0.0.1", _port(process))
        connection.request("GET", "/api/images")
        assert json.loads(connection.getresponse().read())["images"][0]["image_id"] == "a.png"
        connection.request("GET", "/")
        assert b"<title>LEmpo search</title>" in connection.getresponse().read()
        process.send_signal(signal.SIGINT)
        assert process.wait(8) == 130
    finally:
        process.kill()
        process.wait()


def test_a_page_file_that_is_not_packed_would_be_missed() -> None:
    import tomllib

    from lempo.search.api import PAGE

    packed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"]
    patterns = packed["lempo.search"]
    found = {file for pattern in patterns for file in PAGE.parent.glob(pattern)}
    assert set(PAGE.iterdir()) <= found
