"""Where to go after signing in: a path of our own, never another site."""

from urllib.parse import quote, urlsplit

START = "/nodes"
LONGEST = 2_000


def local_path(asked: str) -> str:
    """The path as it was asked for; where one starts when it is empty, or could lead anywhere else.

    Browsers read `//host`, `/\\host` and `/<tab>/host` as other sites, so only what needs no interpretation passes.
    """
    return asked if _is_local(asked) and not _is_sign_in(asked) else START


def sign_in_path(after: str) -> str:
    """The sign-in page that leads on to `after`."""
    place = local_path(after)
    return "/sign-in" if place in ("/", START) else f"/sign-in?next={quote(place, safe='/')}"


def _is_local(asked: str) -> bool:
    if not asked.startswith("/") or asked.startswith("//") or "\\" in asked or len(asked) > LONGEST:
        return False
    if not asked.isprintable() or " " in asked:
        return False
    try:
        parts = urlsplit(asked)
    except ValueError:
        return False
    return not parts.scheme and not parts.netloc


def _is_sign_in(asked: str) -> bool:
    """Signing in is no place to go after signing in."""
    return asked.startswith(("/sign-in", "/sign-out"))
