"""A TCP proxy that does to messages what bad networks do, in front of one of the daemon's ports.

TCP keeps bytes in order and whole, so whatever is lost, doubled or reordered on the way is a whole
message (a WebSocket or a ZMTP frame); what is late may be anything. Each direction has its own
`Weather`, which may change at any time.
"""

import heapq
import random
import select
import socket
import threading
import time

import websocket
import zmtp

SPLITTERS = {"web": websocket.Splitter, "teleop": zmtp.Splitter}


class Weather:
    def __init__(self, seed=0):
        self.random = random.Random(seed)
        self.clear()

    def clear(self):
        self.delay = 0.0  # s, of each message
        self.jitter = 0.0  # s, added at most; the order stays
        self.reorder = 0.0  # share of messages that are held back behind later ones
        self.held_back = 0.05  # s, at most
        self.duplicate = 0.0  # share of messages that come again
        self.again_after = 0.05  # s, at most
        self.lose = False  # every message is lost
        self.stall = False  # nothing comes through, and everything later


class _Way:
    """One direction of one connection."""

    def __init__(self, splitter, weather):
        self.splitter, self.weather = splitter, weather
        self.due, self.count, self.newest = [], 0, 0.0
        self.backlog = bytearray()  # due, and not taken by the socket

    def take(self, data, now, seen):
        weather = self.weather
        for piece in self.splitter.feed(data):
            if not self.splitter.is_message(piece):
                self._put(max(now, self.newest), piece[2])
                continue
            if seen:
                seen(piece)
            if weather.lose:
                continue
            at = now + weather.delay + weather.random.random() * weather.jitter
            at = self.newest = max(at, self.newest)
            if weather.random.random() < weather.reorder:
                at += weather.random.random() * weather.held_back
            self._put(at, piece[2])
            if weather.random.random() < weather.duplicate:
                self._put(at + weather.random.random() * weather.again_after, piece[2])

    def _put(self, at, raw):
        self.count += 1
        heapq.heappush(self.due, (at, self.count, raw))

    def give(self, now):
        """What may leave now."""
        if self.weather.stall:
            return b""
        while self.due and self.due[0][0] <= now:
            self.backlog += heapq.heappop(self.due)[2]
        return self.backlog

    def next(self):
        if self.weather.stall or not self.due:
            return None
        return self.due[0][0]


class Proxy:
    """`up`: weather from the client to the daemon; `down`: the other way."""

    def __init__(self, kind, target, on_up=None, on_down=None):
        self.kind, self.target = kind, target
        self.up, self.down = Weather(1), Weather(2)
        self.on_up, self.on_down = on_up, on_down
        self.half_open = False  # accepts, and never answers or closes
        self.tells = True  # the daemon, when a client closes
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.over = False
        self.threads, self.pairs = [], []
        self.lock = threading.Lock()
        self._start(self._accept)

    def close(self):
        self.over = True
        self.listener.close()
        for thread in self.threads:
            thread.join(10)
        with self.lock:
            for pair in self.pairs:
                for end in pair:
                    end.close()

    def abandon(self):
        """Cuts the clients off while the daemon's side stays open, as a dead router does."""
        self.tells = False
        with self.lock:
            for client, _ in self.pairs:
                try:
                    client.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def _start(self, what, *arguments):
        thread = threading.Thread(target=what, args=arguments, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self):
        while not self.over:
            if not select.select([self.listener], [], [], 0.1)[0]:
                continue
            try:
                client = self.listener.accept()[0]
            except OSError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.half_open:
                with self.lock:
                    self.pairs.append((client, client))
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target), timeout=10)
            except OSError:
                client.close()
                continue
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.append((client, server))
            self._start(self._carry, client, server)

    def _carry(self, client, server):
        make = SPLITTERS[self.kind]
        ways = {client: (_Way(make(), self.up), server, self.on_up),
                server: (_Way(make(), self.down), client, self.on_down)}
        for end in ways:
            end.setblocking(False)
        open_ends = {client, server}
        broken = False
        while not self.over and not broken and server in open_ends:
            now = time.monotonic()
            times = [way.next() for way, _, _ in ways.values()]
            pause = min([0.01] + [max(0, at - now) for at in times if at is not None])
            ready = select.select(list(open_ends), [], [], pause)[0]
            now = time.monotonic()
            for end in ready:
                way, _, seen = ways[end]
                try:
                    data = end.recv(1 << 16)
                except BlockingIOError:
                    continue
                except OSError:
                    data = b""
                if data:
                    way.take(data, now, seen)
                else:
                    open_ends.discard(end)
                    broken = broken or self.tells
            for way, to, _ in ways.values():
                try:
                    leaving = way.give(now)
                    if leaving:
                        del leaving[:to.send(leaving)]
                except BlockingIOError:
                    pass
                except OSError:
                    way.backlog.clear()
                    broken = broken or to is server
        if server not in open_ends or broken:
            for end in (client, server):
                end.close()
