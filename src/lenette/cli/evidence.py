"""lenette prove, verify, compare, claims."""

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn

import click

from lenette.cli.common import data_option, echo_json, json_option, run_code_option, store_option, table
from lenette.cli.fields import FIELDS, RECIPE, RecipeCommand, recipe_options
from lenette.cli.many import display, run_options, saying_how_to_go_on
from lenette.errors import LenetteError
from lenette.recipes import Recipe

page_option = click.option(
    "--page", type=click.Path(path_type=Path, dir_okay=False), help="write a page too, one HTML file"
)
EXIT_CODES = {
    "verified": 0,
    "refused": 1,
    "no proof": 1,
    "not verifiable here": 3,
}  # 2 is click's, for a command that is wrong
RUN_CODE = "run a network that is Python code of the proof's author (read it first)"


def percent_option(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Return a percentage as a fraction."""
    if value is None:
        return None
    if not 0 <= value <= 100 or 0 < value < 1:
        raise click.BadParameter(f"{value:g} is no percentage such as 99.4")
    return value / 100


@click.command(cls=RecipeCommand, epilog=f"{RECIPE} {FIELDS}")
@click.argument("recipe")
@click.option("--accuracy", type=float, callback=percent_option, help="to prove, in per cent (else the recipe's claim)")
@click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True, help="how many")
@click.option("--first-seed", type=int, default=1000, show_default=True, help="the first of them")
@click.option("--preset", help="a course's budget and accuracy: under_20k, under_10k or under_8k")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="the file (else proofs/NAME.json)")
@run_options
@run_code_option
@page_option
@json_option
@recipe_options
def prove(recipe: str, as_json: bool, run_code: bool, page: Path | None, **options: Any) -> None:
    """Train RECIPE on fresh seeds, and say whether their mean test accuracy is proven, refuted or undecided.

    The rule is written down before the first run. A proof that was cut off goes on; one that is done is found. Every
    field of the recipe is an option.
    """
    from lenette import records, runs
    from lenette.evidence import prove as proving
    from lenette.evidence import words
    from lenette.evidence.verify import verify

    changes = {name: options.pop(name) for name in Recipe.__dataclass_fields__}
    asked = runs.load_recipe(recipe, options["store"], run_code).but(**changes)
    if options["accuracy"] is None and not (options["preset"] or proving.claim_to_prove(asked)):
        click.echo(
            "no last epoch's accuracy is claimed, so that it is only measured: --accuracy names one to prove", err=True
        )
    out = options["out"] = options["out"] or proving.default_path(asked, options["preset"])
    with saying_how_to_go_on(), display(as_json) as progress:
        found = proving.prove(asked, progress=progress, **options)
    checked = verify(out, folder=options["folder"], store=options["store"], run_code=True, say=say)
    write_page(page, lambda report: report.proof_page(found, checked))
    if as_json:
        echo_json(records.plain(found))
    else:
        click.echo("\n".join([*words.proof_lines(found, checked), f"proof: {out}, {checked.end}"]))


def say(line: str) -> None:
    """Print a line for who waits."""
    click.echo(line, err=True)


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path, exists=True))
@click.option("--retrain", multiple=True, metavar="SEED|all", help="train this seed again, and compare; repeatable")
@click.option("--second-test", metavar="NAME[:PART]", help="evaluate on another test set too, e.g. qmnist:extra")
@click.option("--run-code", is_flag=True, help=RUN_CODE)
@click.option("--csv", "csv_file", type=click.Path(path_type=Path, dir_okay=False), help="write the table too, as CSV")
@data_option
@store_option
@page_option
@json_option
def verify(paths: tuple[Path, ...], page: Path | None, csv_file: Path | None, as_json: bool, **options: Any) -> None:
    """Check the proof in FILE: recompute its figures from its weights, and its verdict from its figures.

    Exits with 0 where it is verified, with 1 where it is refused, and with 3 where what is needed is not here. Of
    several files, or a folder of them, a table comes last: in it proofs of the same weights are named, or of the same
    network's file, and the exit code is that of the worst.
    """
    from lenette.evidence import handed_in

    options["retrain"] = seeds_of(options["retrain"])
    if len(paths) == 1 and paths[0].is_file() and csv_file is None:
        _verify_one(paths[0], page, as_json, options)
    if page is not None:
        raise click.BadParameter("--page is that of one proof: name one FILE")
    _verify_several(handed_in.files_of(paths), csv_file, as_json, options)


def _verify_one(file: Path, page: Path | None, as_json: bool, options: dict[str, Any]) -> NoReturn:
    from lenette.evidence.proof import read_done

    result, lines, plain = _verified(file, say, **options)
    if page is not None and result.end == "verified":
        write_page(page, lambda report: report.proof_page(read_done(file), result))
    elif page is not None:
        click.echo(f"no page: the proof is {result.end}", err=True)
    if as_json:
        echo_json(plain)
    else:
        click.echo("\n".join(lines))
    raise click.exceptions.Exit(EXIT_CODES[result.end])


def _verify_several(files: list[Path], csv_file: Path | None, as_json: bool, options: dict[str, Any]) -> NoReturn:
    from lenette import records
    from lenette.evidence import handed_in
    from lenette.files import write_text

    found: dict[Path, Any] = {}
    for file in files:
        try:
            found[file], lines, _ = _verified(file, functools.partial(_say_of, file), **options)
        except (LenetteError, OSError) as error:  # one file never ends the others
            found[file], lines = str(error), [str(error)]
        if not as_json:
            click.echo("\n".join(lines) + "\n")
    rows = handed_in.rows(found)
    if csv_file is not None:
        write_text(csv_file, handed_in.as_csv(rows))
    if as_json:
        echo_json(records.plain(rows))
    else:
        click.echo(table([_shown(records.plain(row)) for row in rows]))
    raise click.exceptions.Exit(EXIT_CODES[handed_in.worst(rows)])


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """Return the row as the terminal shows it."""
    from lenette.text import percent

    accuracy = "" if row["accuracy"] is None else percent(row["accuracy"], 3)
    return row | {"accuracy": accuracy, "parameters": row["parameters"] or "", "same": "; ".join(row["same"])}


def _say_of(file: Path, line: str) -> None:
    say(f"{file}: {line}")


def _verified(
    file: Path, say: Callable[[str], None], second_test: str | None, **options: Any
) -> tuple[Any, list[str], dict[str, Any]]:
    """Return what was found of a file, in words, and as JSON holds it."""
    from lenette import records
    from lenette.evidence import second, words
    from lenette.evidence.verify import verify

    result = verify(file, say=say, **options)
    lines, plain = words.verify_lines(result), records.plain(result)
    if second_test and result.end == "verified":
        name, _, part = second_test.partition(":")
        where = {each: options[each] for each in ("folder", "store", "run_code")}
        found = second.second_test(file, name, part or None, **where)
        lines += words.second_lines(found)
        plain["second_test"] = records.plain(found)
    return result, lines, plain


def seeds_of(words: tuple[str, ...]) -> Sequence[int] | Literal["all"]:
    """Return the seeds that --retrain names.

    Raises:
        click.BadParameter: a word is neither a seed nor "all".
    """
    if "all" in words:
        return "all"
    for word in words:
        if not (word.isascii() and word.isdecimal() and len(word) < 20):
            raise click.BadParameter(f"--retrain {word}: a seed, such as 1000, or all")
    return [int(word) for word in words]


@click.command()
@click.argument("first")
@click.argument("second")
@data_option
@store_option
@page_option
@json_option
def compare(first: str, second: str, folder: Path | None, store: Path, page: Path | None, as_json: bool) -> None:
    """Say how FIRST and SECOND differ: two proofs (files), seed by seed, or two runs (names)."""
    from lenette import records
    from lenette.evidence.compare import compare
    from lenette.evidence.words import compare_lines
    from lenette.text import percent, points

    result = compare(first, second, store=store, folder=folder)
    write_page(page, lambda report: report.compare_page(result, report.evaluated_images(first, result, folder)))
    if as_json:
        echo_json(records.plain(result))
        return
    click.echo("\n".join(compare_lines(result)))
    rows = [
        {
            "seed": pair.seed,
            "A": percent(pair.first),
            "B": percent(pair.second),
            "B - A": points(pair.difference),
            "right in A only": pair.only_first,
            "in B only": pair.only_second,
            "p": f"{pair.p_value:.3g}",
        }
        for pair in result.pairs
    ]
    click.echo(table(rows))


@click.command()
@click.option(
    "--results",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results/claims"),
    show_default=True,
    help="folder of the proofs, NAME.json",
)
@click.option("--run", is_flag=True, help="make the proofs that are missing (hours of work)")
@click.option("--seeds", type=click.IntRange(min=1), help="of each proof that is made (else 10; four_conv_593k: 3)")
@click.option("--markdown", is_flag=True, help="print a Markdown table")
@click.option(
    "--update",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="put the table into this file, between <!-- claims:begin --> and <!-- claims:end -->",
)
@run_options
@json_option
def claims(
    results: Path, run: bool, seeds: int | None, markdown: bool, update: Path | None, as_json: bool, **options: Any
) -> None:
    """Print what the documents claim beside what the proofs measured, like for like."""
    from lenette import records
    from lenette.evidence import table as words
    from lenette.evidence.claims import claims
    from lenette.files import write_text

    with saying_how_to_go_on(), display(as_json or markdown) as progress:
        rows = claims(
            results, run=run, seeds=seeds, say=lambda line: click.echo(line, err=True), progress=progress, **options
        )
    if update is not None:
        write_text(update, words.with_table(update.read_text(encoding="utf-8"), words.claims_markdown(rows)))
    if as_json:
        echo_json(records.plain(rows))
    elif markdown:
        click.echo(words.claims_markdown(rows))
    else:
        click.echo("\n".join(words.claim_lines(rows)))


def write_page(path: Path | None, draw: Callable[[Any], str]) -> None:
    """Write what `draw` makes of the report's module, where a page was asked for."""
    if path is not None:
        from lenette.report import evidence

        click.echo(f"page: {evidence.write(path, draw(evidence))}", err=True)


COMMANDS = [prove, verify, compare, claims]
