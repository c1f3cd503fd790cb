"""A real `vllm serve` with the embedded captioner as the endpoint of `lempo caption`."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.base.params import load_params
from pipeline.llm.endpoint_engine import EndpointEngine
from pipeline.llm.types import Request, Sampling
from tests.project import ROOT, Project
from tests.ties import TIE, caption_messages, raw_texts, scorer

pytestmark = pytest.mark.slow

DATASETS = ["airplane", "mixed"]
STAGE = (sys.executable, "-m", "lempo.cli", "caption")


# what a model's authors may recommend: the server would use it where a request does not say otherwise
RECOMMENDED = {"do_sample": True, "top_k": 1, "repetition_penalty": 20.0, "presence_penalty": 1.5}


class Serve:
    """The server: one port, any number of starts; `further` arguments are vLLM's.

    Its model is a copy with `RECOMMENDED`.
    """

    def __init__(self, folder: Path, model: Path = ROOT / "models/captioner", *further: str) -> None:
        self._further = further
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        self._log = folder / "serve.log"
        self._model = Path(shutil.copytree(model, folder / model.name))
        config = self._model / "generation_config.json"
        own = json.loads(config.read_text()) if config.is_file() else {}
        config.write_text(json.dumps(own | RECOMMENDED))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [
            sys.executable, "-m", "vllm.entrypoints.openai.api_server",  # the CPU wheel has no `vllm serve`
            "--model", str(self._model), "--served-model-name", self._model.name,
            "--host", "127.0.0.1", "--port", str(self.port),
            "--dtype", "float32", "--max-model-len", "512", "--no-enable-chunked-prefill", "--enforce-eager",
            "--block-size", "32", "--kv-cache-memory-bytes", "64000000", "--max-num-seqs", "16",
            *self._further,
        ]  # fmt: skip
        environment = os.environ | {
            "VLLM_NO_USAGE_STATS": "1",
            "HF_HUB_OFFLINE": "1",
            "VLLM_CPU_OMP_THREADS_BIND": "nobind",
            "OMP_NUM_THREADS": "1",
        }
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def wait(self) -> None:
        deadline = time.monotonic() + 240
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            with suppress(httpx.TransportError):
                if httpx.get(self.url + "/models", timeout=5).status_code == 200:
                    return
            time.sleep(0.2)
        raise AssertionError("the server did not start:\n" + self._log.read_text()[-3000:])

    def kill(self) -> None:
        """At once, with all its processes."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    serve = Serve(tmp_path_factory.mktemp("serve"))
    serve.start()
    yield serve
    serve.kill()


@pytest.fixture(scope="module")
def in_process(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Made while the server starts."""
    vllm = {"max_num_seqs": 16, "kv_cache_memory_bytes": 64_000_000}
    project = Project.small(tmp_path_factory.mktemp("project"), DATASETS, llm__repairs=0, speed__llm=vllm)
    project.run(*STAGE)
    return project


def _endpoint(in_process: Project, serve: Serve, folder: Path, **speed: float) -> Project:
    project = Project(folder / "project", copy=in_process.folder)
    project.set(llm__engine="endpoint", llm__endpoint=serve.url, llm__model="captioner")
    project.set(**{f"speed__{name}": value for name, value in speed.items()})
    for file in (project.paths.cache / "llm").glob("*.parquet"):
        file.unlink()
    return project


def _assert_same_but_for_ties(one: Project, other: Project) -> None:
    ours, theirs = one.pseudo_captions(), other.pseudo_captions()
    assert ours.keys() == theirs.keys() and all(row["status"] == "ok" for row in ours.values())
    assert all(ours[name]["prompt_tokens"] == theirs[name]["prompt_tokens"] for name in ours)
    different = [name for name in ours if ours[name]["text"] != theirs[name]["text"]]
    print(f"{len(different)} of {len(ours)} texts differ")
    messages = caption_messages(other, DATASETS)
    mine = raw_texts(one, {name: ours[name]["row_key"] for name in different})
    others = raw_texts(other, {name: theirs[name]["row_key"] for name in different})
    for name in different:
        gap = scorer().tie(messages[name], mine[name] or "", others[name] or "")
        print(f"{name}: the texts part where two tokens lie {gap:.1e} apart")
        assert gap < TIE


def test_a_server_writes_what_the_engine_in_process_writes(
    serve: Serve, in_process: Project, tmp_path: Path
) -> None:
    served = _endpoint(in_process, serve, tmp_path)
    serve.wait()
    served.run(*STAGE)
    _assert_same_but_for_ties(served, in_process)
    assert json.loads(served.paths.speed("caption").read_text())["prefix_hit_rate"] is None


def test_a_request_has_its_own_seed(serve: Serve, in_process: Project, tmp_path: Path) -> None:
    serve.wait()
    params = load_params(_endpoint(in_process, serve, tmp_path).folder / "params.yaml")
    messages = next(iter(caption_messages(in_process, DATASETS).values()))
    seeds = {"a": 1, "b": 2, "again": 1, "c": 3, "d": 4}
    engine = EndpointEngine(params.llm, params.speed)
    try:
        requests = [Request(key, messages, Sampling.of(1.5, 1.0, 0), 60, seed) for key, seed in seeds.items()]
        texts = {result.key: result.text for result in engine.generate(requests)}
    finally:
        engine.close()
    assert texts["a"] and texts["a"] == texts["again"] and len(set(texts.values())) > 1


def test_sampling_has_the_effect_that_it_has_in_process(
    serve: Serve, in_process: Project, tmp_path: Path
) -> None:
    serve.wait()
    params = load_params(_endpoint(in_process, serve, tmp_path).folder / "params.yaml")
    messages = list(caption_messages(in_process, DATASETS).values())[:4]

    def said(temperature: float, **further: Any) -> list[str]:
        sampling = Sampling.of(temperature, 1.0, 0, further)
        engine = EndpointEngine(params.llm, params.speed)
        try:
            requests = [Request(str(i), asked, sampling, 60, i) for i, asked in enumerate(messages)]
            texts = {result.key: result.text or "" for result in engine.generate(requests)}
        finally:
            engine.close()
        return [texts[request.key] for request in requests]

    greedy = said(0)
    assert said(2, top_k=1) == said(2, min_p=1.0) == greedy != said(2)
    assert said(0, stop=" the") == [text.partition(" the")[0] for text in greedy] != greedy
    assert any(" the" in text for text in greedy)
    assert said(0, repetition_penalty=20.0) != greedy


def test_a_server_that_is_killed_and_comes_back_loses_no_row(
    serve: Serve, in_process: Project, tmp_path: Path
) -> None:
    serve.wait()
    served = _endpoint(in_process, serve, tmp_path, endpoint_concurrency=8, endpoint_retries=12)
    process = served.start(*STAGE)
    while process.poll() is None and not list((served.paths.cache / "llm").glob("*.parquet")):
        time.sleep(0.02)
    assert process.poll() is None, (served.folder / "said.log").read_text()
    serve.kill()
    time.sleep(1)
    serve.start()
    serve.wait()
    assert process.wait(90) == 0, (served.folder / "said.log").read_text()
    speed = json.loads(served.paths.speed("caption").read_text())
    assert speed["generated"] == json.loads(in_process.paths.speed("caption").read_text())["generated"]
    _assert_same_but_for_ties(served, in_process)
