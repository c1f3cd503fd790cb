"""A project of a tiny dataset that runs the whole pipeline by DVC, and a server that writes its texts."""

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.pipeline.corpus.source import Source
from tests.project import Project

OUTS = ("data", "metrics", "plots", "report")


class _Writer(BaseHTTPRequestHandler):
    """An OpenAI-compatible server whose texts follow from the prompt alone."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._send({"data": [{"id": "writer", "root": "writer", "revision": "1"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = body["messages"][-1]["content"]
        colour = next((word for word in ("green", "blue", "red") if word in asked[-40:]), "red")
        text = f"A park with one {colour} roof at the top left and a tree. The roof is next to the tree."
        if body.get("temperature"):
            drawn = hashlib.sha256(f"{asked}{body.get('seed')}".encode()).hexdigest()
            text += f" Version {drawn[:4]}."
        if "response_format" in body:
            text = json.dumps({"caption": text})
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        self._send({"choices": [choice], "usage": {"prompt_tokens": 50, "completion_tokens": 30}})

    def _send(self, value: dict[str, Any]) -> None:
        content = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def writer() -> Iterator[str]:
    """Run the server; gives its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Writer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()


def tiny_project(folder: Path, url: str | None, programs: Path | None = None) -> Project:
    """The project with a tiny dataset in `tiny/`; its texts come from the server, or from vLLM.

    Args:
        programs: as in `Project`.
    """
    project = Project(folder, programs=programs)
    Source(folder / "tiny/parks")
    project.set(
        datasets=["parks"], corpus__root="tiny", tune__epochs=2, comparators__epochs=2, speed__workers=1
    )
    if url is not None:
        serve_texts(project, url)
    (folder / "lempo-of-this-copy").mkdir()
    script = folder / "lempo-of-this-copy/lempo"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m lempo.cli "$@"\n')
    script.chmod(0o755)
    project.commit("A tiny dataset")
    return project


def serve_texts(project: Project, url: str) -> None:
    """Let the texts come from the server."""
    project.set(llm__engine="endpoint", llm__endpoint=url, llm__model="writer")


def run_in(
    project: Project, *command: str, **environment: str
) -> tuple[subprocess.CompletedProcess[str], float]:
    """Run a command with the copy's own `lempo`; gives what it said, and its peak memory in MiB."""
    scripts = project.folder / "lempo-of-this-copy"
    base = project.environment
    path = f"{scripts}{os.pathsep}{base['PATH']}"
    said = project.folder / "said.log"
    with open(said, "w") as log:
        process = subprocess.Popen(
            command, cwd=project.folder, env={**base, "PATH": path, **environment}, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    text = said.read_text(errors="replace")
    said.unlink()
    return subprocess.CompletedProcess(command, process.returncode, text, ""), usage.ru_maxrss / 1024


def outs(project: Project) -> dict[str, str]:
    """The sha256 of every file that the pipeline writes, by its name; figures of speed are not among them."""
    found = {}
    for top in OUTS:
        for path in sorted((project.folder / top).rglob("*")):
            name = path.relative_to(project.folder).as_posix()
            if path.is_file() and not name.startswith("metrics/speed/"):
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def differing(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Names of files that only one of two runs has, or whose bytes differ."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
