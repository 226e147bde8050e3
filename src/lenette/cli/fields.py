"""Every field of a recipe as an option: its help, its default, and what other programs call it."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click

from lenette.cli.common import Numbers
from lenette.recipes import Recipe
from lenette.recipes.recipe import REQUIRED, right_name

RECIPE = (
    "RECIPE is one of: a shipped name (see `lenette recipes`), a TOML file, a run (its folder, or the beginning of its "
    "name), or a network of your own as file.py:function."
)
FIELDS = (
    "The fields' defaults are those of a network of your own; `lenette recipe NAME` shows what a shipped recipe, or a "
    "run, has in their place."
)

GROUPS = {
    "what": "What to train",
    "training": "Training",
    "augmentation": "Augmentation",
    "record": "Record",
    "budget": "Budget",
    "words": "Words of the record",
}


class RecipeCommand(click.Command):
    """A command whose options are the recipe's fields too: its help shows them in their groups."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            named = right_name(error.option_name.lstrip("-")).partition("'")[2].partition("'")[0]
            if not named:
                raise
            message = f"No such option '{error.option_name}'. Did you mean '{flag(named)}'?"
            raise click.NoSuchOption(error.option_name, message, ctx=ctx) from None

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups = {f.name: GROUPS[f.metadata["group"]] for f in fields(Recipe)}
        for title in ("Options", *GROUPS.values()):
            rows = [
                row
                for param in self.get_params(ctx)
                if isinstance(param, click.Option)
                and groups.get(param.name or "", "Options") == title
                and (row := param.get_help_record(ctx))
            ]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def recipe_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add an option for every field of the recipe; what isn't given is None."""
    for f in reversed(fields(Recipe)):
        option = flag(f.name)
        about: dict[str, Any] = {"help": _help(f), "default": None}
        if f.type is bool:
            option = f"{option}/--no-{option[2:]}"
        elif f.metadata["choices"]:
            about["type"] = click.Choice(f.metadata["choices"])
        else:
            about["type"] = f.type if f.type in (int, float, str) else Numbers(int)
        command = click.option(option, f.name, **about)(command)
    return command


def flag(name: str) -> str:
    """Return the option of a field."""
    return "--" + name.replace("_", "-")


def _help(f: Any) -> str:
    """Return what a field does, where it is used, and its default there."""
    used_by, told = f.metadata["used_by"], f.metadata["help"]
    if used_by is None:
        return f"{told}{_default(f.default)}"
    parent, choices = used_by
    if not isinstance(choices, dict):
        return f"{told} [with {flag(parent)}]{_default(choices)}"
    defaults = list(dict.fromkeys(choices.values()))
    if len(defaults) == 1:
        return f"{told} [with {parent} {', '.join(choices)}]{_default(defaults[0])}"
    each = ", ".join(f"{choice}: {_shown(default)}" for choice, default in choices.items())
    return f"{told} [with {parent}; default with {each}]"


def _default(value: Any) -> str:
    if value is REQUIRED:
        return " [required there]"
    return "" if value in (None, "") else f" [default: {_shown(value)}]"


def _shown(value: Any) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else f"{value}"
