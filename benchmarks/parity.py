"""C against the interpreter on all test images, for the shipped seeds of a proof: python benchmarks/parity.py [SEEDS]

Writes results/shipping/parity.json: for how many images the logits are identical, by compiler and level, what integer
networks are worth beside the float ones, and flash and memory. Ranges are measured on training images alone.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from lenette import data, files, integer
from lenette.exports import c, card
from lenette.exports.c.plan import plan
from lenette.exports.trained import find

ROOT = Path(__file__).parents[1]
NAME = "under_8k"
FLAGS = ["-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror"]
SANITIZED = ["-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
BUILDS = {
    f"{compiler} {' '.join(flags)}": [compiler, *FLAGS, *flags]
    for compiler in ("gcc", "clang")
    for flags in (["-O0"], ["-O1"], ["-O2"], ["-O3"], ["-Os"], SANITIZED)
}
EVERY_SEED = "gcc -O2"  # on all images; the other builds on the first seed's first OTHERS, since some take minutes
OTHERS = 1000


def main(num_seeds: int) -> None:
    """Compare, and write what was found after every seed."""
    train, test = (data.load("mnist", part) for part in ("train", "test"))
    images = test.images.numpy()
    found: dict[str, object] = {"network": NAME, "images": len(images), "seeds": {}}
    for place, trained in enumerate(find(ROOT / f"results/certificates/{NAME}.json")[:num_seeds]):
        seed, network = trained.seed, trained.network
        made = integer.quantise(network, train.images)
        wanted = integer.logits(made, images)
        labels = test.labels.numpy()
        builds = [name for name in BUILDS if shutil.which(name.split()[0]) and (not place or name == EVERY_SEED)]
        with tempfile.TemporaryDirectory() as folder:
            c.write(made, Path(folder), "net")
            counts = {name: len(images) if name == EVERY_SEED else OTHERS for name in builds}
            identical = {
                name: f"{identical_images(Path(folder), BUILDS[name], images[:count], wanted[:count])} of {count}"
                for name, count in counts.items()
            }
        found |= {"memory_bytes": plan(made).size, "cortex_m0_flash_bytes": card.flash(made).get("Cortex-M0")}
        found["seeds"][str(seed)] = {  # type: ignore[index]
            "float_errors": int((network.logits(test.images).argmax(1) != test.labels).sum()),
            "integer_errors": int((wanted.argmax(1) != labels).sum()),
            "identical_logits": identical,
        }
        files.write_json(ROOT / "results/shipping/parity.json", found)
        print(seed, json.dumps(found["seeds"][str(seed)]), flush=True)  # type: ignore[index]


def identical_images(folder: Path, command: list[str], images: np.ndarray, wanted: np.ndarray) -> int:
    """Return for how many images the compiled program gives exactly the logits that are wanted."""
    subprocess.run([*command, "-o", "program", "main.c", "net.c"], cwd=folder, check=True)
    told = subprocess.run(
        ["./program"], cwd=folder, input=images.transpose(0, 2, 3, 1).tobytes(), capture_output=True, check=True
    )
    rows = np.array([line.split() for line in told.stdout.decode().splitlines()], np.int64)
    return int((rows == wanted).all(axis=1).sum())


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
