"""A ZeroMQ DEALER that keeps nothing for a daemon that is not there. One thread at a time."""

from __future__ import annotations

import contextlib
import os
import re
import select
import threading
import time

import zmq

from nudge.status import Code, NudgeError

SEND_QUEUE = 4  # messages
# More than arrives in a second: libzmq 4.3 aborts the process when a connection breaks while its
# receive queue is full and a heartbeat is due (zeromq/libzmq issue 4364).
RECEIVE_QUEUE = 256
HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS = 250, 1000
RECONNECT_MS, RECONNECT_MAX_MS = 50, 200
HANDSHAKE_MS = 2000
LOOPBACK = ("tcp://127.0.0.1:", "tcp://[::1]:", "tcp://localhost:")


KEY = re.compile(r"[0-9a-zA-Z.\-:+=^!/*?&<>()\[\]{}@%$#]{40}")
KEY_FILE = re.compile(rb"nudge-curve-key-1 (\S{40}) (\S{40})\n")


def _read_pair(server_key: str, path: str) -> tuple[bytes, bytes]:
    """Public and secret key of the file that `nudge auth key make` wrote."""
    if not KEY.fullmatch(server_key):
        raise NudgeError(
            Code.INVALID_ARGUMENT,
            "the daemon's key is not 40 characters of Z85; 'nudge auth key server' on its machine "
            "prints it",
        )
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            about = os.fstat(file.fileno())
            text = file.read(128)
    except OSError as error:
        raise NudgeError(
            Code.NOT_FOUND,
            f"the key file '{path}' cannot be read ({error.strerror}); 'nudge auth key make' makes "
            "one",
        ) from None
    if about.st_uid != os.geteuid() or about.st_mode & 0o077:
        raise NudgeError(
            Code.PERMISSION_DENIED,
            f"the key file '{path}' must be yours and nobody else's: chmod 600",
        )
    found = KEY_FILE.fullmatch(text)
    if found is None:
        raise NudgeError(Code.DATA_LOSS, f"the key file '{path}' holds no pair of keys")
    return found[1], found[2]


class Dealer:
    """The client's end of a connection. Only `wake()` may be called from other threads."""

    def __init__(
        self, endpoint: str, max_message: int, server_key: str = "", key_file: str = ""
    ) -> None:
        """Connects by itself, again and again. Peers that send more than `max_message` are cut off.

        `server_key`, `key_file`: for CURVE, the daemon's key in Z85 and the file of this program's
        own pair. INVALID_ARGUMENT: no endpoint, or not one on this machine and no keys.
        PERMISSION_DENIED, DATA_LOSS, NOT_FOUND: the file.
        """
        pair = _read_pair(server_key, key_file) if server_key or key_file else None
        if pair is None and not endpoint.startswith(LOOPBACK):
            # A token must not travel in the clear, nor an answer come from whoever is in between.
            raise NudgeError(
                Code.INVALID_ARGUMENT,
                f"cannot connect to '{endpoint}' without keys: only endpoints such as "
                "tcp://127.0.0.1:5571 on this machine are open to programs without; "
                "'nudge auth key make' makes a pair",
            )
        self._socket: zmq.Socket[bytes] = zmq.Context.instance().socket(zmq.DEALER)
        if pair is not None:
            self._socket.setsockopt(zmq.CURVE_SERVERKEY, server_key.encode())
            self._socket.setsockopt(zmq.CURVE_PUBLICKEY, pair[0])
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, pair[1])
            self._socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        for option, value in (
            (zmq.LINGER, 0),
            # Without this, what is sent while the daemon is down is delivered when it is back.
            (zmq.IMMEDIATE, 1),
            (zmq.SNDHWM, SEND_QUEUE),
            (zmq.RCVHWM, RECEIVE_QUEUE),
            (zmq.MAXMSGSIZE, max_message),
            (zmq.HEARTBEAT_IVL, HEARTBEAT_MS),
            (zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS),
            (zmq.HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS),
            (zmq.RECONNECT_IVL, RECONNECT_MS),
            (zmq.RECONNECT_IVL_MAX, RECONNECT_MAX_MS),
            (zmq.IPV6, 1),
        ):
            self._socket.setsockopt(option, value)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._socket.close()
            raise NudgeError(
                Code.INVALID_ARGUMENT,
                f"cannot connect to '{endpoint}': {error}; an endpoint looks like "
                "tcp://127.0.0.1:5571",
            ) from None
        self._waking = threading.Lock()  # a descriptor that is closed may be another's soon
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._poll = select.poll()
        self._poll.register(self._socket.getsockopt(zmq.FD), select.POLLIN)
        self._poll.register(self._wake_read, select.POLLIN)

    def send(self, message: bytes) -> bool:
        """False: not connected, or the queue is full. Nothing is kept for later."""
        try:
            self._socket.send(message, zmq.NOBLOCK)
        except zmq.ZMQError:
            return False
        return True

    def receive(self) -> bytes | None:
        """The next message that has arrived; messages of several parts are none of ours."""
        while True:
            try:
                parts = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.ZMQError:
                return None
            if len(parts) == 1:
                return bytes(parts[0])

    def wait(self, seconds: float) -> None:
        """Until something arrives or `wake()` is called, at most so long."""
        end = time.monotonic() + seconds
        while True:
            # The descriptor tells of changes only: what has arrived already must be asked for.
            if int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
                return
            left = end - time.monotonic()
            if left <= 0:
                return
            ready = self._poll.poll(max(1, round(left * 1000)))
            if any(descriptor == self._wake_read for descriptor, _ in ready):
                with contextlib.suppress(BlockingIOError):
                    while os.read(self._wake_read, 4096):
                        pass
                return

    def wake(self) -> None:
        """Any thread: ends a `wait()` that is under way, or the next one."""
        with self._waking, contextlib.suppress(BlockingIOError):  # it has been woken often enough
            if self._wake_write >= 0:
                os.write(self._wake_write, b"x")

    def close(self) -> None:
        """What was not sent yet is dropped."""
        self._socket.close()
        with self._waking:
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_write = -1
