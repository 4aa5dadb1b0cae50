"""ZMTP 3.0 with the NULL mechanism, as far as a DEALER with one-part messages needs it.

Spoken over a socket of our own, so that a test can close, reset or forget the connection as it
likes; a library would mend it behind our back.
"""

import socket
import struct

_SIGNATURE = b"\xff" + bytes(8) + b"\x7f"
GREETING = _SIGNATURE + bytes([3, 0]) + b"NULL".ljust(20, b"\0") + bytes(32)
MORE, LONG, COMMAND = 1, 2, 4


def frame(body, flags=0):
    if len(body) < 256:
        return bytes([flags, len(body)]) + body
    return bytes([flags | LONG]) + struct.pack(">Q", len(body)) + body


def command(name, data=b""):
    return frame(bytes([len(name)]) + name + data, COMMAND)


def _property(name, value):
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


class Splitter:
    """Cuts one direction of a connection into its greeting and its frames."""

    def __init__(self):
        self.buffer = bytearray()
        self.greeting = len(GREETING)  # bytes that are still to come

    def feed(self, data):
        """The whole pieces so far, each as (flags, body, bytes on the wire); flags None: a part of
        the greeting, of which a peer sends the rest once it has seen the beginning of ours."""
        self.buffer += data
        pieces = []
        if self.greeting and self.buffer:
            part = self._take(min(self.greeting, len(self.buffer)))
            self.greeting -= len(part)
            pieces.append((None, b"", part))
        while not self.greeting:
            if len(self.buffer) < 2:
                return pieces
            flags, start, size = self.buffer[0], 2, self.buffer[1]
            if flags & LONG:
                if len(self.buffer) < 9:
                    return pieces
                start, size = 9, struct.unpack_from(">Q", self.buffer, 1)[0]
            if len(self.buffer) < start + size:
                return pieces
            raw = self._take(start + size)
            pieces.append((flags, raw[start:], raw))
        return pieces

    def _take(self, size):
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    @staticmethod
    def is_message(piece):
        return piece[0] is not None and not piece[0] & COMMAND


class Dealer:
    def __init__(self, port, host="127.0.0.1", timeout=30):
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.splitter = Splitter()
        self.waiting = []
        try:
            self._greet()
        except OSError:
            self.socket.close()
            raise
        self.socket.settimeout(None)  # else MSG_DONTWAIT would wait

    def _greet(self):
        ready = _property(b"Socket-Type", b"DEALER") + _property(b"Identity", b"")
        self.socket.sendall(GREETING + command(b"READY", ready))
        welcome = False
        while not welcome:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed during the greeting")
            for piece in self.splitter.feed(data):
                if self.splitter.is_message(piece):
                    self.waiting.append(piece[1])
                elif piece[0] is not None and piece[1].startswith(b"\5READY"):
                    welcome = True

    def send(self, message):
        self.socket.sendall(frame(message))

    def receive(self):
        """The messages that are there now. Answers heartbeats. ConnectionError: it has ended."""
        messages, self.waiting = self.waiting, []
        while True:
            try:
                data = self.socket.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return messages
            if not data:
                raise ConnectionError("closed by the daemon")
            for piece in self.splitter.feed(data):
                if self.splitter.is_message(piece):
                    messages.append(piece[1])
                elif piece[0] is not None and piece[1].startswith(b"\4PING"):
                    self.socket.sendall(command(b"PONG", piece[1][7:]))
