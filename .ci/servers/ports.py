"""Prints NAME=PORT for each NAME given: ports on 127.0.0.1 that the kernel finds free, for TCP and UDP, all different."""

import socket
import sys


def free_port(held):
    """A port that is free for both; the sockets that prove it go into `held`, so that the next call finds another."""
    for _ in range(100):
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        held += [tcp, udp]
        tcp.bind(("127.0.0.1", 0))
        port = tcp.getsockname()[1]
        try:
            udp.bind(("127.0.0.1", port))
        except OSError:
            continue
        return port
    sys.exit("ports.py: no port is free")


held = []
for name in sys.argv[1:]:
    print(f"{name}={free_port(held)}")
