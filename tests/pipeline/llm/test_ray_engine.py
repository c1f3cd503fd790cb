"""Real Ray Data and vLLM on a cluster of two nodes, one of them killed; the engine's own loop without Ray."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest

from pipeline.base.errors import UserError
from pipeline.base.params import Params, load_params
from pipeline.llm import ray_engine
from pipeline.llm.engines import open_engine
from pipeline.llm.identity import model_identity
from pipeline.llm.ray_engine import RayEngine
from pipeline.llm.ray_rows import ERROR, ROW
from pipeline.llm.types import Request, Result, Sampling
from pipeline.llm.vllm_engine import VllmEngine
from tests.language_toy import caption_requests
from tests.pipeline.cluster.nodes import one_node, running_replicas
from tests.pipeline.llm.test_ray_rows import END, Plain

ROOT = Path(__file__).parents[3]
PARAMS = load_params(ROOT / "params.yaml")
GREEDY = Sampling.of(0, 1, 0)
DRAWN: list[tuple[float, dict[str, Any]]] = [  # each gives another text than all others
    (0.0, {"stop": " the"}), (0.0, {"repetition_penalty": 20.0}),
    (2.0, {"top_k": 20, "min_p": 0.001, "presence_penalty": 1.0, "stop_token_ids": [9]}),
]  # fmt: skip
SMALL = {"kv_cache_memory_bytes": 64_000_000, "max_num_seqs": 8}


def _params(address: str | None = None, replicas: int = 1, **llm: Any) -> Params:
    ray = PARAMS.speed.ray.model_copy(update={"address": address, "replicas": replicas})
    speed = PARAMS.speed.model_copy(update={"llm": SMALL, "ray": ray, "device": "cpu"})
    return PARAMS.model_copy(
        update={"llm": PARAMS.llm.model_copy(update={"engine": "ray", **llm}), "speed": speed}
    )


class Block(dict[str, pa.Array]):
    """A column of rows, as a table gives it."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        super().__init__({ROW: SimpleNamespace(to_pylist=lambda: rows)})


class Scripted(RayEngine):
    """Ray's part is played by a function from the blocks of a dataset to those that come out."""

    def __init__(self, blocks_out: Callable[[list[pa.Table]], Iterator[Block]]) -> None:
        self._model, self._rows = "a model", Plain()
        self.datasets: list[list[pa.Table]] = []
        ray = SimpleNamespace(put=lambda table: table, data=self)
        self._cluster: Any = SimpleNamespace(ray=ray, blocks=blocks_out)
        self._processor = lambda blocks: blocks

    def from_arrow_refs(self, blocks: list[pa.Table]) -> list[pa.Table]:
        self.datasets.append(blocks)
        return blocks


def _answered(block: pa.Table) -> Block:
    answer = {ERROR: "", "generated_tokens": [5, END], "generated_text": "a text", "num_input_tokens": 4}
    return Block([{**answer, "key": row["key"]} for row in block[ROW].to_pylist()])


def _requests(count: int, content: str = "abcd") -> list[Request]:
    return [Request(f"k{i}", [{"role": "user", "content": content}], GREEDY, 10, None) for i in range(count)]


def test_requests_are_read_in_pieces_and_answered_as_blocks_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "BATCH_ROWS", 2)
    monkeypatch.setattr(ray_engine, "DATASET_ROWS", 6)
    engine = Scripted(lambda blocks: (_answered(block) for block in reversed(blocks)))
    read: list[str] = []

    def source() -> Iterator[Request]:
        for request in [*_requests(9), *_requests(1, "a" * 12)]:
            read.append(request.key)
            yield request

    results = engine.generate(source())
    assert next(results).key == "k4" and len(read) == 6
    rest = list(results)
    assert [len(blocks) for blocks in engine.datasets] == [3, 2]
    assert sorted(result.key for result in rest) == sorted(read)[:1] + sorted(read)[1:5] + sorted(read)[6:]
    assert [result.permanent for result in rest].count(True) == 1


def test_what_ray_gives_up_comes_as_failed_results(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "BATCH_ROWS", 2)

    def broken(blocks: list[pa.Table]) -> Iterator[Block]:
        yield _answered(blocks[0])
        yield _answered(blocks[0])  # a task done twice
        raise RuntimeError("a machine\nis lost")

    results = list(Scripted(broken).generate(_requests(5)))
    assert [(result.key, result.text) for result in results[:2]] == [("k0", "a text"), ("k1", "a text")]
    assert [result.key for result in results[2:]] == ["k2", "k3", "k4"]
    assert {result.error for result in results[2:]} == {
        "Ray gave the request up: RuntimeError: a machine is lost"
    }
    assert not any(result.permanent for result in results)
    lost = list(Scripted(lambda blocks: iter([_answered(blocks[1])])).generate(_requests(4)))
    assert [result.error is None for result in lost] == [True, True, False, False]


def test_a_model_that_never_runs_ends_the_run() -> None:
    def dead(blocks: list[pa.Table]) -> Iterator[Block]:
        raise RuntimeError("no memory")
        yield

    with pytest.raises(UserError, match=r"Ray could not run the model.*a model: RuntimeError: no memory"):
        list(Scripted(dead).generate(_requests(3)))


def test_texts_of_one_engine_serve_the_other(tmp_path: Path) -> None:
    ray, vllm = _params().llm, _params(engine="vllm").llm
    assert model_identity(ray, tmp_path, ROOT) == model_identity(vllm, tmp_path, ROOT)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    sooner = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}  # starts sooner; decodes slower
    with one_node(monkeypatch, VLLM_CPU_OMP_THREADS_BIND="nobind", **sooner) as cluster:
        yield cluster


@pytest.mark.slow
def test_a_node_killed_in_the_run_loses_no_row(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "BATCH_ROWS", 8)
    requests = [request for request, _ in caption_requests(240)]
    long = Request("long", [{"role": "user", "content": "car " * 600}], GREEDY, 60, None)
    none = Request("none", requests[0].messages, GREEDY, 0, None)
    schema = {"type": "object", "properties": {"caption": {"type": "string", "maxLength": 9}}}
    schema |= {"required": ["caption"], "additionalProperties": False}
    under = replace(requests[0], key="json", json_schema=schema)
    drawn = [
        replace(requests[0], key=f"drawn {i}", sampling=Sampling.of(heat, 1.0, 0, further), seed=5)
        for i, (heat, further) in enumerate(DRAWN)
    ]
    asked = [*requests, long, none, under, *drawn]
    second = cluster.add_node(num_cpus=1)
    engine = open_engine(_params(cluster.address, replicas=2, output="json"), ROOT)
    effective = engine.effective() or {}
    assert (effective["device"], effective["dtype"], effective["max_num_seqs"]) == ("cpu", "float32", 8)
    results: list[Result] = []
    when_killed = 0
    for result in engine.generate(asked):
        results.append(result)
        if not when_killed and len(results) >= 16 and len(replicas := running_replicas()) == 2:
            (victim,) = [actor["Pid"] for actor in replicas if actor["Address"]["NodeID"] == second.node_id]
            cluster.remove_node(second, allow_graceful=False)
            with suppress(ProcessLookupError):
                os.killpg(victim, signal.SIGKILL)  # the rest of the machine: vLLM's core
            when_killed = len(results)
    engine.close()

    assert 16 <= when_killed < 200
    assert len(results) == len(asked)
    by_key = {result.key: result for result in results}
    assert set(by_key) == {request.key for request in asked}
    assert [key for key, result in by_key.items() if result.error] == ["long", "none"]
    assert by_key["long"].permanent and not by_key["none"].permanent

    assert json.loads(by_key["json"].text or "").keys() == {"caption"}

    params = _params(output="json")
    alone = VllmEngine(params.llm, params.speed.llm, params.seed, ROOT)
    expected = {result.key: result for result in alone.generate(asked)}
    alone.close()
    assert len({by_key[request.key].text for request in [requests[0], *drawn]}) == len(drawn) + 1
    ties = [key for key, result in by_key.items() if result.text != expected[key].text]
    print(f"{len(ties)} of {len(asked)} texts differ; {when_killed} had come when the node was killed")
    assert len(ties) <= 0.02 * len(asked)
    for key in by_key.keys() - {*ties, "none"}:
        assert by_key[key] == replace(expected[key], cached_tokens=None)
