"""Reads a form with files, as OpenAI's Files API takes it."""

from __future__ import annotations

import re
from typing import NamedTuple

from llmkit.sandbox.dialects.dialect import RefusedError

_BOUNDARY = re.compile(r"""boundary="?([^";,]+)""")
_NAME = re.compile(rb"""\bname="([^"]*)\"""")
_FILENAME = re.compile(rb"""\bfilename="([^"]*)\"""")


class FormField(NamedTuple):
    """One field of a form."""

    data: bytes
    filename: str = ""


def fields_of(raw: bytes, content_type: str) -> dict[str, FormField]:
    r"""Read the fields of a form.

    Example:
        >>> raw = b'--x\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n--x--\r\n'
        >>> fields_of(raw, "multipart/form-data; boundary=x")["purpose"].data
        b'batch'
    """
    found = _BOUNDARY.search(content_type)
    if not content_type.startswith("multipart/form-data") or found is None:
        raise RefusedError(400, "Expected a form of type multipart/form-data.")
    fields = {}
    for part in (b"\r\n" + raw).split(b"\r\n--" + found[1].encode())[1:]:
        head, gap, data = part.partition(b"\r\n\r\n")
        if gap and (name := _NAME.search(head)):
            filename = _FILENAME.search(head)
            fields[name[1].decode()] = FormField(data, filename[1].decode() if filename else "")
    return fields
