"""XML parts of an .xlsx file, of which only the elements that a reader names are read.

All others are skipped, whatever they hold: no decoration that some program writes can make a part unreadable.
Namespaces are not compared. Document types, and with them entities, are refused. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import BinaryIO, Callable, Optional
from xml.parsers import expat

from npc_lims.utils.text import single_line

__all__ = ["DocumentTypeError", "Element", "Parser", "PartError", "parse"]

# bytes; a token that is longer is scanned again with each chunk, so that small chunks would make that slow
_CHUNK = 2**20


class PartError(ValueError):
    """A part cannot be read: says why in a few words, without content that is not for the public."""


class DocumentTypeError(PartError):
    """A part declares a document type, which no spreadsheet program writes: with it come entities."""


@dataclasses.dataclass
class Element:
    """An element to be read: those to be read inside it, and what is called at its start and its end.

    `on_text` makes it one that holds text, and is called at its end.
    """

    children: Mapping[str, Element] = dataclasses.field(default_factory=dict)
    on_start: Optional[Callable[[dict[str, str]], None]] = None
    on_end: Optional[Callable[[], None]] = None
    on_text: Optional[Callable[[str], None]] = None


class Parser:
    """Calls the functions of a tree of `Element` while a part is parsed."""

    def __init__(self, root: str, element: Element) -> None:
        self._root = root
        self._element = Element({root: element})
        self._open: list[Element] = []
        self._skipped = 0
        self._text: list[str] = []
        self._expat = expat.ParserCreate()
        self._expat.buffer_text = True
        self._expat.StartElementHandler = self._start
        self._expat.EndElementHandler = self._end
        self._expat.CharacterDataHandler = self._characters
        self._expat.StartDoctypeDeclHandler = self._refuse_document_type

    def parse(self, stream: BinaryIO) -> Iterator[None]:
        """Parse the whole of *stream*, pausing after each chunk.

        Raises:
            PartError: It is no well-formed XML, or of another kind.
        """
        chunk = None
        try:
            while chunk != b"":
                chunk = stream.read(_CHUNK)
                self._expat.Parse(chunk, not chunk)
                yield
        except expat.ExpatError as error:
            raise PartError(f"malformed XML: {error}") from None
        except PartError:
            raise
        except (ValueError, LookupError, TypeError):  # of a codec that the file names
            raise PartError("malformed XML: unknown encoding") from None

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if self._skipped:
            self._skipped += 1
            return
        name = name.rpartition(":")[2]
        child = self._element.children.get(name)
        if child is None:
            if not self._open:
                raise PartError(f"it begins with <{single_line(name, 40)}>, expected <{self._root}>")
            if name not in ("AlternateContent", "Fallback"):
                self._skipped = 1
                return
            # what programs that know nothing newer are to read in its place: as if it stood there by itself
            child = self._element
        elif child.on_start is not None:
            child.on_start(attributes)
        self._open.append(self._element)
        self._element = child

    def _end(self, _: str) -> None:
        if self._skipped:
            self._skipped -= 1
            return
        element, self._element = self._element, self._open.pop()
        if element is self._element:
            return
        if element.on_text is not None:
            element.on_text("".join(self._text))
            self._text.clear()
        if element.on_end is not None:
            element.on_end()

    def _characters(self, data: str) -> None:
        if self._element.on_text is not None and not self._skipped:
            self._text.append(data)

    def _refuse_document_type(self, *_: object) -> None:
        raise DocumentTypeError("it declares a document type")


def parse(stream: BinaryIO, root: str, element: Element) -> None:
    """Parse a whole part, whose outermost element is *root*. Raises as `Parser.parse`."""
    for _ in Parser(root, element).parse(stream):
        pass
