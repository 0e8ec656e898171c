"""ClickHouse's errors as HTTP knows them: code, name, status and text."""

import re

_STATUS = {
    400: (6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321, 376, 427, 441, 675, 676),
    401: (194,),
    403: (192, 193, 497, 512, 516),
    404: (46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511),
    408: (159,),
    411: (381,),
    413: (229,),
    415: (779,),
    501: (48,),
    503: (76, 202, 209, 439),
}
"""ClickHouse's own mapping (src/Server/HTTP/exceptionCodeToHTTPStatus.cpp); the rest is 500. Only 202 is ours: there it
is 500, but 503 makes clients wait and try again."""
_STATUS_OF = {code: status for status, codes in _STATUS.items() for code in codes}

_HEAD = re.compile(r"Code: (\d+)\. DB::Exception: ")
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]+)\)$")
_NESTED = re.compile(
    r"^(Code: \d+\. DB::Exception: )Code: \d+\. DB::Exception: (.*?) \([A-Z0-9_]+\) \(version [^)]*\)\. ", re.S
)
_OUR_FILES = re.compile(
    r": \(in file/uri [^)]*\)|: While executing File: data for INSERT was parsed from file"
    r"|: While executing File(?=\. \()|\s*INTO OUTFILE '/dev/fd/\d+' APPEND"
)


class EngineError(Exception):
    """What a client is told, in ClickHouse's own words."""

    def __init__(self, code: int, name: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.text = f"Code: {code}. DB::Exception: {detail}. ({name})"

    @property
    def status(self) -> int:
        """The HTTP status ClickHouse gives this code."""
        return _STATUS_OF.get(self.code, 500)


def from_chdb(error: BaseException) -> EngineError:
    """Read chDB's text; the files and pipes that stand for HTTP's bodies are nobody's business."""
    text = _text(error).strip()
    head = text.find("Code: ")
    text = text[head:] if head > 0 else text
    text = _OUR_FILES.sub("", _NESTED.sub(r"\1\2 ", text))
    code, name = _HEAD.match(text), _NAME.search(text)
    if code is None:
        return EngineError(1002, "UNKNOWN_EXCEPTION", text.rstrip("."))
    known = EngineError(int(code.group(1)), name.group(1) if name else "UNKNOWN_EXCEPTION", "")
    known.text = text
    return known


def _text(error: BaseException) -> str:
    """The message; chDB's binding fails on those that quote bytes which are no UTF-8, but keeps them."""
    if isinstance(error, UnicodeDecodeError):
        return error.object.decode(errors="replace")
    return str(error)
