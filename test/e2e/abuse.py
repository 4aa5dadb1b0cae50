"""What careless and hostile clients do to the supervisor's port, all at once, until told to stop."""

import base64
import http.client
import os
import resource
import socket
import struct
import threading
import time

HALF_OPEN = 1000
SILENT_VIEWERS = 8
PAUSE = 0.05  # s between two rounds


def websocket(port, token, timeout=30):
    """A socket whose handshake as a live connection is done."""
    peer = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    key = base64.b64encode(os.urandom(16)).decode()
    peer.sendall((f"GET /api/v1/live HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n"
                  f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                  f"Sec-WebSocket-Protocol: nudge.v1, nudge.token.{token}\r\n\r\n").encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = peer.recv(1)
        if not more:
            raise ConnectionError(f"no handshake: {answer[:200]}")
        answer += more
    if b" 101 " not in answer.split(b"\r\n", 1)[0]:
        peer.close()
        raise ConnectionError(f"no handshake: {answer[:200]}")
    return peer


def frame(length, opcode=1):
    """The header of a client's frame that promises `length` bytes."""
    return struct.pack(">BBQ", 0x80 | opcode, 0x80 | 127, length) + b"\0\0\0\0"


class Abuse:
    """`rounds` counts what was done; `refused` what was cut off, by us or by the daemon."""

    def __init__(self, port, token):
        self.port, self.token = port, token
        self.rounds = self.refused = 0
        self.stop_ = threading.Event()
        self.thread = threading.Thread(target=self.run)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = HALF_OPEN + 500
        if soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(wanted, hard), hard))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop_.set()
        self.thread.join()

    def run(self):
        half_open, viewers = [], []
        deeds = [self.garbage, self.promise, self.deep, self.huge_frame, self.deep_message]
        while not self.stop_.is_set():
            while len(half_open) < HALF_OPEN and not self.stop_.is_set():
                try:
                    half_open.append(socket.create_connection(("127.0.0.1", self.port), timeout=5))
                    half_open[-1].sendall(b"GET /api/v1/status HTTP/1.1\r\nHos")
                except OSError:
                    self.refused += 1
                    break
            try:
                if len(viewers) < SILENT_VIEWERS:
                    viewers.append(websocket(self.port, self.token))
                deeds[self.rounds % len(deeds)]()
            except OSError:  # cut off, as it should be
                self.refused += 1
            self.rounds += 1
            # The daemon closes what waits too long; another takes its place.
            if self.rounds % 20 == 0 and half_open:
                half_open.pop(0).close()
            time.sleep(PAUSE)
        for peer in half_open + viewers:
            peer.close()

    def garbage(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as peer:
            peer.sendall(os.urandom(50_000))
            peer.recv(100)

    def promise(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as peer:
            peer.sendall(b"POST /api/v1/feedback HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                         b"Content-Length: 1000000000\r\n\r\n")
            for _ in range(20):
                peer.sendall(b"x" * 60_000)

    def deep(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        connection.request("POST", "/api/v1/feedback", "[" * 60_000,
                           {"Authorization": f"Bearer {self.token}"})
        connection.getresponse().read()
        connection.close()

    def huge_frame(self):
        with websocket(self.port, self.token, timeout=5) as peer:
            peer.sendall(frame(1 << 30))
            for _ in range(20):
                peer.sendall(b"x" * 60_000)

    def deep_message(self):
        with websocket(self.port, self.token, timeout=5) as peer:
            peer.sendall(frame(60_000) + b"[" * 60_000)
            while peer.recv(65536):
                pass
