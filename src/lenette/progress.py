"""What `train` tells while it trains, and one line of text for it: what a terminal, a log and a notebook show."""

from lenette.records import Count, Fraction, Loss, Record, Seconds


class Epoch(Record, frozen=True):
    """Where a run stands: a line of its metrics is one, at an epoch's end.

    `epoch` counts from 1, `step` the steps done; `lr` is that of the last step. The running figures are means over the
    epoch so far, taken while learning, with augmentation on; the others, in evaluation mode and without augmentation,
    are None where that part was not evaluated then.
    """

    epoch: Count
    step: Count
    lr: float
    train_loss_running: Loss
    train_accuracy_running: Fraction
    train_seconds: Seconds
    evaluate_seconds: Seconds
    train_loss: Loss = None
    train_accuracy: Fraction | None = None
    validation_loss: Loss = None
    validation_accuracy: Fraction | None = None
    test_loss: Loss = None
    test_accuracy: Fraction | None = None


class Progress(Epoch, frozen=True, kw_only=True):
    """What a progress function is given several times an epoch; `finished` says that it is the epoch's end."""

    epochs: Count
    num_steps: Count
    finished: bool
    note: str = ""


def line(epoch: Epoch, epochs: int, note: str = "") -> str:
    """Return an epoch's line; `epochs` is how many the recipe has."""
    parts = [f"*** {note} ***"] if note else []
    parts += [f"epoch {epoch.epoch:>{len(str(epochs))}}/{epochs}", f"lr {epoch.lr:<9.3g}"]
    parts.append(f"train {epoch.train_accuracy_running:7.2%} loss {_loss(epoch.train_loss_running)} (running)")
    for part in ("validation", "test"):
        accuracy = getattr(epoch, f"{part}_accuracy")
        if accuracy is not None:
            parts.append(f"{part} {accuracy:7.2%} loss {_loss(getattr(epoch, f'{part}_loss'))}")
    parts.append(f"{epoch.train_seconds:6.1f} s")
    return "  ".join(parts)


def print_lines(progress: Progress) -> None:
    """Print a line at the end of each epoch: a progress function for notebooks and logs."""
    if progress.finished:
        print(line(progress, progress.epochs, progress.note), flush=True)


def _loss(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4f}"
