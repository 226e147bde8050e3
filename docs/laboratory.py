"""Write the laboratory's answers, pages, tables and figures anew from each study.json in results/laboratory.

python docs/laboratory.py
"""

import json
import re
from pathlib import Path

from lenette import records, studies
from lenette.report import study as page
from lenette.studies import RangeTest

LABORATORY = Path(__file__).parent.parent / "results" / "laboratory"


def main() -> None:
    """Write each page anew; the command that made a study stands in its answer.md."""
    for path in sorted(LABORATORY.rglob("study.json")):
        made_by = re.search(r"^Made by `(.*)`\.$", (path.parent / page.SENTENCES).read_text(encoding="utf-8"), re.M)
        is_range_test = json.loads(path.read_bytes())["question"] == "range-test"
        study = records.read(path, RangeTest) if is_range_test else studies.read(path)
        print(page.write(study, path.parent, made_by[1] if made_by else ""))


if __name__ == "__main__":
    main()
