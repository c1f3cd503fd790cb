"""The API to a real index: browsing, searching, pictures."""

from collections.abc import Iterator
from urllib.parse import quote

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from lempo.search.api import make_app
from lempo.search.indexing import index_folder
from lempo.search.searcher import Searcher
from lempo.search.settings import Settings
from pipeline.base.params import VlmParams


@pytest.fixture(scope="module")
def client(tiny_vlm: VlmParams, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("archive")
    noise = np.random.default_rng(0)
    for number in range(24):
        size = (8, 8 + number % 2, 3)
        Image.fromarray(noise.integers(0, 256, size, np.uint8)).save(folder / f"{number:02} #ö.png")
    index_folder(folder, folder / ".index", Settings(tiny_vlm))
    with TestClient(make_app(Searcher(folder / ".index")), base_url="http://127.0.0.1") as client:
        yield client


def _first(client: TestClient) -> str:
    return str(client.get("/api/images", params={"limit": 1}).json()["images"][0]["image_id"])


def test_a_search_goes_from_image_to_image(client: TestClient) -> None:
    first = _first(client)
    answer = client.post("/api/search", json={"image_id": first, "k": 3}).json()
    ids = [hit["image_id"] for hit in answer["hits"]]
    assert len(ids) == 3 and first not in ids
    picture = client.get(f"/api/images/{quote(first)}/picture").content
    upload = client.post("/api/search", files={"image": ("x", picture)}, data={"k": "3"}).json()
    assert [hit["image_id"] for hit in upload["hits"]] == ids
    body = {"image_id": first, "text": "a red house", "similarities": ["language"]}
    only = client.post("/api/search", json=body).json()
    assert (only["weights"]["triplet"], only["weights"]["language"]) == (0, 1)
    assert all(set(hit["shares"]) == {"language"} for hit in only["hits"])


def test_browsing_shows_every_image_once_in_either_order(client: TestClient) -> None:
    total = client.get("/api/info").json()["rows"]
    for extra in ({}, {"sample": 7}):
        seen: list[str] = []
        while page := client.get("/api/images", params={"limit": 7, "offset": len(seen), **extra}).json()[
            "images"
        ]:
            seen += [row["image_id"] for row in page]
        assert len(seen) == len(set(seen)) == total
    shuffled = client.get("/api/images", params={"sample": 7, "where": "width = 9", "limit": 5}).json()
    assert 0 < shuffled["total"] < total
    assert {row["width"] for row in shuffled["images"]} == {9}


def test_pictures_and_columns_are_those_of_the_index(client: TestClient) -> None:
    row = client.get("/api/images", params={"limit": 1}).json()["images"][0]
    address = f"/api/images/{quote(row['image_id'])}"
    assert client.get(address).json() == row
    assert client.get(f"{address}/picture", params={"size": 64}).headers["content-type"] == "image/jpeg"
    assert client.get("/api/images/none/picture").status_code == 404


@pytest.mark.parametrize("body", [{"where": "no_such > 1"}, {"where": "1"}, {"where": "a'b"}])
def test_what_the_index_refuses_is_said(client: TestClient, body: dict[str, object]) -> None:
    first = _first(client)
    response = client.post("/api/search", json={"image_id": first, "text": "a", **body})
    assert response.status_code == 422, response.text
    assert response.json()["error"]["remedy"]
