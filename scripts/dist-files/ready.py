"""Receives a host's notifications at a socket until it is ready: ready.py SOCKET. Fails after a minute."""

import os
import socket
import sys
import time

receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
receiver.bind(sys.argv[1])
# The host may run as another user.
os.chmod(sys.argv[1], 0o666)
receiver.settimeout(1)
until = time.monotonic() + 60
while time.monotonic() < until:
    try:
        message = receiver.recv(4096).decode()
    except TimeoutError:
        continue
    print(message, end="", flush=True)
    if "READY=1" in message.splitlines():
        sys.exit(0)
sys.exit(1)
