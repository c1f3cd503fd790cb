"""`lempo serve`: the page and the API at an address of this machine, until a signal ends it."""

import ipaddress
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pipeline.base.errors import UserError, add_extra
from pipeline.base.interrupts import Interrupted

if TYPE_CHECKING:
    import uvicorn

    from lempo.search.api import Index
    from pipeline.base.params import Params, VlmParams
    from pipeline.base.paths import Paths

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
        raise UserError("a package for the page is missing", add_extra("search"))
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
            log_level="critical",  # api.py logs errors
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=_TO_END_S,
            ws="none",
        )
        server = uvicorn.Server(config)
        server.capture_signals = partial(_ended_by_signals, server)  # type: ignore[method-assign]
        server.run(sockets=[listening])


@contextmanager
def _ended_by_signals(server: "uvicorn.Server") -> Iterator[None]:
    """A signal lets answers under way end, then raises `Interrupted`.

    uvicorn's own way sends the signal again, which would count as a second one that ends by force.
    """
    caught: list[int] = []

    def end(number: int, _: object) -> None:
        caught.append(number)
        server.should_exit = True

    before = {
        number: signal.signal(number, end)
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if caught:
        raise Interrupted(caught[0])


def run(
    target: str | None,
    params: "Params | None",
    paths: "Paths",
    host: str,
    port: int,
    *,
    vlm: "VlmParams | None",
    llm: bool,
) -> None:
    """`lempo serve`: find the index, and serve it.

    Raises:
        UserError: there is no such index, or what `Searcher` and `serve` raise.
    """
    from lempo.search.commands import named_by_option
    from lempo.search.searcher import Searcher
    from lempo.search.settings import Settings, find_index
    from pipeline.base.guard import guarded

    folder = find_index(target, params, paths)
    if llm:
        guarded()  # an engine's processes end with this one
    with named_by_option(vlm):
        serve(
            lambda: Searcher(folder, params, paths, llm=llm, vlm=vlm),
            host,
            port,
            Settings.of(params).look.max_pixels,
        )


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
