"""What careless and hostile clients do to the supervisor's port, all at once, until told to stop."""

import http.client
import os
import resource
import socket
import struct
import threading
import time

import websocket

HALF_OPEN = 1000
SILENT_VIEWERS = 8
PAUSE = 0.05  # s between two rounds


def live_connection(port, token):
    """A live connection whose handshake is done."""
    return websocket.WebSocket(port, "/api/v1/live", ["nudge.v1", f"nudge.token.{token}"])


def promise_of(length):
    """The header of a client's frame with so many bytes, without any of them."""
    return struct.pack(">BBQ", 0x80 | websocket.TEXT, 0x80 | 127, length) + b"\0\0\0\0"


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
                    viewers.append(live_connection(self.port, self.token).socket)
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
        with live_connection(self.port, self.token).socket as peer:
            peer.settimeout(5)
            peer.sendall(promise_of(1 << 30))
            for _ in range(20):
                peer.sendall(b"x" * 60_000)

    def deep_message(self):
        peer = live_connection(self.port, self.token)
        with peer.socket:
            peer.send("[" * 60_000)
            for _ in range(500):
                peer.receive()  # until the daemon closes
                time.sleep(0.01)
