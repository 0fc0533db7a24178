"""Prints the feature sets to check, one a line, as `--features` wants them; reads `cargo metadata` from standard input.

None; each alone; every two; each left out of all; all. What a feature needs is its own declaration's business, so every
set must at least build.
"""

import itertools
import json
import sys

(package,) = json.load(sys.stdin)["packages"]
features = sorted(set(package["features"]) - {"default"})
sets = [set()]
sets += [{feature} for feature in features]
sets += [set(pair) for pair in itertools.combinations(features, 2)]
sets += [set(features) - {feature} for feature in features]
sets += [set(features)]

for names in dict.fromkeys(",".join(sorted(names)) for names in sets):
    print(names)
