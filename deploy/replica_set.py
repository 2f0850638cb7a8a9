"""Makes the mongod on the given loopback port a replica set of one member, and waits until it takes writes.

Speaks MongoDB's wire protocol by itself, so that nothing needs to be installed: three commands, sent as BSON.
"""

import socket
import struct
import sys
import time


def encode(document):
    """BSON of a dictionary of int, bool, str, list and dict."""
    body = b""
    for key, value in document.items():
        name = key.encode() + b"\0"
        if isinstance(value, bool):
            body += b"\x08" + name + bytes([value])
        elif isinstance(value, int):
            body += b"\x10" + name + struct.pack("<i", value)
        elif isinstance(value, str):
            body += b"\x02" + name + struct.pack("<i", len(value.encode()) + 1) + value.encode() + b"\0"
        elif isinstance(value, list):
            body += b"\x04" + name + encode({str(index): item for index, item in enumerate(value)})
        else:
            body += b"\x03" + name + encode(value)
    return struct.pack("<i", len(body) + 5) + body + b"\0"


def run(port, command):
    """The reply as BSON bytes."""
    section = struct.pack("<iB", 0, 0) + encode({**command, "$db": "admin"})
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.sendall(struct.pack("<iiii", 16 + len(section), 1, 0, 2013) + section)
        reply = connection.makefile("rb")  # the first word is the length
        return reply.read(struct.unpack("<i", reply.read(4))[0] - 4)


def becomes_primary(port, seconds):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if b"\x08isWritablePrimary\0\x01" in run(port, {"hello": 1}):
            return True
        time.sleep(0.1)
    return False


def main():
    port = int(sys.argv[1])
    config = {"_id": "rs0", "version": 1, "members": [{"_id": 0, "host": f"127.0.0.1:{port}"}]}
    reply = run(port, {"replSetInitiate": config})
    if b"AlreadyInitialized" in reply and not becomes_primary(port, 5):
        run(port, {"replSetReconfig": config, "force": True})  # the port has changed since the last start
    if not becomes_primary(port, 30):
        sys.exit(f"mongod on port {port} takes no writes; its answer to replSetInitiate: {reply!r}")


main()
