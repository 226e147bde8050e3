"""C on emulated chips against the interpreter: python benchmarks/emulated.py [IMAGES]

Writes results/shipping/emulated.json: for the first shipped seed of under_8k and the first IMAGES (500) test images,
how many have identical logits on a Cortex-M0 and a RISC-V of 32 bits, with the bytes of flash and of the deepest stack.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from lenette import data, files, integer
from lenette.exports import c
from lenette.exports.trained import find

ROOT = Path(__file__).parents[1]
NAME = "under_8k"
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-Os", "-ffreestanding", "-nostdlib"]
SEMIHOSTING = ["-nographic", "-semihosting-config", "enable=on,target=native"]
MACHINES = {
    "Cortex-M0 (qemu-system-arm, micro:bit)": (
        ["arm-none-eabi-gcc", "-mcpu=cortex-m0", "-mthumb", "-T", "arm.ld"],
        ["qemu-system-arm", "-M", "microbit", *SEMIHOSTING],
    ),
    "RISC-V, rv32imac (qemu-system-riscv32, virt)": (
        ["riscv64-unknown-elf-gcc", "-march=rv32imac", "-mabi=ilp32", "-T", "riscv.ld"],
        ["qemu-system-riscv32", "-M", "virt", "-bios", "none", *SEMIHOSTING],
    ),
}


def main(num_images: int) -> None:
    """Run every machine whose compiler and emulator are here, and write what was found."""
    train, test = (data.load("mnist", part) for part in ("train", "test"))
    first = find(ROOT / f"results/certificates/{NAME}.json")[0]
    made = integer.quantise(first.network, train.images)
    images = test.images[:num_images].numpy()
    wanted = integer.logits(made, images)
    machines = {}
    for name, (compile_, run) in MACHINES.items():
        if not (shutil.which(compile_[0]) and shutil.which(run[0])):
            print(f"{name}: left out, {compile_[0]} or {run[0]} is not installed")
            continue
        with tempfile.TemporaryDirectory() as folder:
            machines[name] = emulated(Path(folder), made, images, wanted, compile_, run)
        print(name, machines[name], flush=True)
    files.write_json(
        ROOT / "results/shipping/emulated.json",
        {"network": NAME, "seed": first.seed, "images": num_images, "machines": machines},
    )


def emulated(
    folder: Path,
    made: integer.IntegerNetwork,
    images: np.ndarray,
    wanted: np.ndarray,
    compile_: list[str],
    run: list[str],
) -> dict[str, int]:
    """Return how many images' logits are identical on a machine, and what the network takes of it."""
    c.write(made, folder, "net")
    for path in (ROOT / "benchmarks/emulated").iterdir():
        shutil.copy(path, folder)
    (folder / "images.bin").write_bytes(images.transpose(0, 2, 3, 1).tobytes())
    subprocess.run(
        [*compile_, *FLAGS, "harness.c", "net.c", "-lgcc", "-o", "net.elf"],
        cwd=folder,
        check=True,
        stderr=subprocess.PIPE,
    )
    subprocess.run([*run, "-kernel", "net.elf"], cwd=folder, check=True, timeout=3600, stdin=subprocess.DEVNULL)
    told = np.fromfile(folder / "out.bin", "<i2").reshape(-1, wanted.shape[1])
    return {
        "identical_logits": int((told == wanted).all(axis=1).sum()),
        "stack_bytes": int(np.fromfile(folder / "stack.bin", "<i4")[0]),
        "elf_code_and_constants_bytes": text(folder, compile_[0]),
    }


def text(folder: Path, compiler: str) -> int:
    """Return the bytes of code and constants, the harness included."""
    size = [compiler.replace("gcc", "size"), "net.elf"]
    return int(
        subprocess.run(size, cwd=folder, capture_output=True, check=True, text=True).stdout.splitlines()[1].split()[0]
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 500)
