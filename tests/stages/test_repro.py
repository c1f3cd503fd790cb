"""`dvc repro` succeeds after any change, and makes again what a stage that is run by hand refuses."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.exchanges import change_rows, shift
from tests.project import Project

pytestmark = pytest.mark.slow


class _Handler(BaseHTTPRequestHandler):
    """A server of a language model that always says the same."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._send({"data": [{"id": "served", "root": "served", "created": 1}]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        choice = {"index": 0, "message": {"role": "assistant", "content": "A red roof."}}
        usage = {"prompt_tokens": 9, "completion_tokens": 4, "total_tokens": 13}
        self._send({"choices": [{**choice, "finish_reason": "stop"}], "usage": usage})

    def _send(self, value: object) -> None:
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def project(tmp_path: Path, programs: Path) -> Iterator[Project]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    project = Project(tmp_path / "project", programs=programs)
    project.set(
        datasets=["airplane"], tune__epochs=0, comparators__epochs=1, report__queries=4,
        llm__engine="endpoint", llm__model="served", llm__repairs=0,
        llm__endpoint=f"http://127.0.0.1:{server.server_address[1]}/v1",
    )  # fmt: skip
    project.set("worlds/airplane/world.yaml", families={"train": 1, "val": 1, "test": 1})
    project.commit("Small")
    yield project
    server.shutdown()


def _lempo(project: Project, *arguments: str) -> str:
    """What a command that must fail says."""
    done = project.run("lempo", *arguments, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stderr


def test_repro_after_any_change_makes_again_what_a_stage_by_hand_refuses(project: Project) -> None:
    project.repro()
    project.commit("First run")

    prompt = project.folder / "prompts/caption.txt"
    prompt.write_text(prompt.read_text().replace("You describe", "You tell of", 1))
    project.set(tune__temperature=0.02, comparators__epochs=2, embed__dtype="float32", llm__top_p=0.9)
    assert "another llm.top_p: 1.0, not 0.9" in _lempo(project, "captions", "airplane")
    assert "dvc repro embed" in _lempo(project, "tune", "airplane")
    ran = {name.split("@")[0] for name in project.repro()}
    assert ran == {"pairs", "interpret", "caption", "embed", "tune", "evaluate", "report"}
    assert "Data and pipelines are up to date" in project.dvc("status", "--with-deps", "report")

    queries = project.paths.pairs("airplane")
    before = queries.read_bytes()
    queries.chmod(0o644)
    change_rows(queries, shift("modification"))
    assert "content is not what was written" in _lempo(project, "caption")
    project.repro()
    assert queries.read_bytes() == before
    assert "Data and pipelines are up to date" in project.dvc("status", "--with-deps", "report")
