"""Ray, imported quietly, and a connection to a cluster."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Generator
from contextlib import closing
from typing import Any

from pipeline.base.errors import UserError, one_line, parameter_error
from pipeline.base.guard import guarded
from pipeline.base.interrupts import received
from pipeline.cluster.watch import ClusterLost, ClusterWatch, until_lost

_SECRET = ("VLLM_API_KEY",)  # Ray shows what it passes on
_PASSED_ON = ("DO_NOT_TRACK", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "TOKENIZERS_PARALLELISM")
_KNOCK_S = 10.0  # that the head of a cluster may take to answer
_ENVIRONMENT = {  # Ray reads it when it is imported; what a person has set stays
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_ENABLE_AUTO_CONNECT": "0",  # a thread of Ray that ends late would start another cluster
    "RAY_process_group_cleanup_enabled": "1",  # a killed replica takes its own processes along
}


def import_ray(field: str, without: str) -> Any:
    """Ray, with its logs turned off.

    Args:
        field: the parameter that asked for Ray.
        without: its value that does without Ray.

    Raises:
        UserError: Ray is not installed.
    """
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError as error:
        remedy = f"Install the extra `ray` of this project, or set {field} to {without}"
        raise parameter_error("Ray cannot be imported", remedy, field, one_line(error)) from None
    for name in ("ray", "ray.data", "ray.llm", "ray._private.worker"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("ray.llm").addHandler(logging.NullHandler())  # else it adds one that prints everything
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    context.max_errored_blocks = -1  # a task that keeps failing costs its own rows only
    return ray


class RayCluster:
    """Connects on construction to the cluster at `address`, or starts one on this machine where that is None.

    Raises:
        UserError: there is no such cluster, or Ray cannot start.
    """

    def __init__(self, ray: Any, address: str | None) -> None:
        self.ray, self._address = ray, address
        self._watch: ClusterWatch | None = None
        guarded()  # a cluster that is started here runs wholly in children of this process
        self._connected = connect(ray, address)
        try:
            self._watch = ClusterWatch(ray)
        except BaseException:
            self.close()
            raise

    def on_cpus(self, device: str) -> bool:
        """Whether models run on CPUs, by `speed.device`; the cluster's machines may differ from this one."""
        if device == "auto":
            return not self.ray.cluster_resources().get("GPU", 0)
        return device == "cpu"

    def blocks(self, dataset: Any) -> Generator[Any]:
        """The Arrow tables of a Ray dataset, as its tasks end; close it where the rest is not wanted.

        Raises:
            UserError: the cluster is lost. Errors of Ray are raised as they are.
        """
        assert self._watch is not None
        batches = dataset.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
        try:
            with closing(until_lost(batches, self._watch.lost)) as blocks:
                yield from blocks
        except ClusterLost:
            raise UserError(
                "the Ray cluster no longer answers: a process of it was killed, or a machine is lost",
                "See to its memory and its machines, then run the stage again: what was computed is kept",
                field="speed.ray.address",
                value=self._address,
            ) from None

    def close(self) -> None:
        """Leave the cluster, or end it if it was started here."""
        if self._watch is not None:
            self._watch.close()
        if self._connected:
            self._connected = False
            if not received():  # else this process ends at once, and the guard ends the cluster
                self.ray.shutdown()


def connect(ray: Any, address: str | None) -> bool:
    """Start a cluster on this machine (`address` None) or join one; False where Ray is connected already."""
    if ray.is_initialized():
        return False
    options = {"include_dashboard": False} if address is None else {}
    passed = {
        name: value for name, value in os.environ.items() if name.startswith("VLLM_") and name not in _SECRET
    }
    passed |= {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    handler = signal.getsignal(signal.SIGTERM)
    try:
        _knock(address)
        ray.init(
            address=address or "local",
            runtime_env={"env_vars": passed},
            log_to_driver=False,
            logging_level=logging.ERROR,
            **options,
        )
    except Exception as error:
        reason = "there is no Ray cluster to connect to" if address else "Ray could not start on this machine"
        remedy = "Start one with `ray start --head`, or correct the address; null starts one on this machine"
        value = f"{address}: {one_line(error)}"
        raise parameter_error(reason, remedy, "speed.ray.address", value) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, handler)  # Ray has put its own there
    return True


def _knock(address: str | None) -> None:
    """Fail at once where nobody listens at `host:port`: Ray itself tries for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), _KNOCK_S).close()
