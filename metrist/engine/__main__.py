"""`python -m metrist.engine`: the engine alone, told by its environment."""

import os
import sys
from pathlib import Path

from domain.errors import StartRefused
from metrist.engine.server import serve


def main() -> None:
    """Serve what METRIST_ENGINE_DIR, _HOST, _PORT, _USER and _PASSWORD say."""
    told = os.environ
    try:
        serve(
            Path(told["METRIST_ENGINE_DIR"]),
            told.get("METRIST_ENGINE_HOST", "127.0.0.1"),
            int(told.get("METRIST_ENGINE_PORT", "8123")),
            told.get("METRIST_ENGINE_USER", "default"),
            told.get("METRIST_ENGINE_PASSWORD", ""),
        )
    except StartRefused as refusal:
        sys.exit(f"metrist engine: {refusal.detail}")


if __name__ == "__main__":
    main()
