"""Compares two checks of one domain: compare_checks.py CHECK.json XMPP_DNS.txt, of connect --check --json and of xmpp-dns.

Each server that the one could use, at each address, the other could use too. xmpp-dns also guesses ports that are not
published when there are no SRV records; those are left out.
"""

import json
import re
import sys

SERVICES = {"xmpps-client": "direct", "xmpp-client": "starttls"}


def of_check(text):
    """(tls, address, port) -> whether the first form connected."""
    found = {}
    for place in json.loads(text)["checks"]:
        address, _, port = place["address"].rpartition(":")
        found[place["tls"], address.strip("[]"), int(port)] = place["connects"][0]["connected"] is not None
    return found


def of_xmpp_dns(text):
    """The same."""
    found, place, tls, port = {}, None, None, None
    for line in text.splitlines():
        if record := re.fullmatch(r"(xmpps?-client) (\S+) (\d+)", line):
            tls, port, place = SERVICES[record[1]], int(record[3]), None
        elif line.startswith("IP: "):
            place = (tls, line.removeprefix("IP: "), port)
            found[place] = False
        elif line == "Certificate: [OK]":
            found[place] = True
    return found


ours, theirs = (read(open(name).read()) for read, name in zip((of_check, of_xmpp_dns), sys.argv[1:]))
guessed = {place for place in theirs if place not in ours and not theirs[place]}
theirs = {place: works for place, works in theirs.items() if place not in guessed}
if ours != theirs:
    sys.exit(f"compare_checks.py: connect --check says {ours}, xmpp-dns says {theirs}")
print(f"both say {ours}")
