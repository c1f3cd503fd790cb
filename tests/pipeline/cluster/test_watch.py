"""The wait for a cluster that is lost ends; one that is only slow is waited for."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.cluster import watch as watching
from pipeline.cluster.watch import ClusterLost, ClusterWatch, until_lost

ROOT = Path(__file__).parents[3]


class Cluster:
    """A head and a raylet, of which only the ports are there."""

    def __init__(self) -> None:
        self.head, self.raylet = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))

    def get_runtime_context(self) -> Any:
        host, port = self.head.getsockname()
        return SimpleNamespace(get_node_id=lambda: "here", gcs_address=f"{host}:{port}")

    def nodes(self) -> list[dict[str, Any]]:
        host, port = self.raylet.getsockname()
        here = {"NodeID": "here", "NodeManagerAddress": host, "NodeManagerPort": port}
        return [{"NodeID": "there", "NodeManagerAddress": "nowhere", "NodeManagerPort": 1}, here]


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    monkeypatch.setattr(watching, "PERIOD_S", 0.02)
    monkeypatch.setattr(watching, "LOST_S", 0.3)
    cluster = Cluster()
    yield cluster
    cluster.head.close()
    cluster.raylet.close()


def _slow(cluster: Cluster, change: str) -> Iterator[int]:
    yield 1
    time.sleep(0.6)  # longer than LOST_S
    yield 2
    if change in ("head", "raylet"):
        getattr(cluster, change).close()
    elif change == "broken":
        raise ValueError("a block is broken")
    time.sleep(1 if change else 0)
    yield 3


@pytest.mark.parametrize("change", ["head", "raylet"])
def test_blocks_come_until_the_cluster_is_lost(cluster: Cluster, change: str) -> None:
    watch = ClusterWatch(cluster)
    blocks = until_lost(_slow(cluster, change), watch.lost)
    assert [next(blocks), next(blocks)] == [1, 2]
    with pytest.raises(ClusterLost):
        next(blocks)
    watch.close()


def test_a_slow_cluster_is_waited_for_and_errors_come_through(cluster: Cluster) -> None:
    watch = ClusterWatch(cluster)
    assert list(until_lost(_slow(cluster, ""), watch.lost)) == [1, 2, 3]
    with pytest.raises(ValueError, match="a block is broken"):
        list(until_lost(_slow(cluster, "broken"), watch.lost))
    watch.close()


SCRIPT = f"""
import sys, time; sys.path.insert(0, {str(ROOT)!r})
import psutil
from pipeline.cluster.connection import connect, import_ray
from pipeline.cluster.watch import ClusterLost, ClusterWatch, until_lost
ray = import_ray("llm.engine", "vllm")
connect(ray, None)
watch = ClusterWatch(ray)

class Slow:
    def __call__(self, batch):
        time.sleep(0.5)
        return batch

blocks = ray.data.range(200, override_num_blocks=200).map_batches(Slow, concurrency=1)
waited = until_lost(blocks.iter_batches(batch_size=None), watch.lost)
next(waited)
(raylet,) = [child for child in psutil.Process().children(recursive=True) if child.name() == "raylet"]
raylet.kill()
since = time.monotonic()
try:
    list(waited)
except ClusterLost:
    watch.close()
    ray.shutdown()
    print("seconds", time.monotonic() - since)
"""


@pytest.mark.slow
def test_the_death_of_a_real_raylet_is_noticed_within_a_minute() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.split("seconds")[1]) < 60
