"""Print pip's constraints for the oldest versions that pyproject.toml allows; of torch the version that is named.

What these need in turn is what constraints.txt has.
"""

import re
import sys
import tomllib
from pathlib import Path

root = Path(__file__).parents[1]
project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
dependencies = project["dependencies"] + project["optional-dependencies"]["export"]
oldest = dict(dependency.split(">=") for dependency in dependencies) | {"torch": sys.argv[1]}
print(*(f"{name}=={version}" for name, version in oldest.items()), sep="\n")
for line in (root / "constraints.txt").read_text(encoding="utf-8").splitlines():
    if re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() not in oldest:
        print(line)
