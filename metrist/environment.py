"""Settings as this process finds them, and as its children shall."""

import re
from typing import Any

from pydantic import SecretStr, ValidationError

from domain.errors import StartRefused
from domain.settings import Settings

INVALID_SETTINGS_EXIT = 78
"""EX_CONFIG of sysexits.h: starting again is of no use before somebody has changed something."""

PASSWORDS = re.compile(r"(://[^:/?@]*:)[^/?]*(?=@)|(?<=password=)[^&]*")


class InvalidSettings(StartRefused):
    """A setting has a value that cannot be; the message names it."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail, exit_code=INVALID_SETTINGS_EXIT)


def read_settings(**given: Any) -> Settings:
    """Read the environment and `.env`; what was given on the command line wins, None was not given.

    Raises InvalidSettings.
    """
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        raise InvalidSettings("; ".join(_explain(each) for each in error.errors())) from None


def is_set(settings: Settings, name: str) -> bool:
    """Tell whether the operator set it, rather than our default."""
    return name in settings.model_fields_set


def without_password(url: SecretStr) -> str:
    """A store's URL as it may be shown."""
    return PASSWORDS.sub(lambda found: f"{found[1] or ''}***", url.get_secret_value())


def _explain(error: Any) -> str:
    name = str(error["loc"][0])
    is_secret = Settings.model_fields[name].annotation is SecretStr if name in Settings.model_fields else True
    shown = "" if is_secret else f", not {error['input']!r}"
    return f"METRIST_{name.upper()}: {error['msg']}{shown}"
