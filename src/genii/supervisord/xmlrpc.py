"""XML-RPC: the XML of calls to values, values to the XML of answers. No I/O.

The parser is expat's with a small grammar on top (http://xmlrpc.com/spec.md), and strict: no document types, no
entities but the five of XML, no deep nesting; ``nil`` and ``i8`` are refused, as supervisord refuses them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, TypeAlias
from xml.parsers import expat

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BadCall", "Value", "parse_call", "parse_response", "render_call", "render_fault", "render_result"]

Value: TypeAlias = "str | int | float | bool | bytes | list[Any] | tuple[Any, ...] | dict[str, Any]"

_DEEPEST = 64
_MOST_ELEMENTS = 100_000
"""Of a call; an answer may have as many as the server that was chosen sends."""
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML 1.0 can't carry, not even escaped: a client's parser would refuse the whole answer."""
_TEXT_TYPES = frozenset(
    ("string", "int", "i4", "boolean", "double", "dateTime.iso8601", "base64", "name", "methodName")
)
_INT_RANGE = range(-(1 << 31), 1 << 31)


class BadCall(ValueError):
    """Say why a body is no call."""


def parse_call(body: bytes) -> tuple[str, list[Any]]:
    """Return the name of the method and its parameters; raises BadCall."""
    reader = _read(body, "methodCall", _MOST_ELEMENTS)
    if not reader.method:
        raise BadCall("there is no methodName")
    return reader.method, reader.params


def parse_response(body: bytes) -> tuple[Any, bool]:
    """Return what a call brought, and whether it is a fault; raises BadCall."""
    reader = _read(body, "methodResponse", 1 << 30)
    if len(reader.params) != 1:
        raise BadCall("an answer holds one value")
    return reader.params[0], reader.is_fault


def _read(body: bytes, root: str, most: int) -> _Reader:
    parser = expat.ParserCreate()
    reader = _Reader(root, most)
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse_doctype
    parser.buffer_text = True
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, LookupError) as error:
        raise BadCall(f"the body is not XML: {error}") from None
    return reader


def _refuse_doctype(*_: object) -> None:
    raise BadCall("document types and entities are refused")


class _Reader:
    """Build values while expat walks over the elements."""

    def __init__(self, root: str, most: int) -> None:
        self._root = root
        self._most = most
        self.is_fault = False
        self.method = ""
        self.params: list[Any] = []
        self._open: list[str] = []
        self._stack: list[tuple[str, list[Any]]] = []
        """Containers that are open: their element and what is in them."""
        self._text: list[str] = []
        self._typed = False
        self._elements = 0

    def start(self, name: str, _attributes: dict[str, str]) -> None:
        self._elements += 1
        if len(self._open) >= _DEEPEST or self._elements > self._most:
            raise BadCall("the call is nested too deeply, or has too many elements")
        if not self._open and name != self._root:
            raise BadCall(f"expected {self._root}, not {name[:40]!r}")
        self._open.append(name)
        self._text = []
        if name == "value":
            self._typed = False
            self._stack.append((name, []))
        elif name in ("struct", "data", "member"):
            self._typed = True
            self._stack.append((name, []))
        elif name == "fault":
            self.is_fault = True
        elif name not in _TEXT_TYPES and name not in (self._root, "params", "param", "array"):
            raise BadCall(f"unknown element {name[:40]!r}")

    def text(self, data: str) -> None:
        self._text.append(data)

    def end(self, name: str) -> None:
        self._open.pop()
        text = "".join(self._text)
        self._text = []
        if name == "methodName":
            self.method = text.strip()
        elif name in ("value", "struct", "data", "member"):
            self._close(name, text)
        elif name in _TEXT_TYPES:
            self._put(text.strip() if name == "name" else _CONVERT[name](text))
            self._typed = True

    def _close(self, name: str, text: str) -> None:
        _, content = self._stack.pop()
        if name == "value":
            if not content and not self._typed:
                content.append(text)
            if len(content) != 1:
                raise BadCall("a value holds exactly one thing")
            self._typed = True
            self._put(content[0])
        elif name == "member":
            if len(content) != 2 or not isinstance(content[0], str):
                raise BadCall("a member holds a name and a value")
            self._put((content[0], content[1]))
        elif name == "struct":
            self._put(dict(content))
        else:
            self._put(content)
        self._typed = True

    def _put(self, value: Any) -> None:
        if self._stack:
            self._stack[-1][1].append(value)
        else:
            self.params.append(value)


def _integer(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise BadCall(f"{text[:40]!r} is no int") from None
    if number not in _INT_RANGE:
        raise BadCall(f"{text[:40]!r} is beyond 32 bits")
    return number


def _boolean(text: str) -> bool:
    if text.strip() not in ("0", "1"):
        raise BadCall(f"{text[:40]!r} is no boolean")
    return text.strip() == "1"


def _double(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadCall(f"{text[:40]!r} is no double") from None


def _base64(text: str) -> bytes:
    from binascii import Error, a2b_base64

    try:
        return a2b_base64(text)
    except (Error, ValueError):
        raise BadCall("a base64 value is broken") from None


_CONVERT: dict[str, Callable[[str], Any]] = {
    "string": str, "dateTime.iso8601": str, "int": _integer, "i4": _integer, "boolean": _boolean, "double": _double,
    "base64": _base64,
}  # fmt: skip


def render_call(method: str, params: tuple[Value, ...]) -> bytes:
    """Return a call."""
    parts = [f"<?xml version='1.0'?>\n<methodCall>\n<methodName>{escape(method)}</methodName>\n<params>\n"]
    for param in params:
        parts.append("<param>\n")
        _render(param, parts.append)
        parts.append("</param>\n")
    parts.append("</params>\n</methodCall>\n")
    return "".join(parts).encode("utf-8", "replace")


def render_result(value: Value) -> bytes:
    """Return the answer to a call."""
    parts = ["<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n"]
    _render(value, parts.append)
    parts.append("</param>\n</params>\n</methodResponse>\n")
    return "".join(parts).encode("utf-8", "replace")


def render_fault(code: int, text: str) -> bytes:
    """Return the answer that is a fault."""
    parts = ["<?xml version='1.0'?>\n<methodResponse>\n<fault>\n"]
    _render({"faultCode": code, "faultString": text}, parts.append)
    parts.append("</fault>\n</methodResponse>\n")
    return "".join(parts).encode("utf-8", "replace")


def escape(text: str) -> str:
    """Return a text as XML has it; what XML can't have becomes the replacement character."""
    if _FORBIDDEN.search(text):
        text = _FORBIDDEN.sub("\ufffd", text)
    if "&" in text or "<" in text or ">" in text:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    # A parser makes a line feed of a bare carriage return, which the log had.
    return text.replace("\r", "&#13;") if "\r" in text else text


def _render(value: Value, write: Callable[[str], object]) -> None:
    if isinstance(value, str):
        write(f"<value><string>{escape(value)}</string></value>\n")
    elif isinstance(value, bool):
        write(f"<value><boolean>{int(value)}</boolean></value>\n")
    elif isinstance(value, int):
        write(f"<value><int>{value}</int></value>\n")
    elif isinstance(value, dict):
        write("<value><struct>\n")
        for name, member in value.items():
            write(f"<member>\n<name>{escape(name)}</name>\n")
            _render(member, write)
            write("</member>\n")
        write("</struct></value>\n")
    elif isinstance(value, list | tuple):
        write("<value><array><data>\n")
        for item in value:
            _render(item, write)
        write("</data></array></value>\n")
    elif isinstance(value, float):
        write(f"<value><double>{value!r}</double></value>\n")
    else:
        from binascii import b2a_base64

        write(f"<value><base64>\n{b2a_base64(value).decode()}</base64></value>\n")
