"""`python -m embedded.world.contact_sheet docs/contact-sheet.jpg`: a family of each theme, at both sites."""

import sys
import textwrap
from pathlib import Path

from PIL import Image, ImageDraw

from embedded.world.families import family
from embedded.world.render import render
from embedded.world.vocabulary import DATASETS, EDIT_KINDS

_TILE, _TEXT, _GAP = 192, 42, 6


def contact_sheet(seed: int = 2026) -> Image.Image:
    """Two rows a theme, one a site: the base, then one change of each kind with its text."""
    columns = 1 + len(EDIT_KINDS)
    sheet = Image.new("RGB", (columns * (_TILE + _GAP), 2 * len(DATASETS) * (_TILE + _TEXT)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, theme in enumerate(DATASETS):
        drawn = family(seed, theme, 0, "test")
        chosen = [next(k for k, c in enumerate(drawn.changes, 1) if c.kind == kind) for kind in EDIT_KINDS]
        for site, scenes in enumerate(drawn.scenes):
            texts = {q.target: q.modification for q in drawn.queries if q.site == site}
            top = (2 * row + site) * (_TILE + _TEXT)
            for column, k in enumerate((0, *chosen)):
                picture = Image.fromarray(render(scenes[k])).resize((_TILE, _TILE), Image.Resampling.LANCZOS)
                left = column * (_TILE + _GAP)
                sheet.paste(picture, (left, top))
                text = texts[k] if k else f"{theme}: a base ({drawn.base.scene}), place {'AB'[site]}"
                lines = "\n".join(textwrap.wrap(text, 31)[:3])
                draw.multiline_text((left + 2, top + _TILE + 3), lines, fill="black", spacing=2)
    return sheet


if __name__ == "__main__":
    contact_sheet().save(Path(sys.argv[1]), quality=78, optimize=True)
