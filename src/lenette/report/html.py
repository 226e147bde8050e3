"""From a template and values to one HTML file without any outside reference."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def render(template: str, filters: Mapping[str, Any] | None = None, **values: Any) -> str:
    """Return the page that the template of that file name makes of the values, in the house's one style sheet."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters.update(filters or {})
    page = environment.from_string((FOLDER / template).read_text(encoding="utf-8"))
    text = page.render(style=(FOLDER / "style.css").read_text(encoding="utf-8"), **values)
    return text.replace(" %", "\N{NO-BREAK SPACE}%")
