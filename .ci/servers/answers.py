"""Waits until servers answer: answers.py SECONDS PID:NAME:KIND:ADDRESS:PORT..., KIND tcp, xmpp:DOMAIN or dns:QUERY-NAME.

Exit status 1, with a sentence, when one of them ends (PID is gone) or does not answer in time.
"""

import os
import socket
import struct
import sys
import time


def ended(pid):
    """Whether the process is gone; a child that nobody has waited for yet is a zombie, state Z."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def accepts(address):
    with socket.create_connection(address, timeout=1):
        return True


def greets(address, domain):
    """Whether a stream header for `domain` is answered: ejabberd listens long before it accepts."""
    header = f"<stream:stream to='{domain}' version='1.0' xmlns='jabber:client' "
    header += "xmlns:stream='http://etherx.jabber.org/streams'>"
    with socket.create_connection(address, timeout=1) as tcp:
        tcp.sendall(header.encode())
        return tcp.recv(4096) != b""


def resolves(address, name):
    """Whether a query for the SRV records of `name` is answered with at least one record."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    query = os.urandom(2) + struct.pack("!5H", 0x0100, 1, 0, 0, 0) + question + struct.pack("!2H", 33, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.settimeout(1)
        udp.connect(address)
        udp.send(query)
        answer = udp.recv(4096)
    return answer[:2] == query[:2] and answer[3] & 15 == 0 and struct.unpack("!H", answer[6:8])[0] > 0


def answers(kind, address, name):
    if kind == "tcp":
        return accepts(address)
    return {"xmpp": greets, "dns": resolves}[kind](address, name)


def wait(deadline, pid, server, kind, address, name):
    where = f"{server} ({kind} {address[0]}:{address[1]})"
    while True:
        try:
            if answers(kind, address, name):
                return
        except OSError:
            pass
        if ended(pid):
            sys.exit(f"answers.py: {where} has ended")
        if time.monotonic() > deadline:
            sys.exit(f"answers.py: {where} does not answer")
        time.sleep(0.05)


deadline = time.monotonic() + float(sys.argv[1])
for entry in sys.argv[2:]:
    pid, server, kind, *rest = entry.split(":")
    name = None if kind == "tcp" else rest.pop(0)
    wait(deadline, int(pid), server, kind, (rest[0], int(rest[1])), name)
