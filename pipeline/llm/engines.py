"""Opens the engine that the parameters name. Importing this module imports no engine."""

from pathlib import Path

from pipeline.base.params import Params
from pipeline.llm.types import Engine


def open_engine(params: Params, root: Path) -> Engine:
    """Load the model, or connect to the cluster or the server.

    Raises:
        UserError: the engine cannot be loaded with these parameters.
    """
    if params.llm.engine == "endpoint":
        from pipeline.llm.endpoint_engine import EndpointEngine

        return EndpointEngine(params.llm, params.speed)
    if params.llm.engine == "ray":
        from pipeline.llm.ray_engine import RayEngine

        return RayEngine(params.llm, params.speed, params.seed, root)
    from pipeline.llm.vllm_engine import VllmEngine

    return VllmEngine(params.llm, params.speed.llm, params.seed, root)
