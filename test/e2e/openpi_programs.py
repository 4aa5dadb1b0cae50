"""The two ends of the openpi protocol, written from its description: a robot's program and a policy
server. On the `websockets` and `msgpack` packages, and independent of the daemon's code."""

import asyncio
import http
import threading

import msgpack
import numpy
import websockets


def pack(value):
    def array(it):
        if isinstance(it, numpy.ndarray):
            return {b"__ndarray__": True, b"data": it.tobytes(), b"dtype": it.dtype.str,
                    b"shape": it.shape}
        if isinstance(it, numpy.generic):
            return {b"__npgeneric__": True, b"data": it.item(), b"dtype": it.dtype.str}
        raise TypeError(type(it))
    return msgpack.packb(value, default=array)


def unpack(data):
    def array(it):
        if b"__ndarray__" in it:
            return numpy.ndarray(buffer=it[b"data"], dtype=numpy.dtype(it[b"dtype"]),
                                 shape=it[b"shape"])
        if b"__npgeneric__" in it:
            return numpy.dtype(it[b"dtype"]).type(it[b"data"])
        return it
    return msgpack.unpackb(data, object_hook=array)


class _Thread:
    """An event loop on a thread of its own."""

    def __init__(self):
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def _do(self, work, patience=60):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(patience)

    def _end(self):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(60)


def libero(prompt="put it down", **changes):
    """What a LIBERO program sees: two pictures, eight numbers and the task."""
    seen = {"observation/image": numpy.full((224, 224, 3), 90, numpy.uint8),
            "observation/wrist_image": numpy.full((224, 224, 3), 30, numpy.uint8),
            "observation/state": numpy.linspace(0.1, 0.8, 8), "prompt": prompt}
    return {**seen, **changes}


class Refused(Exception):
    pass


class Program(_Thread):
    """A robot's program: asks once in a while, in a thread of its own, and notes the answers."""

    def __init__(self, port, path="/", **options):
        super().__init__()
        async def connect():
            return await websockets.connect(f"ws://127.0.0.1:{port}{path}", max_size=None,
                                            compression=None, **options)
        self.socket = self._do(connect())
        self.metadata = unpack(self._do(self.socket.recv()))
        self.answers, self.seen, self.error = [], libero(), None
        self._asks, self._asking, self._left = threading.Event(), None, False

    def infer(self, seen):
        self._do(self.socket.send(pack(seen)))
        answer = self._do(self.socket.recv())
        if isinstance(answer, str):
            raise Refused(answer)
        return unpack(answer)

    def send(self, data):
        self._do(self.socket.send(data))

    def receive(self):
        return self._do(self.socket.recv())

    def ping(self):
        """Waits for the pong."""
        async def both():
            await (await self.socket.ping())
        self._do(both())

    def work(self, every=0.05):
        """Asks every so many seconds, from now on."""
        def ask():
            try:
                while not self._asks.wait(every):
                    self.answers.append(self.infer(self.seen))
            except Exception as error:  # what it saw last is what the test is told
                self.error = error
        self._asks.clear()
        self._asking = threading.Thread(target=ask, daemon=True)
        self._asking.start()

    def rest(self):
        self._asks.set()
        self._asking.join(60)

    def newest(self):
        return self.answers[-1] if self.answers else None

    def leave(self):
        if self._left:
            return
        self._left = True
        if self._asking is not None:
            self.rest()
        self._do(self.socket.close())
        self._end()


class Upstream(_Thread):
    """A policy server that answers with chunks of numbers that it notes."""

    def __init__(self, port, horizon=10, width=7, dtype=numpy.float64, tls=None, key=None):
        super().__init__()
        self.port, self.horizon, self.width, self.dtype = port, horizon, width, dtype
        self.tls, self.key = tls, key  # an ssl.SSLContext; whom it lets in
        self.delay, self.fails, self.requests, self.chunks = 0.0, False, [], []
        self.random = numpy.random.default_rng(1)
        self._server = None
        self.open()

    async def _serve(self, socket, *_):
        try:
            await self._answer(socket)
        except websockets.ConnectionClosed:
            pass  # by the test, or by a daemon that was killed

    async def _answer(self, socket):
        await socket.send(pack({"reset_pose": [0.25, 0.5]}))
        async for data in socket:
            self.requests.append(unpack(data))
            await asyncio.sleep(self.delay)
            if self.fails:
                await socket.send("Traceback: out of memory")
                await socket.close(1011, "Internal server error.")
                return
            chunk = self.random.uniform(-0.4, 0.4, (self.horizon, self.width)).astype(self.dtype)
            self.chunks.append(chunk)
            await socket.send(pack({"actions": chunk, "state": chunk[:, :2],
                                    "policy_timing": {"infer_ms": 1.5}}))

    async def _admit(self, _, headers):
        if self.key is not None and headers.get("Authorization") != f"Api-Key {self.key}":
            return http.HTTPStatus.UNAUTHORIZED, [], b"no key"
        return None

    def open(self):
        async def begin():
            return await websockets.serve(self._serve, "127.0.0.1", self.port, max_size=None,
                                          compression=None, ssl=self.tls,
                                          process_request=self._admit)
        self._server = self._do(begin())

    def close(self):
        async def finish():
            self._server.close()
            await self._server.wait_closed()
        self._do(finish())

    def leave(self):
        self.close()
        self._end()
