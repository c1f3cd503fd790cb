"""Opens the engine that the parameters name. Importing this module imports no engine."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.base.params import Params
from pipeline.llm.prompt import Message
from pipeline.llm.types import Engine


def open_engine(params: Params, root: Path, row: Sequence[Message] = ()) -> Engine:
    """Load the model, or connect to the cluster or the server.

    Args:
        row: the messages of one row; the model's chat template is tried on it before the model is loaded.

    Raises:
        UserError: the engine cannot be loaded with these parameters, or the model's files are refused.
    """
    if params.llm.engine == "endpoint":
        from pipeline.llm.endpoint_engine import EndpointEngine

        return EndpointEngine(params.llm, params.speed)
    if row:
        from pipeline.llm.chat_templates import try_chat_templates
        from pipeline.llm.model_files import check_llm_files

        try_chat_templates(params.llm, check_llm_files(params.llm, root), row)
    if params.llm.engine == "ray":
        from pipeline.llm.ray_engine import RayEngine

        return RayEngine(params.llm, params.speed, params.seed, root)
    from pipeline.llm.vllm_engine import VllmEngine

    return VllmEngine(params.llm, params.speed.llm, params.seed, root)
