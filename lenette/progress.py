"""One line of text for each epoch: what a terminal, a log and a notebook show while a network trains."""

from typing import Any


def line(record: dict[str, Any]) -> str:
    """Return the line of one of the records that `train` gives to its progress function."""
    parts = [f"*** {record['note']} ***"] if "note" in record else []
    parts += [f"epoch {record['epoch']:>{len(str(record['epochs']))}}/{record['epochs']}", f"lr {record['lr']:<9.3g}"]
    parts.append(f"train {record['train_accuracy_running']:7.2%} loss {record['train_loss_running']:.4f} (running)")
    for part in ("validation", "test"):
        if f"{part}_accuracy" in record:
            parts.append(f"{part} {record[f'{part}_accuracy']:7.2%} loss {record[f'{part}_loss']:.4f}")
    parts.append(f"{record['train_seconds']:6.1f} s")
    return "  ".join(parts)


def print_lines(record: dict[str, Any]) -> None:
    """Print a line at the end of each epoch: a progress function for notebooks and logs."""
    if record["finished"]:
        print(line(record), flush=True)
