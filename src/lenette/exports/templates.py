"""From a template of this folder and values to a text."""

from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def render(template: str, trim: bool = True, **values: Any) -> str:
    """Return the text that the template of that file name makes of the values.

    Args:
        trim: whether a line that holds a block alone leaves nothing.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=False, undefined=StrictUndefined, trim_blocks=trim, lstrip_blocks=trim, keep_trailing_newline=True
    )
    environment.filters["python"] = repr
    return environment.from_string((FOLDER / template).read_text(encoding="utf-8")).render(**values)
