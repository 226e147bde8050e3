"""The device cards of four shipped networks, a folder each in results/shipping: python benchmarks/cards.py"""

from pathlib import Path

from lenette import data, integer, models
from lenette.evidence.networks import read_all_weights
from lenette.exports import card
from lenette.inference import Network

ROOT = Path(__file__).parents[1]
PROOFS = ("certificates/under_8k", "certificates/under_10k", "certificates/under_20k", "claims/ladder_7k")

if __name__ == "__main__":
    train = data.load("mnist", "train")
    for proof in PROOFS:
        name = Path(proof).name
        seed, state = min(read_all_weights(ROOT / f"results/{proof}.safetensors").items())
        model = models.build(name, len(train.classes), *train.images.shape[1:3])
        model.load_state_dict(state)
        network = Network(model.eval(), train.classes, tuple(train.images.shape[1:]), train.mean, train.std)
        written = card.write(
            integer.quantise(network, train.images), ROOT / "results/shipping" / name, f"{name}, seed {seed}"
        )
        print(*written, flush=True)
