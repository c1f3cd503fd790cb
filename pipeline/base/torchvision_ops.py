"""Let a CUDA build of torchvision import beside a CPU build of torch.

`declare` is an entry point in `torch.backends`, so PyTorch runs it in every process that imports torch (vLLM
inspects models in a subprocess). Only torchvision's transforms are used here. They are Python code; it needs
the schemas of two operators, not the operators. If torchvision's own library loads, nothing is done.
"""

import importlib.machinery
import importlib.util
from pathlib import Path

_library: object | None = None


def declare() -> None:
    """Declare `torchvision::nms` and `torchvision::qnms` if torchvision's compiled library cannot load."""
    global _library
    import torch

    spec = importlib.util.find_spec("torchvision")
    if _library is not None or spec is None or spec.origin is None:
        return
    if _library_loads(Path(spec.origin).parent):
        return
    library = torch.library.Library("torchvision", "DEF")
    schema = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    library.define(f"nms{schema}")
    library.define(f"qnms{schema}")
    _library = library  # the definitions live as long as this object


def _library_loads(folder: Path) -> bool:
    import torch

    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = folder / f"_C{suffix}"
        if path.is_file():
            try:
                torch.ops.load_library(str(path))
            except (OSError, RuntimeError):
                return False
            return True
    return False
