"""The picture of `lempo sheet`: a card for each query, drawn by Pillow alone."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from pipeline.base.decode import ALL, decode
from pipeline.base.errors import UserError, reading
from pipeline.base.progress import Progress
from pipeline.report.pictures import RESTORE, unchanged

log = logging.getLogger(__name__)

GREEN, GREY = (26, 138, 62), (120, 128, 136)  # frames
_PAPER, _LINE, _GROUND = (255, 255, 255), (218, 222, 226), (240, 242, 244)
_INK, _SOFT, _FAINT = (24, 28, 32), (84, 92, 100), (122, 130, 138)  # texts
_MODIFICATION_LINES, _CAPTION_LINES = 2, 3  # at most
_PAGE = 1000  # pixels of a page that shows the whole width; the sizes of texts are for it
_SIDE_OF_A_JPEG, _PIXELS = 65_500, 89_478_485  # beyond: no JPEG, and other programs refuse or warn
_KEPT = 64  # small copies in memory: the queries of one reference share results


@dataclass(frozen=True)
class Look:
    """How the sheet looks.

    Attributes:
        columns: of cards.
        side: of a picture, in pixels.
        font: a file; None for the font that Pillow brings, which has few letters beyond ASCII.
    """

    columns: int = 1
    side: int = 144
    font: Path | None = None


@dataclass(frozen=True)
class Picture:
    """An image of the corpus: its file, its sha256 there, and whether it answers the query rightly."""

    path: Path
    sha256: str
    right: bool


@dataclass(frozen=True)
class Row:
    """The first results of a method, and the rank of its best right answer, from 1."""

    method: str
    rank: int
    results: Sequence[Picture]


@dataclass(frozen=True)
class Card:
    """A query. `name` stands small in its corner; all cards of a sheet have as many `rows`."""

    name: str
    modification: str
    caption: str
    reference: Picture
    wanted: Picture
    rows: Sequence[Row]


class Layout:
    """Lengths and places in pixels, from the upper left corner.

    The reference and the wanted image stand side by side; beside two rows of results, one above the other.

    Args:
        rows: of results, in a card.
        results: in a row.
    """

    def __init__(self, look: Look, rows: int, results: int) -> None:
        self.side, self.columns, self.rows = look.side, look.columns, rows
        self.gap, self.frame = max(8, look.side // 12), max(3, look.side // 36)
        self.margin = 2 * self.gap
        self._asked = 2 if rows == 1 else 1  # pictures beside each other, left of the results
        self._results_at = self._asked * (self.side + self.gap) + 2 * self.gap
        pictures = self._results_at + results * (self.side + self.gap)
        unit = max(_PAGE, 1.1 * self.columns * pictures) / _PAGE
        self.large, self.small, self.label = (round(size * unit) for size in (17, 14, 13))
        self.title = min(self.label, self.side // 5)  # of a picture: no wider than it
        self.rank_at = pictures + self.frame
        self.width = max(pictures + round(4.5 * self.large), round(24 * self.large))  # of a card
        self.label_height = round(1.7 * self.title)
        self.row_height = self.label_height + self.side + self.frame + self.title + self.gap // 2

    @property
    def total_width(self) -> int:
        return self.columns * (self.width + 2 * self.margin)

    def asked(self, number: int) -> tuple[int, int]:
        """The upper left corner of the reference (0) and of the wanted image (1), below a card's texts."""
        column, row = (number, 0) if self.rows == 1 else (0, number)
        return self.frame + column * (self.side + self.gap), row * self.row_height + self.label_height

    def result(self, row: int, place: int) -> tuple[int, int]:
        """The upper left corner of a result, below a card's texts; the first place is 0."""
        left = self._results_at + place * (self.side + self.gap)
        return left, row * self.row_height + self.label_height


class Font:
    """One font in several sizes, and the letters that it was asked for and does not have."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._sizes: dict[int, ImageFont.FreeTypeFont] = {}
        self._known: dict[str, bool] = {}

    def size(self, pixels: int) -> ImageFont.FreeTypeFont:
        """The font with letters of so many pixels.

        Raises:
            UserError: the file is no font.
        """
        if pixels not in self._sizes:
            if self._file is None:
                font = ImageFont.load_default(pixels)
                assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
                self._sizes[pixels] = font
            else:
                with reading(self._file, "Name a TrueType or OpenType font", "the font cannot be read"):
                    self._sizes[pixels] = ImageFont.truetype(self._file, pixels)
        return self._sizes[pixels]

    def wrapped(self, text: str, pixels: int, width: int, most: int) -> list[str]:
        """At most so many lines, the last of them cut with an ellipsis where the text is longer."""
        font, text = self.size(pixels), " ".join(text.split())
        self._look_for(text)
        lines: list[str] = []
        while text and len(lines) < most:
            line = _beginning(text, font, width)
            text = text[len(line) :].lstrip()
            lines.append(line.rstrip())
        if text:
            line = lines[-1]
            while line and font.getlength(f"{line}…") > width:
                line = line[:-1]
            lines[-1] = f"{line.rstrip(' ,.;:')}…"
        return lines

    def missing(self) -> list[str]:
        return sorted(letter for letter, known in self._known.items() if not known)

    def _look_for(self, text: str) -> None:
        font = self.size(16)
        for letter in set(text) - {" "} - self._known.keys():
            self._known[letter] = _drawn(font, letter) != self._unknown

    @cached_property
    def _unknown(self) -> tuple[tuple[int, int], bytes]:
        return _drawn(self.size(16), "\uffff")  # no font has it: what stands for unknown letters


def _drawn(font: ImageFont.FreeTypeFont, letter: str) -> tuple[tuple[int, int], bytes]:
    mask = font.getmask(letter)
    return mask.size, bytes(mask)


def _beginning(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """The words that fit into a line; of a word that is too long alone, its letters. At least one letter."""
    end = 0
    while end < len(text):
        following = text.find(" ", end + 1)
        following = len(text) if following < 0 else following
        if font.getlength(text[:following]) > width:
            break
        end = following
    if end:
        return text[:end]
    end = 1
    while end < len(text) and font.getlength(text[: end + 1]) <= width:
        end += 1
    return text[:end]


def draw(cards: Sequence[Card], note: str, look: Look) -> Image.Image:
    """The sheet: the note, then the cards, row by row.

    Raises:
        UserError: an image is missing, is no image, or is not the one that the corpus knows; the sheet would
            be too large; the font cannot be read.
    """
    rows = max(len(card.rows) for card in cards)
    layout = Layout(look, rows, max(len(row.results) for card in cards for row in card.rows))
    font = Font(look.font)
    texts = [_Texts(card, layout, font) for card in cards]
    inside = layout.total_width - 2 * layout.margin
    said = font.wrapped(note, layout.label, inside, 9)
    heights = [
        max(text.height for text in texts[first : first + look.columns]) + layout.rows * layout.row_height
        for first in range(0, len(cards), look.columns)
    ]
    top = layout.margin + len(said) * _height(layout.label)
    sheet = _blank(layout.total_width, top + sum(heights) + 2 * layout.margin * len(heights) + layout.gap)
    pen = ImageDraw.Draw(sheet)
    _write(pen, (layout.margin, layout.margin), said, font.size(layout.label), _SOFT)
    for number, (card, text) in enumerate(
        zip(Progress(cards, title="sheet", unit="query"), texts, strict=True)
    ):
        row, column = divmod(number, look.columns)
        if not column:
            top += layout.margin
            pen.line((layout.margin, top, layout.margin + inside, top), _LINE)
            top += layout.margin
        _Drawing(sheet, pen, layout, font).card(
            card, text, layout.margin + column * (layout.width + 2 * layout.margin), top
        )
        if column == look.columns - 1:
            top += heights[row]
    if missing := font.missing():
        log.warning("the font has no %s: name one that has by --font", " ".join(missing))
    return sheet


def _blank(width: int, height: int) -> Image.Image:
    if max(width, height) > _SIDE_OF_A_JPEG or width * height > _PIXELS:
        reason = "the picture would be too large for other programs"
        mend = "Lower --queries, --results or --side"
        raise UserError(reason, mend, value=f"{width} x {height} pixels")
    return Image.new("RGB", (width, height), _PAPER)


class _Texts:
    """The wrapped texts of a card."""

    def __init__(self, card: Card, layout: Layout, font: Font) -> None:
        (self.name,) = font.wrapped(card.name, layout.label, layout.width // 2, 1)
        beside = layout.width - round(font.size(layout.label).getlength(self.name)) - 2 * layout.gap
        self.modification = font.wrapped(card.modification, layout.large, beside, _MODIFICATION_LINES)
        self.caption = font.wrapped(card.caption, layout.small, layout.width, _CAPTION_LINES)
        self.caption_at = len(self.modification) * _height(layout.large) + layout.gap // 4
        self.height = self.caption_at + len(self.caption) * _height(layout.small) + layout.gap // 2


class _Drawing:
    def __init__(self, sheet: Image.Image, pen: ImageDraw.ImageDraw, layout: Layout, font: Font) -> None:
        self._sheet, self._pen, self._layout, self._font = sheet, pen, layout, font

    def card(self, card: Card, text: _Texts, left: int, top: int) -> None:
        layout = self._layout
        large, small, label = (self._font.size(size) for size in (layout.large, layout.small, layout.label))
        _write(self._pen, (left, top), text.modification, large, _INK)
        drop = large.getmetrics()[0] - label.getmetrics()[0]  # both stand on one line
        self._pen.text((left + layout.width, top + drop), text.name, _FAINT, label, "ra")
        _write(self._pen, (left, top + text.caption_at), text.caption, small, _SOFT)
        top += text.height
        for number, (name, picture) in enumerate((("reference", card.reference), ("wanted", card.wanted))):
            x, y = layout.asked(number)
            self._label(name, left + x - layout.frame, top + y)
            self._picture(picture, left + x, top + y, GREEN if number else GREY)
        for number, row in enumerate(card.rows):
            for place, picture in enumerate(row.results):
                x, y = layout.result(number, place)
                if not place:
                    self._label(row.method, left + x, top + y)
                self._picture(picture, left + x, top + y, GREEN if picture.right else None)
            middle = top + layout.result(number, 0)[1] + layout.side // 2
            colour = GREEN if row.rank <= len(row.results) else _INK
            self._pen.text((left + layout.rank_at, middle), f"rank {row.rank}", colour, large, "lm")

    def _label(self, text: str, left: int, top: int) -> None:
        layout = self._layout
        at = (left, top - layout.frame - 2)
        self._pen.text(at, text, _FAINT, self._font.size(layout.title), "ld")

    def _picture(self, picture: Picture, left: int, top: int, frame: tuple[int, int, int] | None) -> None:
        """A picture in a square, with a frame around the square."""
        side = self._layout.side
        width = self._layout.frame if frame else 1
        square = (left - width, top - width, left + side + width - 1, top + side + width - 1)
        self._pen.rectangle(square, _GROUND, frame or _LINE, width)
        copy = _small(picture, side)
        self._sheet.paste(copy, (left + (side - copy.width) // 2, top + (side - copy.height) // 2))
        if frame == GREEN:
            tick = self._layout.title  # below the frame: it hides nothing
            self._sheet.paste(_tick(tick), (left + side + width - tick, top + side + width))


def _write(
    pen: ImageDraw.ImageDraw,
    at: tuple[int, int],
    lines: Sequence[str],
    font: ImageFont.FreeTypeFont,
    colour: tuple[int, int, int],
) -> None:
    for number, line in enumerate(lines):
        pen.text((at[0], at[1] + number * _height(round(font.size))), line, colour, font)


def _height(size: int) -> int:
    """Of a line of text."""
    return round(1.35 * size)


@lru_cache
def _tick(side: int) -> Image.Image:
    """A white tick on green: frames of two colours alone are lost in a grey print."""
    many = 8 * side  # Pillow draws lines without smooth edges
    tick = Image.new("RGB", (many, many), GREEN)
    points = [(x * many, y * many) for x, y in ((0.22, 0.52), (0.42, 0.72), (0.78, 0.3))]
    ImageDraw.Draw(tick).line(points, _PAPER, many // 7, "curve")
    return tick.resize((side, side), Image.Resampling.LANCZOS)


@lru_cache(_KEPT)
def _small(picture: Picture, side: int) -> Image.Image:
    """The whole image, as every stage decodes it; its longer side is `side`."""
    try:
        data = unchanged(picture.path, picture.sha256)
        image = decode(data, max_pixels=ALL).convert("RGB")  # the corpus stage checked the size
    except (OSError, ValueError) as error:
        reason = f"an image of the corpus can no longer be read: {error}"
        raise UserError(reason, RESTORE, file=picture.path) from None
    return ImageOps.contain(image, (side, side), Image.Resampling.LANCZOS)
