"""lenette trains, proves and ships image classifiers small enough to understand."""

# Where each public name lives; imported on first use, so that `import lenette` and `lenette --help` are quick.
_HOMES = {
    "Dataset": "lenette.data",
    "LenetteError": "lenette.errors",
    "Plan": "lenette.plan",
    "Recipe": "lenette.recipes",
    "Run": "lenette.runs",
    "claims": "lenette.evidence.claims",
    "compare": "lenette.evidence.compare",
    "dataset": "lenette.data:load",
    "export": "lenette.exports",
    "format_summary": "lenette.models",
    "figures": "lenette.report",
    "model": "lenette.models:build",
    "print_lines": "lenette.progress",
    "prove": "lenette.evidence.prove",
    "recipe": "lenette.runs:load_recipe",
    "resume": "lenette.training",
    "run": "lenette.runs:find",
    "summary": "lenette.models",
    "train": "lenette.training",
    "verify": "lenette.evidence.verify",
}

__all__ = list(_HOMES)


def __getattr__(name: str):  # untyped: `typing` takes a third of the import
    if name == "__version__":
        from importlib.metadata import version

        return version("lenette")
    if name not in _HOMES:
        raise AttributeError(f"module 'lenette' has no attribute '{name}'")
    from importlib import import_module

    home, _, there = _HOMES[name].partition(":")
    return getattr(import_module(home), there or name)


def __dir__() -> list[str]:
    return __all__
