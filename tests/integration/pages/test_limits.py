"""Forms have an end, whatever they say of their size."""

from collections.abc import Iterator

import httpx
import pytest

from api.limits import FORM_MAX_BYTES


def endless() -> Iterator[bytes]:
    for _ in range(FORM_MAX_BYTES // 65_536 + 2):
        yield b"a" * 65_536


@pytest.mark.parametrize("body", [b"name=" + b"a" * FORM_MAX_BYTES, endless()], ids=["declared", "chunked"])
def test_a_form_that_is_too_large_is_refused(browser: httpx.Client, body: bytes | Iterator[bytes]) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    answer = browser.post("/settings/account/name", content=body, headers=form)
    assert answer.status_code == 413
    assert "1048576 bytes" in answer.text
    assert browser.get("/nodes").status_code == 200


def test_a_form_that_is_none_is_the_sender_s_mistake(browser: httpx.Client) -> None:
    form = {"content-type": "multipart/form-data"}
    assert browser.post("/settings/account/name", content=b"--x\r\nno", headers=form).status_code == 400
