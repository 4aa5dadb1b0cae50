"""RFC 6455 as far as a client of the supervisor's port needs it, over a socket of our own."""

import base64
import os
import socket
import ssl
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def _masked(data, mask):
    if not data:
        return b""
    key = (mask * (len(data) // 4 + 1))[:len(data)]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(len(data), "big")


def frame(opcode, body):
    """A whole message of a client: one frame, masked."""
    mask = os.urandom(4)
    if len(body) < 126:
        head = bytes([0x80 | opcode, 0x80 | len(body)])
    elif len(body) < 65536:
        head = bytes([0x80 | opcode, 0xfe]) + struct.pack(">H", len(body))
    else:
        head = bytes([0x80 | opcode, 0xff]) + struct.pack(">Q", len(body))
    return head + mask + _masked(body, mask)


class Splitter:
    """Cuts one direction of a connection into its HTTP head and its frames."""

    def __init__(self):
        self.buffer = bytearray()
        self.greeted = False

    def feed(self, data):
        """The whole pieces so far, each as (opcode, body, bytes on the wire); None: the head."""
        self.buffer += data
        pieces = []
        while True:
            if not self.greeted:
                end = self.buffer.find(b"\r\n\r\n")
                if end < 0:
                    return pieces
                self.greeted = True
                head = self._take(end + 4)
                pieces.append((None, head, head))
                continue
            if len(self.buffer) < 2:
                return pieces
            start, size = 2, self.buffer[1] & 0x7f
            if size == 126:
                if len(self.buffer) < 4:
                    return pieces
                start, size = 4, struct.unpack_from(">H", self.buffer, 2)[0]
            elif size == 127:
                if len(self.buffer) < 10:
                    return pieces
                start, size = 10, struct.unpack_from(">Q", self.buffer, 2)[0]
            mask = 4 if self.buffer[1] & 0x80 else 0
            if len(self.buffer) < start + mask + size:
                return pieces
            raw = self._take(start + mask + size)
            body = raw[start + mask:]
            if mask:
                body = _masked(body, raw[start:start + mask])
            pieces.append((raw[0] & 0x0f, body, raw))

    def _take(self, size):
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    @staticmethod
    def is_message(piece):
        return piece[0] in (TEXT, BINARY)


class WebSocket:
    def __init__(self, port, path, protocols, host="127.0.0.1", served_port=None, timeout=30,
                 context=None):
        """`served_port`: the port that the daemon knows as its own, when a proxy is in between.
        `context`: of TLS."""
        self.socket = socket.create_connection((host, port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.secure = context is not None
        if self.secure:
            self.socket = context.wrap_socket(self.socket, server_hostname=host)
        self.splitter = Splitter()
        self.waiting = []
        self.code = None  # that the daemon has closed with
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{served_port or port}\r\n"
                             "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                             f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                             f"Sec-WebSocket-Protocol: {', '.join(protocols)}\r\n\r\n").encode())
        head = None
        while head is None:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed during the upgrade")
            for opcode, body, raw in self.splitter.feed(data):
                if opcode is None:
                    head = body
                else:
                    self.waiting.append((opcode, body, raw))
        if b" 101 " not in head.split(b"\r\n")[0]:
            raise ConnectionError(f"no upgrade: {head.decode(errors='replace')}")
        self.socket.settimeout(None)  # else MSG_DONTWAIT would wait

    def send(self, text):
        self.socket.sendall(frame(TEXT, text.encode()))

    def _take(self):
        """What is there now, without waiting."""
        if not self.secure:
            return self.socket.recv(1 << 18, socket.MSG_DONTWAIT)
        self.socket.setblocking(False)
        try:
            return self.socket.recv(1 << 18)
        finally:
            self.socket.setblocking(True)

    def receive(self):
        """The text messages that are there now. Answers pings. ConnectionError: it has ended."""
        pieces, self.waiting = self.waiting, []
        while True:
            try:
                data = self._take()
            except (BlockingIOError, ssl.SSLWantReadError):
                break
            if not data:
                raise ConnectionError("closed by the daemon")
            pieces += self.splitter.feed(data)
        texts = []
        for opcode, body, _ in pieces:
            if opcode == TEXT:
                texts.append(body.decode())
            elif opcode == PING:
                self.socket.sendall(frame(PONG, body))
            elif opcode == CLOSE:
                self.code = struct.unpack_from(">H", body)[0] if len(body) >= 2 else 0
                raise ConnectionError(f"the daemon closed: {body[2:].decode(errors='replace')}")
        return texts
