"""Prints the feature sets to check, one a line, as `--features` wants them; reads `cargo metadata` from standard input.

None; each alone; each together with each TLS provider; each left out of all. What a feature needs is its own
declaration's business, so every set must at least build.
"""

import json
import sys

PROVIDERS = {"ring", "aws-lc-rs"}

(package,) = json.load(sys.stdin)["packages"]
features = sorted(set(package["features"]) - {"default"})
missing = PROVIDERS - set(features)
if missing:
    sys.exit(f"features.py: no such feature any more: {missing}")

sets = [set()]
sets += [{feature} for feature in features]
sets += [{provider, feature} for provider in sorted(PROVIDERS) for feature in features]
sets += [set(features) - {feature} for feature in features]

for names in dict.fromkeys(",".join(sorted(names)) for names in sets):
    print(names)
