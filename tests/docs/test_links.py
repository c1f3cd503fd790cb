"""Links between the pages lead to files and headings that are there."""

from pathlib import Path

import pytest

from tests.docs.pages import ROOT, anchors, links, pages


@pytest.mark.parametrize("page", pages())
def test_every_link_leads_somewhere(page: str) -> None:
    lost = []
    for line, target in links(page):
        file, _, anchor = target.partition("#")
        where = (ROOT / page).parent / file if file else ROOT / page
        if not where.exists():
            lost.append(f"{page}:{line}: {target}: there is no such file")
        elif anchor and anchor not in anchors(where.resolve().relative_to(ROOT).as_posix()):
            near = ", ".join(sorted(anchors(where.resolve().relative_to(ROOT).as_posix())))
            lost.append(f"{page}:{line}: {target}: there is no such heading; there are {near}")
    assert not lost, "\n".join(lost)


def test_the_pages_have_links_and_every_page_of_docs_is_in_the_list_of_the_readme() -> None:
    assert sum(len(links(page)) for page in pages()) > 50
    named = {target.partition("#")[0] for _, target in links("README.md")}
    assert {page for page in pages() if Path(page).parent.name == "docs"} <= named
