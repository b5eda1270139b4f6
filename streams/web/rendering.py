"""Templates: everything that comes from outside is escaped unless marked otherwise."""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from streams.web import assets, words

TEMPLATES = Path(__file__).parent / "templates"


def environment() -> Environment:
    """Return what renders the page's templates; an unknown variable is an error, never an empty place."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for name in ("usd", "count", "times", "span", "clock", "day_clock", "iso", "who", "query", "path_of"):
        made.filters[name] = getattr(words, name)
    made.globals.update(spark=words.spark, bars=words.bars, asset=assets.address, vendor_missing=assets.vendor_missing)
    return made


class Renderer:
    """Renders a template by its name."""

    def __init__(self) -> None:
        self._environment = environment()

    def __call__(self, template: str, context: dict[str, Any]) -> str:
        """Return the text. Raises jinja2.TemplateError for a mistake of ours."""
        return self._environment.get_template(template).render(context)
