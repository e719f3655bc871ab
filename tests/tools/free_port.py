"""Prints a port that is free on 127.0.0.1 right now, from below those that Linux gives to outgoing connections, so that
nobody's connection takes it before a server does."""

import random
import socket

while True:
    port = random.randrange(10_000, 32_000)
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            continue
    print(port)
    break
