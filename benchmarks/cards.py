"""The device cards of four shipped networks, a folder each in results/shipping: python benchmarks/cards.py"""

from pathlib import Path

from lenette import data, files, integer
from lenette.exports import card
from lenette.exports.trained import find

RESULTS = Path(__file__).parents[1] / "results"
PROOFS = ("certificates/under_8k", "certificates/under_10k", "certificates/under_20k", "claims/ladder_7k")

if __name__ == "__main__":
    images = data.load("mnist", "train").images
    for proof in PROOFS:
        first = find(RESULTS / f"{proof}.json")[0]
        name = first.recipe.name
        made = integer.quantise(first.network, images)
        for file, content in card.contents(made, f"{name}, seed {first.seed}").items():
            files.write_text(RESULTS / "shipping" / name / file, content.decode())
            print(RESULTS / "shipping" / name / file, flush=True)
