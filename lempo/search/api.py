"""The JSON API to an index, and the files of the page.

One search runs at a time, in a thread of its own; the others wait, and those whose browser has gone are not
begun. Pictures and lists come from other threads, so that they never wait for a search or an LLM.
"""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any, Protocol, TypeVar

import anyio
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import ValidationError
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.staticfiles import StaticFiles

from lempo.search import searcher as asked
from lempo.search.messages import (
    MOST_BYTES,
    MOST_HITS,
    MOST_LETTERS,
    ListedImages,
    Refusal,
    SearchAnswer,
    SearchRequest,
    answered,
    chosen_weights,
    described,
    plain,
)
from lempo.search.pictures import LARGEST, SMALLEST, Pictures
from lempo.search.protection import LOOPBACK, Protection, Refused, error
from pipeline.base.decode import UnusableImage
from pipeline.base.errors import UserError
from trainer.retrieval.similarity import TERMS

PAGE = Path(__file__).parent / "page"
_Found = TypeVar("_Found")
_MOST_WAITING = 32
_LOOKED_AT = 100  # images, for an example of each column
_TOLD = ("kind", "dataset", "rows", "dimension", "approximate", "tuned", "llm", "weights", "mixture", "notes")
_log = logging.getLogger(__name__)


class Index(Protocol):
    """What the API needs of a `Searcher`; its methods may be called from several threads."""

    def search(self, query: asked.Query) -> asked.Answer: ...
    def picture(self, image_id: str) -> Path: ...
    def columns(self, image_id: str) -> dict[str, Any]: ...
    def info(self) -> dict[str, Any]: ...
    def browse(
        self, where: str | None, offset: int, limit: int, sample: int | None = None
    ) -> tuple[list[dict[str, Any]], int]: ...


class _NotHere(UserError):
    """An image that the index does not have."""


_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Refusal, "description": description}
    for status, description in (
        (400, "The request cannot be read"),
        (404, "There is no such image"),
        (413, "The request is too large"),
        (422, "A value of the request cannot be used"),
    )
}
_FORM = {
    "type": "object",
    "properties": {
        "image": {"type": "string", "format": "binary", "description": "The reference, an image file."},
        **{
            name: {"type": "string", "description": f"As in JSON: {name}"}
            for name in SearchRequest.model_fields
        },
    },
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": SearchRequest.model_json_schema()},
            "multipart/form-data": {"schema": _FORM},
        },
    }
}
_AS_JSON = ("graph", "weights", "similarities")  # fields of a form that hold JSON


def make_app(index: Index, hosts: Iterable[str] | None = LOOPBACK, most_bytes: int = MOST_BYTES) -> FastAPI:
    """The application.

    Args:
        hosts: the names by which it may be asked; None: any.
        most_bytes: of a request.
    """
    app = FastAPI(
        title="LEmpo search",
        description="Search in an archive of images: a reference, and what shall be different.",
        version="1",
        docs_url=None,  # FastAPI's own pages load scripts from another host
        redoc_url=None,
    )
    app.add_middleware(Protection, hosts=hosts, most_bytes=most_bytes)
    _answer_errors(app)
    _add_search(app, index)
    _add_images(app, index)

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"cache-control": "no-cache"})

    @app.get("/docs", include_in_schema=False)
    def docs() -> FileResponse:
        return FileResponse(PAGE / "docs.html", headers={"cache-control": "no-cache"})

    app.mount("/page", _Fresh(directory=PAGE))
    return app


class _Fresh(StaticFiles):
    """Files that a browser asks for again, and gets only if they have changed."""

    def file_response(self, *args: Any, **options: Any) -> Response:
        response = super().file_response(*args, **options)
        response.headers["cache-control"] = "no-cache"
        return response


def _add_search(app: FastAPI, index: Index) -> None:
    thread = ThreadPoolExecutor(1, thread_name_prefix="search")
    alone = asyncio.Lock()
    waiting = 0

    @app.post("/api/search", response_model=SearchAnswer, responses=_REFUSALS, openapi_extra=_BODY)
    async def search(request: Request) -> SearchAnswer:
        """Search. JSON, or a multipart form with the reference as the file `image`."""
        nonlocal waiting
        query, image = await _read(request)
        if waiting >= _MOST_WAITING:
            raise Refused(503, "too many searches wait", "Try again later")
        waiting += 1
        try:
            async with alone:
                if await request.is_disconnected():
                    raise Refused(499, "the browser has gone", "Ask again")
                run = asyncio.get_running_loop().run_in_executor
                return answered(await run(thread, _search, index, query, image))
        except asyncio.CancelledError:  # by a signal
            raise Refused(503, "the server ends", "Start it again") from None
        finally:
            waiting -= 1


def _search(index: Index, request: SearchRequest, image: bytes | None) -> asked.Answer:
    if request.image_id is not None:
        _known(index.columns, request.image_id)
    own = None if request.weights is None and request.similarities is None else index.info().get("weights")
    return index.search(
        asked.Query(
            image=image,
            image_id=request.image_id,
            text=request.text or None,
            graph=request.graph,
            k=request.k,
            where=request.where or None,
            weights=chosen_weights(request, own),
        )
    )


async def _read(request: Request) -> tuple[SearchRequest, bytes | None]:
    """The query of a request, and its image if it has one as a file."""
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    image = None
    if kind == "application/json":
        query = SearchRequest.model_validate_json(await request.body())
    elif kind == "multipart/form-data":
        async with request.form(max_files=1, max_fields=20) as form:
            fields = {name: value for name, value in form.multi_items() if isinstance(value, str)}
            file = form.get("image")
            if isinstance(file, UploadFile):
                image = await file.read()
            values: dict[str, Any] = {}
            for name, value in fields.items():
                if name in _AS_JSON and value:
                    values[name] = _json(name, value)
                elif value:
                    values[name] = value
            query = SearchRequest.model_validate(values)
    else:
        raise Refused(415, "the request is neither JSON nor a multipart form", "Set the Content-Type header")
    if image is None and query.image_id is None and not query.text:
        raise UserError("the query has neither a reference nor a text", "Give image, image_id or text")
    if image is not None and query.image_id is not None:
        raise UserError("the query has two references", "Give image or image_id, not both", field="image_id")
    if query.similarities is not None and not query.similarities:
        raise UserError(
            "all similarities are off", f"Switch on one of {', '.join(TERMS)}", field="similarities"
        )
    return query, image


def _known(find: Callable[[str], _Found], image_id: str) -> _Found:
    try:
        return find(image_id)
    except UserError as error:
        said = error.problem
        raise _NotHere(said.reason, said.remedy, field="image_id", value=image_id) from None


def _json(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(400, f"the field {name} is no JSON", "Write it as in a JSON request") from None


def _add_images(app: FastAPI, index: Index) -> None:
    pictures = Pictures()
    limiter: list[anyio.CapacityLimiter] = []  # made in the running loop

    @app.get("/api/info")
    def info() -> dict[str, Any]:
        """What the index holds: how many images, columns for filters, weights, and limits."""
        limits = {"k": MOST_HITS, "letters": MOST_LETTERS, "bytes": MOST_BYTES}
        known = plain(index.info())
        columns = described(known.get("columns", []), index.browse(None, 0, _LOOKED_AT)[0])
        told = {name: known[name] for name in _TOLD if name in known}
        return {"similarities": TERMS, **told, "columns": columns, "limits": limits}

    @app.get("/api/images", response_model=ListedImages, responses=_REFUSALS)
    def images(
        where: Annotated[str | None, Query(max_length=MOST_LETTERS)] = None,
        offset: Annotated[int, Query(ge=0, le=2**40)] = 0,
        limit: Annotated[int, Query(ge=1, le=MOST_HITS)] = 60,
        sample: Annotated[
            int | None, Query(ge=0, le=2**31, description="In the random order of this number.")
        ] = None,
    ) -> ListedImages:
        """Browse: the images that a filter lets through, in the order of their ids or in a random one."""
        rows, total = index.browse(where or None, offset, limit, sample)
        return ListedImages(images=plain(rows), total=total)

    @app.get("/api/images/{image_id:path}/picture", responses=_REFUSALS, response_class=Response)
    async def picture(
        request: Request, image_id: str, size: Annotated[int | None, Query(ge=SMALLEST, le=LARGEST)] = None
    ) -> Response:
        """The picture of an image, with at most `size` pixels a side; without `size` the whole one."""
        if not limiter:
            limiter.append(anyio.CapacityLimiter(max(2, os.cpu_count() or 2)))

        def make() -> Response:
            path = _known(index.picture, image_id)
            tag = f'"{pictures.tag(path, size)}"'
            headers = {"etag": tag, "cache-control": "private, max-age=300"}
            if request.headers.get("if-none-match") == tag:
                return Response(status_code=304, headers=headers)
            made = pictures.make(path, size)
            return Response(made.data, media_type=made.kind, headers=headers)

        return await anyio.to_thread.run_sync(make, limiter=limiter[0])

    @app.get("/api/images/{image_id:path}", responses=_REFUSALS)
    def row(image_id: str) -> dict[str, Any]:
        """The columns of one image."""
        return {"image_id": image_id, **plain(_known(index.columns, image_id))}


def _answer_errors(app: FastAPI) -> None:
    def of_user(_: Request, problem: Exception) -> JSONResponse:
        assert isinstance(problem, UserError)
        said = problem.problem
        status = 404 if isinstance(problem, _NotHere) else 422
        return JSONResponse(error(said.reason, said.remedy, said.field, str(said)), status)

    def of_image(_: Request, problem: Exception) -> JSONResponse:
        return JSONResponse(error(str(problem), getattr(problem, "remedy", ""), "image"), 422)

    def of_values(_: Request, problem: Exception) -> JSONResponse:
        assert isinstance(problem, ValidationError | RequestValidationError)
        first = problem.errors()[0]
        if first["type"] == "json_invalid":
            return JSONResponse(error("the request is no JSON", "Write it as in /docs"), 400)
        inside = first["loc"][1:] if isinstance(problem, RequestValidationError) else first["loc"]
        field = ".".join(map(str, inside))
        said = f"field '{field}': {first['msg']}. See /docs"
        return JSONResponse(error(first["msg"], "See /docs", field, said), 422)

    def of_http(_: Request, problem: Exception) -> JSONResponse:
        assert isinstance(problem, StarletteHTTPException)
        remedy = problem.remedy if isinstance(problem, Refused) else "See /docs"
        return JSONResponse(error(problem.detail, remedy), problem.status_code, headers=problem.headers)

    def of_this_program(_: Request, problem: Exception) -> JSONResponse:
        _log.error("The server failed", exc_info=problem)
        return JSONResponse(error("the server failed", "Its terminal says more"), 500)

    app.add_exception_handler(UserError, of_user)
    app.add_exception_handler(UnusableImage, of_image)
    app.add_exception_handler(ValidationError, of_values)
    app.add_exception_handler(RequestValidationError, of_values)
    app.add_exception_handler(StarletteHTTPException, of_http)
    app.add_exception_handler(Exception, of_this_program)
