"""Prints the feature sets to check, one a line, as `--features` wants them; reads `cargo metadata` from standard input.

None; each alone; every two that touch each other; each left out of all; all. Two features touch each other if a file of
`src` names both. What a feature needs is its own declaration's business, so every set must at least build.
"""

import itertools
import json
import pathlib
import re
import sys

(package,) = json.load(sys.stdin)["packages"]
features = sorted(set(package["features"]) - {"default"})
source = pathlib.Path(package["manifest_path"]).parent / "src"
named = [set(re.findall(r'feature = "([\w-]+)"', path.read_text())) for path in source.rglob("*.rs")]
pairs = {pair for names in named for pair in itertools.combinations(sorted(names), 2)}
sets = [set()]
sets += [{feature} for feature in features]
sets += [set(pair) for pair in sorted(pairs)]
sets += [set(features) - {feature} for feature in features]
sets += [set(features)]

for names in dict.fromkeys(",".join(sorted(names)) for names in sets):
    print(names)
