"""Proofs, checks, comparisons and claims in words."""

from typing import Any

from lenette.errors import LenetteError
from lenette.evidence.rule import percent
from lenette.evidence.schema import Proof, recipe_of

BUDGETS = {
    "max_parameters": "parameters",
    "max_bytes": "bytes of weights",
    "max_epochs": "epochs",
    "max_seconds": "seconds of training",
}
BEGIN, END = "<!-- claims:begin -->", "<!-- claims:end -->"
QUANTITIES = {
    "test_accuracy": "test accuracy",
    "train_accuracy": "accuracy on the training images, without augmentation",
    "train_accuracy_running": "train accuracy, running over the epoch",
}


def points(difference: float) -> str:
    """Return a difference of two fractions in percentage points, with its sign."""
    return f"{100 * difference:+.3f}"


def within_bounds(low: float, high: float) -> tuple[float, float]:
    """Return an interval of accuracies cut off at 0 and 1, which Student's t doesn't know."""
    return max(low, 0), min(high, 1)


def interval(low: float | None, high: float | None, digits: int = 3) -> str:
    """Return an interval of accuracies in per cent, within 0 and 100."""
    if low is None or high is None:
        return "no interval"
    low, high = within_bounds(low, high)
    return f"{100 * low:.{digits}f} to {100 * high:.{digits}f} %"


def proof_lines(proof: Proof) -> list[str]:
    """Return what a proof says."""
    summary, recipe, seeds = proof["summary"], recipe_of(proof), proof["rule"]["seeds"]
    lines = [
        f"recipe {proof['name'] or recipe.model}: {proof['parameters']:,} parameters, {recipe.epochs} epochs on "
        f"{recipe.dataset}, {recipe.protocol} protocol, {len(seeds)} seeds from {seeds[0]} to {seeds[-1]}"
    ]
    if recipe.dataset != "mnist":
        lines.append(f"*** This is not MNIST: every figure here is of {recipe.dataset} ***")
    lines += proof["verdict"]["words"]
    if summary["mean"] is not None:
        lines.append(
            f"last epoch: mean {percent(summary['mean'])}, 95 % interval {interval(summary['low'], summary['high'])}, "
            f"from {percent(summary['minimum'])} to {percent(summary['maximum'])}"
            + (f", spread {points(summary['deviation'])[1:]} points" if summary["deviation"] is not None else "")
        )
    if best := summary["best_epoch"]:
        lines.append(
            f"best epoch: mean {percent(best['mean'])}; the {points(best['optimism'])} points more are optimism, since "
            "the epoch was chosen on the test images"
        )
    if recipe.protocol == "sealed":
        lines.append(f"sealed: the test was opened {proof['test']['openings']} times for {summary['num_seeds']} runs")
    lines.append(
        f"{summary['seconds']['train']:,.1f} s of training, the longest run {summary['seconds']['longest']:,.1f} s, "
        f"beside others on the machine's cores ({proof['engine']['name']} engine)"
    )
    if granted := proof["certificate"]:
        lines += [
            f"budget: {_number(row['measured'])} of at most {_number(row['limit'])} {BUDGETS[row['name']]}: "
            f"{'kept' if row['met'] else 'exceeded'} (rests on {row['rests_on']})"
            for row in granted["budget"]
        ]
        lines.append(f"certificate: {'granted' if granted['granted'] else 'not granted'}")
    return lines


def verify_lines(result: dict[str, Any]) -> list[str]:
    """Return what `verify` found."""
    lines = []
    for row in result["checks"]:
        lines.append(f"{'refused' if row['faults'] else 'ok':8} {row['check']}")
        lines += [f"         {fault}" for fault in row["faults"]]
    lines += [f"not checked: {what}" for what in result["unchecked"]]
    lines += [f"rests on the record alone: {what}" for what in result["on_record"]]
    if again := result["retrained"]:
        if again["same_build"] or (again["same_weights"] and again["same_curve"]):
            same = [f"{'the same' if again[f'same_{name}'] else 'another'} {name}" for name in ("weights", "curve")]
            by = "" if again["same_build"] else " by another build of the engine"
            lines.append(f"seed {again['seed']}, trained again{by}: {same[0]} and {same[1]}, bit by bit")
        else:
            here = "" if again["accuracy"] is None else f": here {percent(again['accuracy'])}"
            lines.append(
                f"seed {again['seed']}, trained again, but by another build of the engine, whose bits differ"
                f"{here}, recorded {percent(again['recorded'])}"
            )
    if result["refused"]:
        return [*lines, f"{result['proof']} is REFUSED"]
    if result["unchecked"]:
        return [*lines, f"{result['proof']} agrees with itself; not all of it could be recomputed here"]
    return [*lines, f"{result['proof']} is verified; its verdict: {result['verdict']}"]


def second_lines(result: dict[str, Any]) -> list[str]:
    """Return what `second_test` found."""
    mean, drop = result["mean"], result["drop"]
    bounds = "no interval"
    if drop["low"] is not None:
        bounds = f"95 % interval {points(-drop['high'])} to {points(-drop['low'])}"
    return [
        f"{result['dataset']} {result['part']}, {result['num_images']:,} images: mean {percent(mean['mean'])} over "
        f"{mean['count']} seeds, 95 % interval {interval(mean['low'], mean['high'])}",
        f"against the proof's own test images: {points(-drop['mean'])} points ({bounds})",
    ]


def compare_lines(result: dict[str, Any]) -> list[str]:
    """Return what `compare` found, in sentences."""
    first, second, mean = result["first"], result["second"], result["difference"]
    lines = [f"A: {first['label']}, {first['parameters']:,} parameters"]
    lines.append(f"B: {second['label']}, {second['parameters']:,} parameters")
    changed = [
        f"{name} {' and '.join('unused' if value is None else str(value) for value in pair)}"
        for name, pair in result["recipe"].items()
    ]
    lines.append("the recipes (A and B) differ in: " + "; ".join(changed) if changed else "the recipes are the same")
    lines.append(f"{result['part']} accuracy: A {percent(first['accuracy'])}, B {percent(second['accuracy'])}")
    count = mean["count"]
    if mean["low"] is None:
        why = "one pair says" if count == 1 else f"{count} differences that are all the same say"
        lines.append(f"B - A: {points(mean['mean'])} points; {why} nothing about other seeds")
    else:
        better = "they can't be told apart" if mean["low"] <= 0 <= mean["high"] else "B is better"
        better = "A is better" if mean["high"] < 0 else better
        lines.append(
            f"B - A: {points(mean['mean'])} points over {count} seeds, 95 % interval {points(mean['low'])} to "
            f"{points(mean['high'])}: {better}"
        )
    if result["left_out"]:
        lines.append(f"left out, since only one has a result for it: seed {', '.join(map(str, result['left_out']))}")
    if count == 1:
        (pair,) = result["pairs"]
        lines.append(
            f"of {result['num_images']:,} images {pair['only_first']} are right in A alone and {pair['only_second']} "
            f"in B alone; between equals so uneven a split comes by chance with p = {pair['p_value']:.3g} "
            "(McNemar, exact)"
        )
    else:
        clear = sum(pair["p_value"] < 0.05 for pair in result["pairs"])
        lines.append(
            f"pair by pair, McNemar's p is below 0.05 in {clear} of {count}: it speaks of one seed's two networks"
        )
    return lines


def claim_lines(rows: list[dict[str, Any]]) -> list[str]:
    """Return the documents' figures beside the measured ones."""
    lines = []
    for row in rows:
        lines.append(f"{row['name']} (document {row['document']}): {row['title']}")
        if row["why_not"]:
            lines.append(f"  {row['why_not']}")
            continue
        last, best = row["last"], row["best_epoch"]
        lines.append(
            f"  test accuracy after {row['epochs']} epochs, {row['num_seeds']} seeds: mean {percent(last['mean'])}, "
            f"95 % interval {interval(last['low'], last['high'])}"
        )
        if best:
            lines.append(f"  best epoch: mean {percent(best['mean'])}, optimism {points(best['optimism'])} points")
        if row["diverged"]:
            lines.append(f"  diverged: seed {', '.join(map(str, row['diverged']))}")
        for claim in row["claims"]:
            statistic = f"{claim['statistic']} epoch"
            lines.append(
                f"  claimed {claim['part']} accuracy {percent(claim['claimed'], 2)} ({statistic}); here, "
                f"{QUANTITIES[claim['quantity']]}, {statistic}: mean {percent(claim['measured'])}, from "
                f"{percent(claim['minimum'], 2)} to {percent(claim['maximum'], 2)}: {claim_verdict(claim)}"
            )
        if row["claim_note"]:
            lines.append(f"  {row['claim_note']}")
    return lines


def claim_verdict(claim: dict[str, Any]) -> str:
    """Return in words where the claim lies among our seeds."""
    place = claim["position"]
    where = f"the claim lies above {place['below']}, below {place['above']} of {place['count']} seeds"
    if place["low"] is None:
        return where
    if place["inside"]:
        return f"{where}, as one more run of ours could"
    return f"{where}, {'higher' if place['claimed'] > place['high'] else 'lower'} than one more run of ours would"


def claims_markdown(rows: list[dict[str, Any]]) -> str:
    """Return the documents' figures beside the measured ones as a Markdown table."""
    head = (
        "recipe", "document", "parameters", "epochs", "seeds", "test, last epoch (95 % interval of the mean)",
        "best epoch", "claimed test", "ours, like for like", "claimed train", "ours, like for like",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---|---|--:|--:|--:|---|--:|---|---|---|---|"]
    for row in rows:
        cells = [f"`{row['name']}`", row["document"], f"{row['parameters']:,}", str(row["epochs"])]
        if row["why_not"]:
            cells += ["-", "not measured yet", ""]
            for claimed in row["claimed"].values():
                cells += [f"{100 * claimed:.2f} ({row['statistic']})" if claimed else "", ""]
            lines.append(f"| {' | '.join(cells)} |")
            continue
        last, best = row["last"], row["best_epoch"]
        cells += [str(row["num_seeds"])]
        bounds = "" if last["low"] is None else f" ({interval(last['low'], last['high'], 2).removesuffix(' %')})"
        cells += ["" if last["mean"] is None else f"{100 * last['mean']:.2f}{bounds}"]
        cells += [f"{100 * best['mean']:.2f}" if best else ""]
        for part in ("test", "train"):
            found = [claim for claim in row["claims"] if claim["part"] == part]
            cells += _claim_cells(found[0]) if found else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def with_table(text: str, table: str) -> str:
    """Return the text of a page with the table between its two marks.

    Raises:
        LenetteError: it has not got the marks.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise LenetteError(f"the page has no place for the table: write {BEGIN} and {END} where it belongs")
    inside = f"\n\n{table}\n\n" if table else "\n"
    return f"{before}{BEGIN}{inside}{END}{after}"


def _claim_cells(claim: dict[str, Any]) -> list[str]:
    place = claim["position"]
    verdict = "fits" if place["inside"] else "too high" if place["below"] > place["above"] else "too low"
    on_train = " (on training images)" if claim["quantity"] == "train_accuracy" else ""
    return [
        f"{100 * claim['claimed']:.2f} ({claim['statistic']}){on_train}",
        f"{100 * claim['minimum']:.2f} to {100 * claim['maximum']:.2f}: {verdict}",
    ]


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
