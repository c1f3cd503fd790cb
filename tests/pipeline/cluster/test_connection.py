"""Who starts a cluster ends it, and a cluster that cannot be had is named."""

import socket
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.base.errors import UserError
from pipeline.cluster import connection
from pipeline.cluster.connection import RayCluster, connect, import_ray


class Ray:
    """The calls of Ray that a connection makes."""

    def __init__(self, running: bool, **resources: int) -> None:
        self.running, self.resources, self.shutdowns = running, {"CPU": 8, **resources}, 0
        self.data = SimpleNamespace()

    def is_initialized(self) -> bool:
        return self.running

    def init(self, address: str, **_: Any) -> None:
        if address != "local":
            raise ConnectionError(f"nobody at {address}")

    def cluster_resources(self) -> dict[str, int]:
        return self.resources

    def shutdown(self) -> None:
        self.shutdowns += 1


@pytest.fixture(autouse=True)
def nothing_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "ClusterWatch", lambda ray: SimpleNamespace(close=lambda: None))
    monkeypatch.setattr(connection, "guarded", lambda: None)


@pytest.mark.parametrize("running", [True, False])
def test_only_what_was_started_here_is_shut_down(running: bool) -> None:
    ray = Ray(running)
    cluster = RayCluster(ray, None)
    cluster.close()
    cluster.close()
    assert ray.shutdowns == (0 if running else 1)


def test_a_cluster_that_is_not_there_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:  # it is no cluster
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(UserError, match=rf"speed\.ray\.address.*no Ray cluster.*nobody at {address}"):
            connect(Ray(False), address)
    ray = Ray(False)
    ray.init = lambda **_: pytest.fail("Ray would try for minutes")  # type: ignore[method-assign]
    with pytest.raises(UserError, match=r"speed\.ray\.address.*no Ray cluster.*Connection refused"):
        connect(ray, address)


@pytest.mark.parametrize(
    ("device", "gpus", "on_cpus"),
    [("auto", 0, True), ("auto", 4, False), ("cpu", 4, True), ("cuda", 0, False)],
)
def test_models_run_where_the_cluster_computes(device: str, gpus: int, on_cpus: bool) -> None:
    cluster = RayCluster(Ray(True, **({"GPU": gpus} if gpus else {})), None)
    assert cluster.on_cpus(device) is on_cpus


@pytest.mark.parametrize(("field", "without"), [("llm.engine", "vllm"), ("speed.embed_engine", "local")])
def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, field: str, without: str) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=rf"{field}.*Ray cannot be imported.*the extra `ray`.*to {without}"):
        import_ray(field, without)
