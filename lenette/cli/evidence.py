"""lenette prove, verify, compare, claims."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lenette.cli.common import data_option, echo_json, json_option, store_option, table
from lenette.cli.many import display, run_options, saying_how_to_go_on

page_option = click.option(
    "--page", type=click.Path(path_type=Path, dir_okay=False), help="write a page too, one HTML file"
)
RUN_CODE = "run a network that is Python code of the proof's author (read it first)"


def percent_option(_: click.Context, __: click.Parameter, value: float | None) -> float | None:
    """Return a percentage as a fraction."""
    if value is None:
        return None
    if not 0 <= value <= 100 or 0 < value < 1:
        raise click.BadParameter(f"{value:g} is no percentage such as 99.4")
    return value / 100


@click.command()
@click.argument("recipe")
@click.option("--accuracy", type=float, callback=percent_option, help="to prove, in per cent (else the recipe's claim)")
@click.option("--seeds", type=click.IntRange(min=1), default=10, show_default=True, help="how many")
@click.option("--first-seed", type=int, default=1000, show_default=True, help="the first of them")
@click.option("--preset", help="a course's budget and accuracy: under_20k, under_10k or under_8k")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="the file (else proofs/NAME.json)")
@run_options
@page_option
@json_option
def prove(recipe: str, as_json: bool, page: Path | None, **options: Any) -> None:
    """Train RECIPE on fresh seeds, and say whether their mean test accuracy is proven, refuted or undecided.

    The rule is written down before the first run. A proof that was cut off goes on; one that is done is found.
    """
    from lenette import recipes
    from lenette.evidence import proof, words

    asked = recipes.load(recipe)
    if options["accuracy"] is None and not (options["preset"] or asked.claim_test_accuracy):
        click.echo("no accuracy is claimed, so that it is only measured: --accuracy names one to prove", err=True)
    options["out"] = options["out"] or proof.default_path(asked, options["preset"])
    with saying_how_to_go_on(), display(as_json) as progress:
        found = proof.prove(asked, progress=progress, **options)
    write_page(page, lambda report: report.proof_page(found))
    if as_json:
        echo_json(found)
    else:
        click.echo("\n".join([*words.proof_lines(found), f"proof: {options['out']}"]))


@click.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--retrain", type=int, metavar="SEED", help="train this seed again, and compare bits")
@click.option("--second-test", metavar="NAME[:PART]", help="evaluate on another test set too, e.g. qmnist:extra")
@click.option("--run-code", is_flag=True, help=RUN_CODE)
@data_option
@store_option
@page_option
@json_option
def verify(
    file: Path,
    retrain: int | None,
    second_test: str | None,
    run_code: bool,
    folder: Path | None,
    store: Path,
    page: Path | None,
    as_json: bool,
) -> None:
    """Check the proof in FILE: recompute its figures from its weights, and its verdict from its figures."""
    from lenette.evidence import schema, second, words
    from lenette.evidence.verify import verify

    result = verify(file, retrain=retrain, folder=folder, store=store, run_code=run_code)
    lines = words.verify_lines(result)
    if second_test and not result["refused"]:
        name, _, part = second_test.partition(":")
        result["second_test"] = second.second_test(
            file, name, part or None, folder=folder, store=store, run_code=run_code
        )
        lines += words.second_lines(result["second_test"])
    if not result["refused"]:
        write_page(page, lambda report: report.proof_page(schema.read(file)))
    if as_json:
        echo_json(result)
    else:
        click.echo("\n".join(lines))
    if result["refused"]:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("first")
@click.argument("second")
@data_option
@store_option
@page_option
@json_option
def compare(first: str, second: str, folder: Path | None, store: Path, page: Path | None, as_json: bool) -> None:
    """Say how FIRST and SECOND differ: two proofs (files), seed by seed, or two runs (names)."""
    from lenette.evidence.compare import compare
    from lenette.evidence.words import compare_lines

    result = compare(first, second, store=store, folder=folder)
    write_page(page, lambda report: report.compare_page(result, report.evaluated_images(first, result, folder)))
    if as_json:
        echo_json(result)
        return
    click.echo("\n".join(compare_lines(result)))
    rows = [
        {
            "seed": pair["seed"],
            "A": f"{pair['first']:.2%}",
            "B": f"{pair['second']:.2%}",
            "B - A": f"{100 * pair['difference']:+.2f}",
            "right in A only": pair["only_first"],
            "in B only": pair["only_second"],
            "p": f"{pair['p_value']:.3g}",
        }
        for pair in result["pairs"]
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
    from lenette.evidence import words
    from lenette.evidence.claims import claims
    from lenette.files import write_text

    with saying_how_to_go_on(), display(as_json or markdown) as progress:
        rows = claims(
            results, run=run, seeds=seeds, say=lambda line: click.echo(line, err=True), progress=progress, **options
        )
    if update is not None:
        table = words.claims_markdown(rows)
        write_text(update, words.with_table(update.read_text(encoding="utf-8"), table))
    if as_json:
        echo_json(rows)
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
