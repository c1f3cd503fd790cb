"""On a CPU, vLLM's core runs the model in its own process.

By itself vLLM gives the model a further process there, to set the threads of each. That one imports all of
vLLM once more, and every step is handed to it. Where there is one model, its core can have these threads.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

_IN_THE_CORE = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
_EXECUTOR = "distributed_executor_backend"
_THREADS = "OMP_NUM_THREADS"
_BINDING, _UNBOUND = "VLLM_CPU_OMP_THREADS_BIND", "nobind"
_RESERVED = "VLLM_CPU_NUM_OF_RESERVED_CPU"
_PARTS = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")


def model_in_the_core(engine: Mapping[str, Any]) -> dict[str, Any]:
    """vLLM's arguments for a model that is in one part; others, and an executor that is named, stay.

    On a machine with several memory nodes all stays too: there vLLM keeps the model's process at one of them.
    So it does where a person has set how vLLM binds its threads.
    """
    whole = all(int(engine.get(part) or 1) == 1 for part in _PARTS)
    bound = os.environ.get(_BINDING, _UNBOUND) != _UNBOUND or _RESERVED in os.environ
    if not whole or bound or len({cpu.numa_node for cpu in _allowed_cpus()}) > 1:
        return dict(engine)
    return {_EXECUTOR: _IN_THE_CORE, **engine}


@contextmanager
def threads_of_the_core(engine: Mapping[str, Any]) -> Iterator[None]:
    """While the core starts: one thread for each processor core but one, which this process needs.

    A number of threads that a person has set stays.
    """
    if engine.get(_EXECUTOR) != _IN_THE_CORE or _THREADS in os.environ:
        yield
        return
    cores = {cpu.physical_core for cpu in _allowed_cpus()}
    os.environ[_THREADS] = str(max(1, len(cores) - 1))
    try:
        yield
    finally:
        del os.environ[_THREADS]


def _allowed_cpus() -> list[Any]:
    from vllm.utils.cpu_resource_utils import get_allowed_cpu_list

    return get_allowed_cpu_list()
