"""`lempo serve`: the page and the API at an address of this machine, until a signal ends it."""

import ipaddress
import logging
import socket
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pipeline.base.errors import UserError

if TYPE_CHECKING:
    from lempo.search.api import Index

_log = logging.getLogger(__name__)
_TO_END_S = 1  # for answers under way when a signal comes
_NEEDED = ("fastapi", "uvicorn", "python_multipart")


def serve(open_index: Callable[[], "Index"], host: str, port: int, max_pixels: float | None = None) -> None:
    """Serve until a signal comes.

    Args:
        open_index: opens the index; called once the address is known to be free.
        port: 0 takes any free one, which the line on standard error names.
        max_pixels: of an image.

    Raises:
        UserError: the address cannot be used, or a package of the extra `search` is missing.
        Interrupted: by the signal.
    """
    if any(find_spec(name) is None for name in _NEEDED):
        raise UserError("a package for the page is missing", "Run `pip install 'lempo[search]'`")
    listening = _listen(host, port)
    with listening:
        import uvicorn

        from lempo.search.api import make_app
        from lempo.search.pictures import limit_pixels
        from lempo.search.protection import LOOPBACK

        limit_pixels(max_pixels)
        local = _is_loopback(host)
        app = make_app(open_index(), hosts={*LOOPBACK, host.lower()} if local else None)
        if not local:
            _log.warning(
                "warning: --host %s: whoever reaches this machine can search the archive and see its "
                "pictures; there is no password",
                host,
            )
        shown = f"[{host}]" if ":" in host else host
        _log.info(
            "The page: http://%s:%d/  The API: /docs  Ctrl-C ends it", shown, listening.getsockname()[1]
        )
        config = uvicorn.Config(
            app,
            loop="asyncio",  # another loop would take the signals' file from pipeline/base/interrupts.py
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_TO_END_S,
            ws="none",
        )
        uvicorn.Server(config).run(sockets=[listening])  # raises the signal again when it has ended


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError, OverflowError) as error:
        reason = f"the address cannot be used: {getattr(error, 'strerror', None) or error}"
        raise UserError(
            reason, "Choose another --host or --port", field="--port", value=f"{host}:{port}"
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
