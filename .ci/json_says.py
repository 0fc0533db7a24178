"""Succeeds when standard input is one JSON object that says all of: json_says.py PATH=VALUE..., PATH like connected.tls."""

import json
import sys

found = json.load(sys.stdin)
for argument in sys.argv[1:]:
    path, _, wanted = argument.partition("=")
    value = found
    for name in path.split("."):
        value = value[name]
    if str(value) != wanted:
        sys.exit(f"json_says.py: {path} is {value!r} and not {wanted!r}")
print(f"is JSON, and {' '.join(sys.argv[1:])}")
