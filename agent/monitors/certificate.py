"""The end of a certificate's life, read from its DER form: Python tells it only of certificates that it trusts."""

from datetime import UTC, datetime

SEQUENCE, VERSION, UTC_TIME = 0x30, 0xA0, 0x17
FIELDS_BEFORE_VALIDITY = 3
"""Serial number, algorithm, issuer; RFC 5280, 4.1."""


def expires_at(der: bytes) -> float:
    """Unix seconds; raises ValueError when that is no certificate."""
    try:
        _, certificate, _ = _element(der)
        _, signed, _ = _element(certificate)
        tag, _, rest = _element(signed)
        if tag != VERSION:  # a certificate of version 1 has no version
            rest = signed
        for _ in range(FIELDS_BEFORE_VALIDITY):
            _, _, rest = _element(rest)
        _, validity, _ = _element(rest)
        _, _, rest = _element(validity)
        tag, text, _ = _element(rest)
        return _instant(tag, text.decode("ascii"))
    except (IndexError, ValueError) as error:
        raise ValueError("its certificate cannot be read") from error


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """Tag and contents of the first element, and what follows it."""
    tag, size, start = data[0], data[1], 2
    if size & 0x80:
        start += size & 0x7F
        size = int.from_bytes(data[2:start])
    if start + size > len(data):
        raise ValueError("cut short")
    return tag, data[start : start + size], data[start + size :]


def _instant(tag: int, text: str) -> float:
    if tag == UTC_TIME:  # two digits of a year, from 1950 to 2049
        text = ("19" if text[:2] >= "50" else "20") + text
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
