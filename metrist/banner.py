"""What `metrist up` says when everything runs."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from domain.settings import Settings


@dataclass(frozen=True)
class Welcome:
    """What a person needs to come in; no link when nobody owns an account, a key only at the first start."""

    sign_in_url: str
    api_key: str | None


def banner(welcome: Welcome, settings: Settings, directory: Path) -> str:
    """The few lines to read at the start."""
    lines = [("Address", settings.base_url)]
    if welcome.sign_in_url:
        lines += [("Sign in", f"{welcome.sign_in_url}  (works once, for {settings.sign_in_link_minutes} minutes)")]
    if welcome.api_key:
        lines += [("API key", f"{welcome.api_key}  (shown only now)")]
    lines += [("Data", str(directory)), ("Stop", "Ctrl-C")]
    return "\n".join(["Metrist is running", *(f"  {name:<8} {text}" for name, text in lines)])


def say(text: str) -> None:
    """Tell whoever still listens: a closed terminal must not keep us from stopping in order."""
    with contextlib.suppress(OSError):
        print(text, flush=True)
