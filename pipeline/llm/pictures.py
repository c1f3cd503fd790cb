"""The image that stands beside a prompt; it is read when its request is sent, and not before."""

import base64
import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.base.decode import ALL, decode
from pipeline.base.files import file_bytes

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Picture:
    """An image file.

    Attributes:
        sha256: of the bytes that it must hold.
        side: pixels of its longest side as the model sees it; a larger image is scaled down to that.
    """

    path: Path
    sha256: str
    side: int

    def key(self) -> dict[str, Any]:
        """What of it can change a text, for row keys: not where the file lies."""
        return {"sha256": self.sha256, "side": self.side}

    def load(self) -> "Image":
        """The image in RGB, upright.

        Raises:
            ValueError: the file cannot be read or decoded, or has changed; the message says what to do.
        """
        try:
            data = file_bytes(self.path)
        except OSError as error:
            raise ValueError(f"the image file {self.path} cannot be read: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ValueError(
                f"the image file {self.path} has changed: restore it, or run `dvc repro corpus` to take it "
                "as it is"
            )
        image = decode(data, ALL).convert("RGB")  # the corpus stage checked its size
        image.thumbnail((self.side, self.side))
        return image


def data_url(image: "Image") -> str:
    """The image as a PNG, which keeps every pixel, in a `data:` address."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
