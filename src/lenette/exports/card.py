"""The device card: what an integer network takes of a chip, as text and as HTML, and which well-known chips it fits."""

import html
import shutil
import subprocess
import tempfile
from pathlib import Path

from lenette.exports import c
from lenette.exports.c.plan import plan
from lenette.integer.network import Convolution, IntegerNetwork, Node
from lenette.records import Record

COMPILERS = {
    "Cortex-M0": ["arm-none-eabi-gcc", "-mcpu=cortex-m0", "-mthumb"],
    "Cortex-M4": ["arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb"],
    "RV32EC": ["riscv64-unknown-elf-gcc", "-march=rv32ec", "-mabi=ilp32e"],
    "RV32IMAC": ["riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32"],
    "AVR": ["avr-gcc", "-mmcu=atmega1284p"],
}
FLAGS = ["-std=c99", "-Os", "-ffreestanding", "-c"]
# Of each core a few chips with their flash and RAM in bytes, from their makers' data sheets.
CHIPS = {
    "STM32F030F4": ("Cortex-M0", 16 << 10, 4 << 10),
    "nRF51822 (micro:bit)": ("Cortex-M0", 256 << 10, 16 << 10),
    "RP2040 (its own RAM; flash beside it)": ("Cortex-M0", 2 << 20, 264 << 10),
    "STM32F401RE": ("Cortex-M4", 512 << 10, 96 << 10),
    "nRF52832": ("Cortex-M4", 512 << 10, 64 << 10),
    "CH32V003": ("RV32EC", 16 << 10, 2 << 10),
    "GD32VF103CB": ("RV32IMAC", 128 << 10, 32 << 10),
    "ATmega328P (Arduino Uno)": ("AVR", 32 << 10, 2 << 10),
    "ATmega2560 (Arduino Mega)": ("AVR", 256 << 10, 8 << 10),
    "ATmega1284P": ("AVR", 128 << 10, 16 << 10),
}
STACK = 500  # bytes, the deepest of under_8k's on emulated chips: results/shipping/emulated.json


class Card(Record, frozen=True):
    """What a network takes: `flash` of constants and code in bytes by core, measured; `layers` their multiply-adds;
    `memory` the working memory, `image` and `logits` what the caller holds besides, `stack` its allowance, in bytes."""

    flash: dict[str, int]
    layers: dict[str, int]
    memory: int
    image: int
    logits: int
    stack: int

    @property
    def ram(self) -> int:
        """All bytes of RAM, the caller's image included."""
        return self.memory + self.image + self.logits + self.stack


def card(network: IntegerNetwork) -> Card:
    """Return a network's card; flash is told for the cores whose compilers are installed."""
    channels, height, width = network.nodes[0].shape
    layers = {f"{place} {node.name}": multiply_adds(node) for place, node in enumerate(network.nodes)}
    return Card(
        flash(network),
        {name: count for name, count in layers.items() if count},
        plan(network).size,
        channels * height * width,
        2 * len(network.classes),
        STACK,
    )


def multiply_adds(node: Node) -> int:
    """Return how many products with weights a node adds up for one image."""
    if not isinstance(node, Convolution):
        return 0
    return node.weight.size * node.shape[1] * node.shape[2]


def flash(network: IntegerNetwork) -> dict[str, int]:
    """Return bytes of code and constants by core, as compiled here with -Os, where a compiler is here and takes it."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        c.write(network, Path(folder), "net")
        for core, compiler in COMPILERS.items():
            if shutil.which(compiler[0]):
                command = [*compiler, *FLAGS, "net.c"]
                made = subprocess.run(command, cwd=folder, capture_output=True, check=False, text=True)
                if "is too large" in made.stderr:
                    continue  # AVR's takes no array of more than 32,767 bytes
                made.check_returncode()
                size = [compiler[0].replace("gcc", "size"), "net.o"]
                told = subprocess.run(size, cwd=folder, check=True, capture_output=True, text=True).stdout
                found[core] = int(told.splitlines()[1].split()[0])
    return found


def rows(made: Card) -> list[tuple[str, str]]:
    """Return the card as lines of two cells."""
    lines = [(f"flash, {core}, -Os", f"{size:,} bytes") for core, size in made.flash.items()]
    lines += [
        (f"flash, {core}", "not measured: its compiler is not installed, or the network is too large for it")
        for core in COMPILERS
        if core not in made.flash
    ]
    lines += [
        ("RAM, working memory", f"{made.memory:,} bytes"),
        ("RAM, image and logits of the caller", f"{made.image + made.logits:,} bytes"),
        ("RAM, stack (measured for under_8k)", f"{made.stack:,} bytes"),
        ("multiply-adds of one image", f"{sum(made.layers.values()):,}"),
        *((f"  {name}", f"{count:,}") for name, count in made.layers.items()),
    ]
    for chip, (core, room, ram) in CHIPS.items():
        if core in made.flash:
            short = [
                f"{what}: {need:,} of {has:,} bytes"
                for what, need, has in (("flash", made.flash[core], room), ("RAM", made.ram, ram))
                if need > has
            ]
            lines.append((chip, "doesn't fit, " + ", ".join(short) if short else "fits"))
    return lines


def contents(network: IntegerNetwork, title: str) -> dict[str, bytes]:
    """Return card.txt and card.html."""
    lines = rows(card(network))
    width = max(len(name) for name, _ in lines) + 2
    plain = f"{title}\n\n" + "".join(f"{name:{width}}{value}\n" for name, value in lines)
    cells = "\n".join(
        f"<tr><th scope=row>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in lines
    )
    page = (
        "<!doctype html>\n<html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title>\n<style>body{{font:16px system-ui;margin:2em auto;max-width:44em;"
        "padding:0 1em;color-scheme:light dark}table{border-collapse:collapse;width:100%}th{text-align:left;"
        "font-weight:normal;white-space:pre-wrap}td{text-align:right}tr{border-bottom:1px solid #8884}"
        f"td,th{{padding:.3em}}</style>\n<h1>{html.escape(title)}</h1>\n<table>\n{cells}\n</table>\n</html>\n"
    )
    return {"card.txt": plain.encode(), "card.html": page.encode()}
