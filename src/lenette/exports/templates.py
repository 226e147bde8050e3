"""From a template of this folder and values to a text."""

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def render(template: str, **values: Any) -> str:
    """Return the text that the template of that file name makes of the values."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=False, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["python"] = repr
    return environment.from_string((FOLDER / template).read_text(encoding="utf-8")).render(**values)
