"""People at the daemon's two ports: they look, ask for the robot, drive it, and lose their link.

As a program it is a driver in a process of its own, which a test can stop:
python3 people.py web|teleop PORT TOKEN; it tells what it does, one JSON object a line.
"""

import json
import os
import select
import socket
import struct
import sys
import threading
import time

from websocket import WebSocket
from zmtp import Dealer

STATES = ["HOLD", "TAKEOVER", "HUMAN", "HANDBACK", "AUTO", "FAULT_HOLD", "ESTOP"]
SOURCES = ["hold", "policy", "human", "nudge", "script"]
PERIOD = 0.02  # s, between two commands
SIGN = 0.4  # s, between two signs of life of somebody who says nothing else
SIGNATURES = 400


def signature(sequence):
    """The first value of a command: it tells which of the last 400 is moving the robot."""
    sign = 1 if sequence // 25 % 2 == 0 else -1
    return sign * (0.1 + sequence % SIGNATURES * 0.002)


def steady_ns():
    """The clock of the daemon's log, too: one machine has one steady clock."""
    return time.monotonic_ns()


class WebWire:
    """The supervisor's port."""

    def __init__(self, port, token, name="tablet", served_port=None, **_):
        self.line = WebSocket(port, f"/api/v1/live?name={name}",
                              ["nudge.v1", f"nudge.token.{token}"], served_port=served_port)
        self.socket = self.line.socket
        self.name = None

    def receive(self):
        for text in self.line.receive():
            message = json.loads(text)
            kind = message["type"]
            if kind == "hello":
                self.name = message["you"]["name"]
                yield "hello", message
            elif kind == "status":
                holder = message["lease"]["holder"]
                yield "state", {"tick": message["tick"], "now": None, "state": message["state"],
                                "source": message["source"], "mine": message["lease"]["mine"],
                                "epoch": message["lease"]["epoch"],
                                "holder": holder["name"] if holder else "",
                                "requested": message["requested"],
                                "executed": message["executed"], "clamped": message["clamped"],
                                "at": steady_ns()}
            elif kind == "ack":
                yield "ack", message
            elif kind == "problem":
                yield "refusal", message["message"]

    def feedback(self, message):
        self.line.send(json.dumps(message))

    def jog(self, epoch, sequence, tick, dead_man, action):
        self.line.send(json.dumps({"type": "jog", "epoch": epoch, "sequence": sequence,
                                   "tick": tick, "dead_man": dead_man, "action": action}))

    def sign_of_life(self):
        self.line.send('{"type": "ping", "sent": 1}')

    def bye(self):
        pass


def teleop_frame(kind, session, body=b""):
    return b"NUDG" + struct.pack("<BBHII", 1, 0, kind, len(body), session) + body


def _short(data, at):
    size = struct.unpack_from("<H", data, at)[0]
    return data[at + 2:at + 2 + size].decode(), at + 2 + size


class TeleopWire:
    """The teleoperation port."""

    def __init__(self, port, token, name="leader", instance=None, every=1, robot="kitchen", **_):
        self.line = Dealer(port)
        self.socket = self.line.socket
        self.robot, self.session, self.name = robot, 0, None
        self.hello = json.dumps({
            "protocol": {"min": 1, "max": 1}, "program": "links-test",
            "instance": instance or os.urandom(8).hex(), "name": name, "token": token,
            "robot": robot, "every": every}).encode()
        self.next_hello = 0
        self.say_hello()

    def say_hello(self):
        self.next_hello = time.monotonic() + 0.25
        self.line.send(teleop_frame(33, 0, self.hello))

    def receive(self):
        if self.session == 0 and time.monotonic() > self.next_hello:
            self.say_hello()
        for message in self.line.receive():
            kind, _, session = struct.unpack_from("<HII", message, 6)
            body = message[16:]
            if kind == 48:
                self.session = session
                self.name = _short(body, 30)[0]
                yield "hello", {}
            elif kind == 49:
                text = _short(body, 2)[0]
                if struct.unpack_from("<H", body)[0] == 5:  # no session
                    self.session = 0
                else:
                    yield "refusal", text
            elif kind == 50:
                tick, now = struct.unpack_from("<Qq", body)
                state, source, flags = struct.unpack_from("<BBB", body, 24)
                step, = struct.unpack_from("<I", body, 28)
                epoch, episode = struct.unpack_from("<QQ", body, 40)
                holder, at = _short(body, 64)
                sizes = struct.unpack_from("<HH", body, at)
                values = struct.unpack_from(f"<{sum(sizes)}f", body, at + 4)
                yield "state", {"tick": tick, "now": now, "state": STATES[state],
                                "source": SOURCES[source], "mine": bool(flags & 1),
                                "policy_step": step, "epoch": epoch, "episode": episode,
                                "holder": holder, "proprioception": values[:sizes[0]],
                                "objects": values[sizes[0]:], "last_success": bool(flags & 8),
                                "at": steady_ns()}
            elif kind == 51:
                yield "ack", json.loads(body)

    def feedback(self, message):
        self.line.send(teleop_frame(35, self.session, json.dumps(message).encode()))

    def jog(self, epoch, sequence, tick, dead_man, action):
        """Values are floats, or the four bytes of one."""
        robot = self.robot.encode()
        self.line.send(teleop_frame(
            34, self.session, struct.pack("<H", len(robot)) + robot +
            struct.pack("<QQQBBH", epoch, sequence, tick, dead_man, 0, len(action)) +
            b"".join(v if isinstance(v, bytes) else struct.pack("<f", v) for v in action)))

    def sign_of_life(self):
        self.line.send(teleop_frame(36, self.session))

    def bye(self):
        self.line.send(teleop_frame(37, self.session))


WIRES = {"web": WebWire, "teleop": TeleopWire}


class Person:
    """A connection that lives in a thread of its own: everything that is sent leaves there."""

    def __init__(self, port_kind, *, on_state=None, on_sent=None, **where):
        self.kind = port_kind
        self.wire = WIRES[port_kind](**where)
        self.on_state, self.on_sent = on_state, on_sent
        self.state = None
        self.acks, self.refusals = {}, []
        self.ended = None  # why the link is gone
        self.sent = []  # (sequence, echoed tick, steady ns): noted before it leaves
        self.epoch = self.sequence = 0
        self.driving, self.alive, self.reading = False, True, True
        self.dead_man, self.make_action = True, None
        self.over = self.eager = False
        self._changed = threading.Condition()
        self._orders = []
        self._wake_read, self._wake_write = os.pipe()
        self._count = 0
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()
        self.wait(lambda: self.wire.name and self.state, "the daemon's greeting")

    # ---- for the test ----------------------------------------------------------------------------

    @property
    def name(self):
        return self.wire.name

    def wait(self, condition, what, patience=60):
        end = time.monotonic() + patience
        with self._changed:
            while not condition():
                if self.ended:
                    raise ConnectionError(f"{self.ended}, while waiting for {what}")
                if time.monotonic() > end:
                    raise AssertionError(f"waited {patience} s in vain for {what}; the last state: "
                                         f"{self.state}; refusals: {self.refusals}")
                self._changed.wait(0.05)

    def order(self, act, wait=True):
        """Has `act()` done in the connection's thread; what it raises ends the link."""
        done = threading.Event()
        with self._changed:
            self._orders.append((act, done))
        os.write(self._wake_write, b"x")
        end = time.monotonic() + 60
        while wait and not self.ended and time.monotonic() < end and not done.wait(0.1):
            pass

    def tell(self, kind, **fields):
        """Sends a message with a new id, and gives the id."""
        with self._changed:
            self._count += 1
            name = f"{self.kind}:{os.getpid()}:{id(self)}:{steady_ns()}:{self._count}"
        self.order(lambda: self.wire.feedback({"type": kind, "id": name, **fields}))
        return name

    def ask(self, kind, **fields):
        name = self.tell(kind, **fields)
        self.wait(lambda: name in self.acks, f"the answer to {kind}")
        return self.acks[name]

    def drive(self, epoch):
        """From now on 50 commands a second, as of one who holds this lease."""
        self.epoch, self.sequence = epoch, self.sequence if epoch == self.epoch else 0
        self.driving = True
        os.write(self._wake_write, b"x")

    def take_over(self):
        """Drives from the moment in which the answer says so."""
        self.eager = True
        ack = self.ask("takeover")
        self.eager = False
        return ack

    # The ways in which a link is lost. Each happens in the connection's thread, between two
    # commands or in the middle of what the daemon says.

    def fin(self):
        self.order(self._close)

    def reset(self):
        def act():
            self.wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                        struct.pack("ii", 1, 0))
            self._close()
        self.order(act)

    def go_silent(self):
        """The connection stays, nobody is there."""
        def act():
            self.driving = self.alive = self.reading = False
        self.order(act)

    def stop_commands(self):
        """Everything goes on but for the commands."""
        def act():
            self.driving = False
        self.order(act)

    def leave(self):
        if not self._thread.is_alive() and self.over:
            return
        if not self.over and not self.ended:
            self.order(lambda: (self.wire.bye(), self._close()))
        self.over = True
        os.write(self._wake_write, b"x")
        self._thread.join(60)
        self.wire.socket.close()

    # ---- the thread ------------------------------------------------------------------------------

    def _close(self):
        self.wire.socket.close()
        raise ConnectionError("closed by the test")

    def _live(self):
        next_jog = next_sign = 0
        try:
            while not self.over:
                now = time.monotonic()
                pause = max(0, min(next_jog - now, PERIOD)) if self.driving else 0.05
                # Not select(), which ends at 1,024 descriptors: many people come and go in a long test.
                watched = select.poll()
                for each in [self._wake_read] + ([self.wire.socket] if self.reading else []):
                    watched.register(each, select.POLLIN)
                ready = [descriptor for descriptor, _ in watched.poll(1000 * pause)]
                if self._wake_read in ready:
                    os.read(self._wake_read, 4096)
                with self._changed:
                    orders, self._orders = self._orders, []
                for act, done in orders:
                    try:
                        act()
                    finally:
                        done.set()
                if self.reading:
                    self._read()
                now = time.monotonic()
                if self.driving and now >= next_jog and self.state:
                    next_jog = max(next_jog + PERIOD, now)
                    self._jog()
                if self.alive and now >= next_sign and self.wire.name:
                    next_sign = now + SIGN
                    self.wire.sign_of_life()
        except (OSError, ConnectionError) as error:
            with self._changed:
                self.ended = str(error) or type(error).__name__
                for _, done in self._orders:
                    done.set()
                self._changed.notify_all()

    def _read(self):
        for kind, what in self.wire.receive():
            with self._changed:
                if kind == "state":
                    self.state = what
                    if self.on_state:
                        self.on_state(what)
                elif kind == "ack":
                    self.acks[what["id"]] = what
                    if self.eager and what["ok"] and what["epoch"]:
                        self.drive(what["epoch"])
                elif kind == "refusal":
                    self.refusals.append(what)
                self._changed.notify_all()

    def _jog(self):
        self.sequence += 1
        action = [signature(self.sequence), 0.0, 0.0, 0.0]
        if self.make_action:
            action = self.make_action(self.sequence, action)
        self.sent.append((self.sequence, self.state["tick"], steady_ns()))
        if self.on_sent:
            self.on_sent(self.sent[-1])
        self.wire.jog(self.epoch, self.sequence, self.state["tick"], self.dead_man, action)


def main(kind, port, token):
    def tell(**what):
        os.write(1, json.dumps(what).encode() + b"\n")
    person = Person(kind, port=int(port), token=token,
                    on_sent=lambda sent: tell(sequence=sent[0], tick=sent[1], at=sent[2]))
    ack = person.take_over()
    tell(epoch=ack["epoch"], ok=ack["ok"], message=ack["message"])
    while not person.ended:
        time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
