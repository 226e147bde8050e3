"""lenette export."""

from pathlib import Path

import click

from lenette.cli.common import data_option, run_code_option, store_option


@click.command()
@click.argument("run")
@click.option("--to", default="all", show_default=True, help="onnx, torch, c or all")
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), help="the folder (else exports/NAME of each network)"
)
@click.option("--seed", type=int, help="of a proof, the one seed that is wanted")
@click.option("--prefix", default="net", show_default=True, help="what names in C begin with")
@data_option
@run_code_option
@store_option
def export(
    run: str, to: str, out: Path | None, seed: int | None, prefix: str, folder: Path | None, run_code: bool, store: Path
) -> None:
    """Write the network of RUN (a run's name, or a proof's .json: each of its seeds) in other forms.

    \b
    onnx   one file, float32, for uint8 images of any number: their mean and std are taken off inside
    torch  a .py and its state_dict, which need PyTorch alone
    c      the integer network in C99 without malloc or floating point, a test of it, and its device card
    """
    from lenette.exports import export

    def say(line: str) -> None:
        click.echo(line, err=True)

    for path in export(run, to, out, seed=seed, prefix=prefix, store=store, folder=folder, run_code=run_code, say=say):
        click.echo(path)


COMMANDS = (export,)
