"""What is a release, and which one comes next: only what is signed, whole, newer and not known to be bad."""

import json
import threading
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from metrist import cli
from metrist.releases import signing, source
from metrist.releases.choose import Offer, choose, choose_version, sift
from metrist.releases.errors import ReleaseUntrusted, UpgradeRefused
from metrist.releases.publish import publish

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def wheel(folder: Path, version: str, name: str = "metrist") -> Path:
    path = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            f"{name}-{version}.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
    return path


class Shop:
    """A folder of releases and the key that signs them."""

    def __init__(self, folder: Path) -> None:
        self.work, self.folder, self.key_file = folder, folder / "index", folder / "key.pem"
        self.public = signing.make_key(self.key_file)

    def add(self, version: str, **options: Any) -> None:
        publish(self.folder, wheel(self.work, version), signing.load_key(self.key_file), NOW, **options)

    def entries(self) -> list[dict[str, Any]]:
        return source.read_index(str(self.folder))

    def offer(self, keys: str | None = None) -> Offer:
        return sift(self.entries(), signing.trusted(keys or self.public))

    def change(self, number: str, **fields: object) -> None:
        entries = [{**entry, **(fields if entry["version"] == number else {})} for entry in self.entries()]
        (self.folder / "index.json").write_text(json.dumps({"releases": entries}))


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


def chosen(offer: Offer, running: str, bad: tuple[str, ...] = ()) -> str | None:
    release = choose(offer, Version(running), bad)
    return release.version if release else None


@pytest.mark.parametrize(
    ("running", "bad", "next_one"),
    [
        pytest.param("0.9.0", (), "0.10.0", id="by numbers, not letters"),
        pytest.param("0.9.0", ("0.10.0",), "0.9.1", id="not a bad one"),
        pytest.param("0.10.0", (), None, id="the newest runs"),
        pytest.param("1.0.0", (), None, id="never back"),
        pytest.param("0.10.0rc1", (), "0.10.0", id="a candidate is before its release"),
        pytest.param("0.9.0", ("0.10.0", "0.9.1"), None, id="all are bad"),
    ],
)
def test_the_newest_good_one_comes_next(shop: Shop, running: str, bad: tuple[str, ...], next_one: str | None) -> None:
    for version in ("0.9.1", "0.10.0", "0.9.0"):
        shop.add(version, oldest="0")
    assert [entry["version"] for entry in shop.entries()] == ["0.9.0", "0.9.1", "0.10.0"]
    assert chosen(shop.offer(), running, bad) == next_one


def test_a_release_follows_the_one_before_unless_it_says_otherwise(shop: Shop) -> None:
    for version in ("0.1.0", "0.2.0", "0.3.0"):
        shop.add(version)
    assert chosen(shop.offer(), "0.1.0") == "0.2.0"
    assert chosen(shop.offer(), "0.2.0") == "0.3.0"
    with pytest.raises(UpgradeRefused, match=r"0\.3\.0 can only follow 0\.2\.0 or newer, this is 0\.1\.0"):
        chosen(shop.offer(), "0.1.0", bad=("0.2.0",))
    with pytest.raises(UpgradeRefused, match=r"can only follow 0\.2\.0"):
        choose_version(shop.offer(), Version("0.1.0"), "0.3.0")


def test_a_named_release_must_be_there_and_newer(shop: Shop) -> None:
    shop.add("0.2.0", oldest="0")
    assert choose_version(shop.offer(), Version("0.1.0"), "0.2.0").version == "0.2.0"
    for running, wanted, says in (
        ("0.2.0", "0.2.0", "not newer"),
        ("0.3.0", "0.2.0", "--rollback"),
        ("0.1.0", "9", "no such"),
    ):
        with pytest.raises(UpgradeRefused, match=says):
            choose_version(shop.offer(), Version(running), wanted)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"version": "0.9.0"}, id="the version"),
        pytest.param({"oldest": "0.0.1"}, id="what it may follow"),
        pytest.param({"signature": "AAAA"}, id="the signature"),
        pytest.param({"signature": "?"}, id="no base64"),
        pytest.param({"signature": None}, id="none"),
        pytest.param({"wheel": {"name": "evil.whl", "sha256": "0" * 64, "size": 1}}, id="the wheel"),
        pytest.param({"constraints": {"name": "c.txt", "sha256": "0" * 64, "size": 1}}, id="one file more"),
    ],
)
def test_nothing_that_is_signed_can_be_changed(shop: Shop, changed: dict[str, object]) -> None:
    shop.add("0.2.0", oldest="0")
    shop.change("0.2.0", **changed)
    offer = shop.offer()
    assert offer.releases == []
    with pytest.raises(ReleaseUntrusted, match="its signature is of none of METRIST_RELEASE_KEYS"):
        chosen(offer, "0.1.0")


def test_another_key_is_not_trusted_and_one_of_several_is(shop: Shop, tmp_path: Path) -> None:
    shop.add("0.2.0", oldest="0")
    other = signing.make_key(tmp_path / "other.pem")
    with pytest.raises(ReleaseUntrusted):
        chosen(shop.offer(other), "0.1.0")
    assert chosen(shop.offer(f"{other} {shop.public}"), "0.1.0") == "0.2.0"
    assert chosen(shop.offer(other), "0.2.0") is None, "what is not newer is not worth a word"


@pytest.mark.parametrize(
    ("keys", "says"), [("", "Set METRIST_RELEASE_KEYS"), ("x", "base64 of 32 bytes"), ("AAAA", "base64 of 32 bytes")]
)
def test_a_setting_that_is_no_key_is_told(keys: str, says: str) -> None:
    with pytest.raises(UpgradeRefused, match=says):
        signing.trusted(keys)


@pytest.mark.parametrize(
    "body", [pytest.param(b"other wheel", id="longer"), pytest.param(b"", id="empty"), pytest.param(None, id="one bit")]
)
def test_a_file_that_is_not_the_signed_one_is_not_kept(shop: Shop, tmp_path: Path, body: bytes | None) -> None:
    shop.add("0.2.0", oldest="0")
    file = shop.offer().releases[0].wheel
    path = shop.folder / file.name
    good = path.read_bytes()
    into = tmp_path / "into"
    into.mkdir()
    assert source.fetch(str(shop.folder), file, into).read_bytes() == good
    (into / file.name).unlink()
    path.write_bytes(bytes([good[0] ^ 1, *good[1:]]) if body is None else good * (body != b"") + body)
    with pytest.raises(ReleaseUntrusted):
        source.fetch(str(shop.folder), file, into)
    if body != b"other wheel":
        assert list(into.iterdir()) == []


@pytest.mark.parametrize("name", ["../evil.whl", "/etc/passwd", "a/b.whl", ".hidden", ""])
def test_no_name_leads_out_of_the_folder(shop: Shop, name: str) -> None:
    shop.add("0.2.0", oldest="0")
    entry = {**shop.entries()[0], "wheel": {"name": name, "sha256": "0" * 64, "size": 1}}
    signed = signing.sign(entry, signing.load_key(shop.key_file))
    offer = sift([signed], signing.trusted(shop.public))
    assert offer.releases == []
    assert "malformed" in offer.refused["0.2.0"]


def test_what_is_no_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(UpgradeRefused, match=r"cannot read index\.json"):
        source.read_index(str(tmp_path))
    for text in ("", "[]", '{"releases": 1}'):
        (tmp_path / "index.json").write_text(text)
        with pytest.raises(UpgradeRefused, match="no index of releases"):
            source.read_index(str(tmp_path))


def test_the_commands_make_a_key_and_a_release(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, index = tmp_path / "key.pem", tmp_path / "index"
    assert cli.main(["release-key", str(key)]) == 0
    public = capsys.readouterr().out.strip()
    assert key.stat().st_mode & 0o777 == 0o600
    assert cli.main(["release-key", str(key)]) == 1, "a key is never written over"
    (tmp_path / "constraints.txt").write_text("redis==7.0\n")
    command = ["release", str(index), "--wheel", str(wheel(tmp_path, "0.2.0")), "--key-file", str(key)]
    more = [
        "--constraints",
        str(tmp_path / "constraints.txt"),
        "--notes",
        "New.",
        "--url",
        "https://example.org/files/",
    ]
    assert cli.main([*command, *more]) == 0
    assert f"METRIST_RELEASE_KEYS={public}" in capsys.readouterr().out
    found = sift(source.read_index(str(index)), signing.trusted(public)).releases
    assert [release.notes for release in found] == ["New."]
    assert found[0].wheel.url == "https://example.org/files/metrist-0.2.0-py3-none-any.whl"
    assert found[0].constraints and (index / found[0].constraints.name).read_text() == "redis==7.0\n"
    for wrong in (tmp_path / "constraints.txt", wheel(tmp_path, "1.0", "other")):
        assert cli.main(["release", str(index), "--wheel", str(wrong), "--key-file", str(key)]) == 1


@pytest.fixture
def web(shop: Shop) -> Iterator[str]:
    """The folder, served by somebody else's web server."""

    class Handler(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(shop.folder))

        def do_GET(self) -> None:
            if self.path.startswith("/latest/"):  # as those do that keep files elsewhere
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/latest"))
                self.end_headers()
            else:
                super().do_GET()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("path", ["", "/", "/latest"])
def test_an_address_is_as_good_as_a_folder(shop: Shop, web: str, tmp_path: Path, path: str) -> None:
    shop.add("0.2.0", oldest="0")
    offer = sift(source.read_index(web + path), signing.trusted(shop.public))
    fetched = source.fetch(web + path, offer.releases[0].wheel, tmp_path)
    assert fetched.read_bytes() == (shop.folder / fetched.name).read_bytes()


def test_files_may_be_at_another_address_than_the_index(shop: Shop, web: str, tmp_path: Path) -> None:
    shop.add("0.2.0", oldest="0", url=web)
    release = shop.offer().releases[0]
    into = tmp_path / "into"
    into.mkdir()
    assert source.fetch("https://nowhere.invalid", release.wheel, into).stat().st_size == release.wheel.size


def test_an_address_that_does_not_answer_is_told(shop: Shop, web: str, tmp_path: Path) -> None:
    shop.add("0.2.0", oldest="0")
    with pytest.raises(UpgradeRefused, match=r"index\.json answered 404"):
        source.read_index(web + "/nowhere")
    (shop.folder / "index.json").write_bytes(b" " * (source.INDEX_MAX_BYTES + 1))
    with pytest.raises(ReleaseUntrusted, match="larger than it may be"):
        source.read_index(web)
    with pytest.raises(UpgradeRefused, match="cannot fetch"):
        source.read_index("http://127.0.0.1:1")
