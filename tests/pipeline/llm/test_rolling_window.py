"""The rolling window with an engine that crashes: requests outlive it, all but the one to blame."""

from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.base.errors import UserError
from pipeline.llm.core_death import CoreWatch
from pipeline.llm.types import Request, Result, Sampling
from pipeline.llm.vllm_engine import VllmEngine

GREEDY = Sampling.of(0, 1, 0)


class Crashing(VllmEngine):
    """vLLM's part is played by lists; a step with the poisonous request in flight kills the engine."""

    def __init__(self, window: int, crashes: int = 10**9) -> None:
        self._window = window
        self._chat: Any = SimpleNamespace(answer=lambda request, text: text)
        self.starts = 0
        self.crashes = crashes
        self.number = 0
        self.most = 0
        self._start()

    def _start(self) -> None:
        self.starts += 1
        self.running: list[tuple[str, Request]] = []
        self._death = CoreWatch(None)
        self._llm: Any = SimpleNamespace(llm_engine=SimpleNamespace(step=self._step))

    def close(self) -> None:
        self._llm = None

    def _submit(self, request: Request) -> Result | str:
        if request.key == "refused":
            return Result(request.key, error="refused")
        self.number += 1
        self.running.append((str(self.number), request))
        self.most = max(self.most, len(self.running))
        return str(self.number)

    def _step(self) -> list[Any]:
        if self.crashes and any(request.key == "poison" for _, request in self.running):
            self.crashes -= 1
            raise RuntimeError("engine core\ndied")
        name, request = self.running.pop()
        completion = SimpleNamespace(finish_reason="stop", text=request.key.upper(), token_ids=[1, 2])
        return [
            SimpleNamespace(
                request_id=name,
                finished=True,
                outputs=[completion],
                prompt_token_ids=[1],
                num_cached_tokens=0,
            )
        ]


def _requests(*keys: str) -> list[Request]:
    return [Request(key, [{"role": "user", "content": key}], GREEDY, 10, None) for key in keys]


def test_the_window_is_never_exceeded_and_nothing_is_lost() -> None:
    engine = Crashing(window=3)
    keys = [f"k{i}" for i in range(20)] + ["refused"]
    results = {result.key: result for result in engine.generate(_requests(*keys))}
    assert set(results) == set(keys) and engine.most == 3 and engine.starts == 1
    assert results["refused"].error == "refused" and results["k3"].text == "K3"


def test_requests_in_flight_survive_a_crash() -> None:
    engine = Crashing(window=4, crashes=1)
    keys = ["a", "poison", *(f"k{i}" for i in range(10))]
    results = [result for result in engine.generate(_requests(*keys))]
    assert sorted(result.key for result in results) == sorted(keys)
    assert all(result.error is None for result in results) and engine.starts == 2


@pytest.mark.parametrize("window", [1, 4])
def test_a_request_that_keeps_crashing_the_engine_fails_and_the_batch_goes_on(window: int) -> None:
    engine = Crashing(window)
    keys = [*(f"a{i}" for i in range(6)), "poison", *(f"b{i}" for i in range(6))]
    results = {result.key: result for result in engine.generate(_requests(*keys))}
    assert set(results) == set(keys)
    assert [key for key, result in results.items() if result.error] == ["poison"]
    assert results["poison"].error == "the engine died: RuntimeError: engine core died"
    assert engine.starts == 3


def test_an_engine_that_dies_whatever_it_is_asked_ends_the_run() -> None:
    class Dead(Crashing):
        def _step(self) -> list[Any]:
            raise RuntimeError("no memory")

    engine, failed = Dead(window=5), []
    with pytest.raises(UserError, match="dies whatever it is asked"):
        failed.extend(engine.generate(_requests(*(f"k{i}" for i in range(20)))))
    assert engine.starts == 4


def test_a_death_noticed_while_handing_over_a_request_loses_none() -> None:
    class Handover(Crashing):
        def _submit(self, request: Request) -> Result | str:
            if request.key == "k5" and self.crashes:
                self.crashes -= 1
                raise RuntimeError("dead")
            return super()._submit(request)

    engine = Handover(window=3, crashes=1)
    keys = [f"k{i}" for i in range(10)]
    results = [result for result in engine.generate(_requests(*keys))]
    assert sorted(result.key for result in results) == keys and engine.starts == 2
    assert all(result.error is None for result in results)
