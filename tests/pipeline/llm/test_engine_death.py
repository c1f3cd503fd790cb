"""The embedded captioner in real vLLM, its core killed in the middle of generating."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from pipeline.base.params import load_params
from pipeline.llm.vllm_engine import VllmEngine
from pipeline.llm.vllm_on_cpu import model_in_the_core
from tests.language_toy import caption_requests

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PARAMS = load_params(ROOT / "params.yaml")
SMALL = {"kv_cache_memory_bytes": 64_000_000, "max_num_seqs": 8}


def _cores() -> list[int]:
    children = psutil.Process().children(recursive=True)
    return [child.pid for child in children if "EngineCore" in child.name()]


def test_a_killed_core_is_noticed_at_once_and_started_again_and_no_row_is_lost(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    requests = [request for request, _ in caption_requests(40)]
    engine = VllmEngine(PARAMS.llm, SMALL, 0, ROOT)
    start, noticed, killed_at = engine._start, [], [0.0]

    def started_again() -> None:
        noticed.append(time.monotonic() - killed_at[0])
        start()

    monkeypatch.setattr(engine, "_start", started_again)
    try:
        results = []
        for result in engine.generate(requests):
            results.append(result)
            if len(results) == 5:
                (core,) = _cores()
                assert bool(psutil.Process(core).children()) == (not model_in_the_core({}))
                os.kill(core, signal.SIGKILL)
                killed_at[0] = time.monotonic()
    finally:
        engine.close()
    assert sorted(result.key for result in results) == sorted(request.key for request in requests)
    assert all(result.text and not result.error for result in results)
    assert len(noticed) == 1 and noticed[0] < 30
    assert "SIGKILL ended its process, as the system does where memory is short" in caplog.text
    assert _cores() == []
