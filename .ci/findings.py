"""Prints the findings of `connect --check --json`, which comes on standard input, as ID:WEIGHT, in order of the alphabet."""

import json
import sys

findings = json.load(sys.stdin)["findings"]
print(*sorted({f"{finding['id']}:{finding['weight']}" for finding in findings}))
