"""A real Ray cluster of several nodes on one machine."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.cluster.connection import import_ray


@contextmanager
def one_node(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[Any]:
    """A cluster of one node so far, of one core; what it leaves running is ended."""
    quick = {
        "OMP_NUM_THREADS": "1",
        "RAY_raylet_start_wait_time_s": "120",
        "RAY_health_check_period_ms": "1000",  # a dead node is seen in a third of the time
    }
    for name, value in (quick | environment).items():
        monkeypatch.setenv(name, value)
    import_ray("llm.engine", "vllm")
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield cluster
    finally:
        cluster.shutdown()


def running_replicas() -> list[dict[str, Any]]:
    """The actors of Ray Data that are alive, as Ray's state tells them."""
    from ray._private import state

    alive = state.actors(actor_state_name="ALIVE").values()
    return [actor for actor in alive if "MapWorker" in actor["ActorClassName"]]
