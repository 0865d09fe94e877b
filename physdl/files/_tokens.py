"""Words of a text file that know where they stand, so that an error can name the place."""

import itertools
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from physdl.errors import FormatError
from physdl.files._storage import PathLike, read_bytes

__all__ = ["Tokens", "is_count", "numbers", "read_tokens", "shown"]

MOST_DIGITS = 18


@dataclass(frozen=True)
class Tokens:
    """The whitespace-separated words of a file.

    Attributes:
      path: the file.
      data: its content.
      items: its words.
    """

    path: Path
    data: bytes
    items: list[bytes]

    def __len__(self) -> int:
        return len(self.items)

    def error(self, index: int, message: str) -> FormatError:
        """The error that ``message`` describes, at the word with this index."""
        if index >= len(self):
            place = f"the end, after token {len(self)}"
        else:
            words = itertools.islice(re.finditer(rb"\S+", self.data), index, None)
            line = self.data.count(b"\n", 0, next(words).start()) + 1
            place = f"line {line}, token {index + 1}"
        return FormatError(f"{self.path}, {place}: {message}.")

    def truncated(self, index: int, what: str) -> FormatError:
        """The error of a file that ends where ``what`` should stand."""
        return self.error(index, f"{what} is missing, so the file is truncated: fetch it again")

    def count(self, index: int, what: str) -> int:
        """The word as an integer >= 0."""
        if index >= len(self):
            raise self.truncated(index, what)
        word = self.items[index]
        if not is_count(word):
            raise self.error(index, f"{what} must be an integer >= 0, found {shown(word)}")
        return int(word)

    def listed(self, index: int, what: str) -> int:
        """The word as a number of things that must follow it, one word or more each."""
        count, left = self.count(index, what), len(self) - index - 1
        if count > left:
            raise self.error(
                index,
                f"{what} is {count}, but only {left} tokens follow: "
                f"the file is truncated or the number is wrong",
            )
        return count

    def counts(self, start: int, stop: int, what: str) -> list[int]:
        """Words as integers >= 0; the words exist."""
        words = self.items[start:stop]
        if all(map(is_count, words)):
            return [int(word) for word in words]
        return [self.count(i, what) for i in range(start, stop)]

    def floats(self, start: int, what: str) -> NDArray[np.float64]:
        """All words from ``start`` on, as floating-point numbers."""
        try:
            return numbers(self.items[start:])
        except ValueError:
            for index in range(start, len(self)):
                try:
                    numbers(self.items[index : index + 1])
                except ValueError:
                    break
            found = shown(self.items[index])
            raise self.error(index, f"{what} must be a number, found {found}") from None


def read_tokens(path: PathLike) -> Tokens:
    """The words of an ASCII file.

    Raises:
      FormatError: the file cannot be read, is empty, or is no plain text.
    """
    data, file = read_bytes(path), Path(path)
    if not data.isascii():
        at = next(i for i, byte in enumerate(data) if byte > 127)
        raise FormatError(
            f"{file} is no plain text: byte {at} is {data[at]:#04x}; save it as ASCII without a "
            f"byte order mark."
        )
    return Tokens(file, data, data.split())


def is_count(word: bytes) -> bool:
    """Whether a word is an integer >= 0 of at most 18 digits."""
    return word.isdigit() and len(word) <= MOST_DIGITS


def numbers(words: list[bytes]) -> NDArray[np.float64]:
    """Words as floats; ``ValueError`` where one is none (``1_0`` is none)."""
    if any(b"_" in word for word in words):
        raise ValueError("underscore")
    return np.fromiter(map(float, words), np.float64, count=len(words))


def shown(word: bytes) -> str:
    """A word as it is quoted in messages, cut if it is long."""
    text = word.decode("ascii", "backslashreplace")
    return repr(text if len(text) <= 24 else text[:21] + "...")
