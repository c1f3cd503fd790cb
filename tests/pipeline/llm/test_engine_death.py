"""The embedded captioner in real vLLM, its core killed or stopped in the middle of generating."""

import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from pipeline.base.guard import STOPPED_S
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


@pytest.mark.parametrize(
    ("sent", "longest", "said"),
    [
        (signal.SIGKILL, 30, "SIGKILL ended its process, as the system does where memory is short"),
        (signal.SIGSTOP, STOPPED_S + 30, "a process of it was stopped for 30 s, and then ended"),
    ],
    ids=["killed", "stopped"],
)
def test_the_end_of_a_core_is_noticed_and_it_is_started_again_and_no_row_is_lost(
    sent: signal.Signals,
    longest: float,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "1")
    requests = [request for request, _ in caption_requests(40)]
    engine = VllmEngine(PARAMS.llm, SMALL, 0, ROOT)
    start, noticed, sent_at = engine._start, [], [0.0]

    def started_again() -> None:
        noticed.append(time.monotonic() - sent_at[0])
        start()

    monkeypatch.setattr(engine, "_start", started_again)
    try:
        results = []
        for result in engine.generate(requests):
            results.append(result)
            if len(results) == 5:
                (core,) = _cores()
                assert bool(psutil.Process(core).children()) == (not model_in_the_core({}))
                os.kill(core, sent)
                sent_at[0] = time.monotonic()
    finally:
        engine.close()
    assert sorted(result.key for result in results) == sorted(request.key for request in requests)
    assert all(result.text and not result.error for result in results)
    assert len(noticed) == 1 and noticed[0] < longest
    assert said in caplog.text
    assert _cores() == []
