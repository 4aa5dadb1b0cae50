"""People who watch, all in one process of their own: each takes every status and every picture, and
says so, as the page does."""

import json
import multiprocessing
import pathlib
import select
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "e2e"))
import websocket  # noqa: E402

HEADER = struct.Struct("<HHIQHHI")  # of a camera frame, docs/reference/supervisor-port.md


class _Watcher(websocket.WebSocket):
    def __init__(self, port, token, cameras):
        super().__init__(port, "/api/v1/live?name=watcher", ["nudge.v1", f"nudge.token.{token}"])
        self.send(json.dumps({"type": "frames", "cameras": list(cameras)}))
        self.pictures = [0] * len(cameras)
        self.forget()

    def take(self):
        pieces, self.waiting = self.waiting, []
        data = self.socket.recv(1 << 20)
        if not data:
            raise ConnectionError("the daemon closed a watcher's connection")
        self.bytes += len(data)
        for opcode, body, _ in pieces + self.splitter.feed(data):
            if opcode == websocket.PING:
                self.socket.sendall(websocket.frame(websocket.PONG, body))
            elif opcode == websocket.TEXT:
                self.statuses += b'"type":"status"' in body
            elif opcode == websocket.BINARY:
                camera, _, sequence, captured, _, _, _ = HEADER.unpack_from(body)
                self.pictures[camera] += 1
                self.ages.append(1e-6 * (time.monotonic_ns() - captured))
                self.send(json.dumps(
                    {"type": "frame_seen", "camera": camera, "sequence": sequence}))

    def forget(self):
        self.bytes, self.statuses, self.ages = 0, 0, []
        self.pictures = [0] * len(self.pictures)


def _watch(pipe, port, token, viewers, cameras):
    watchers = [_Watcher(port, token, cameras) for _ in range(viewers)]
    poll = select.poll()
    by_descriptor = {watcher.socket.fileno(): watcher for watcher in watchers}
    for descriptor in (*by_descriptor, pipe.fileno()):
        poll.register(descriptor, select.POLLIN)
    began = time.monotonic()
    pipe.send("here")
    while True:
        for descriptor, _ in poll.poll():
            if descriptor != pipe.fileno():
                by_descriptor[descriptor].take()
                continue
            if pipe.recv() == "leave":
                return
            pipe.send({"seconds": time.monotonic() - began,
                       "bytes": [watcher.bytes for watcher in watchers],
                       "statuses": [watcher.statuses for watcher in watchers],
                       "pictures": [count for watcher in watchers for count in watcher.pictures],
                       "ages_ms": [age for watcher in watchers for age in watcher.ages]})
            for watcher in watchers:
                watcher.forget()
            began = time.monotonic()


class Crowd:
    """`viewers` connections that watch these cameras, until leave()."""

    def __init__(self, port, token, viewers, cameras):
        context = multiprocessing.get_context("fork")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=_watch, args=(far, port, token, viewers, cameras),
                                        daemon=True)
        self._process.start()
        far.close()
        self._pipe.recv()  # EOFError: it could not come in, and has said why

    def report(self):
        """What came since the last report: of each viewer its bytes and statuses, of each viewer
        and camera the pictures, the age of each picture, and in how many seconds."""
        self._pipe.send("report")
        return self._pipe.recv()

    def leave(self):
        if self._process.is_alive():
            self._pipe.send("leave")
        self._process.join(10)
