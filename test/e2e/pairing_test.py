"""A tablet comes in: TLS with the daemon's own authority, pairing, driving, and being sent away."""

import fcntl
import http.client
import json
import os
import re
import select
import signal
import socket
import ssl
import stat
import struct
import subprocess
import sys
import threading
import time
import unittest
import warnings

import program
from program import Case, end, environment, events, free_port, nudge
from websocket import WebSocket

QUICK = ["--no-learning", "--set", "ports.http=0", "--set", "ports.teleop=0",
         "--set", "authority.watchdog_ms=800"]
CODE = re.compile(r"Pairing code ([2-9A-HJ-NP-Z]{4}-[2-9A-HJ-NP-Z]{4})")


class Daemon:
    """A daemon that speaks TLS on loopback, with what it prints."""

    def __init__(self, state, *arguments, **env):
        self.state = state
        self.opened = []
        self.log = open(state.parent / f"{state.name}.err", "ab")
        self.process = subprocess.Popen(
            [program.program(), "run", "--state", str(state), *QUICK, *arguments],
            env=environment(**env), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=self.log, text=True)
        self.lines = [self.process.stdout.readline().rstrip("\n")]
        if not self.lines[0]:
            self.process.wait()
            raise AssertionError(f"the daemon did not start:\n{self.errors()}")
        self.port = int(self.lines[0].split("/#")[0].rstrip("/").rsplit(":", 1)[1])
        self.token = self.tokens()["engineer"]
        self.secure = self.lines[0].startswith("https://")

    def tokens(self):
        return json.loads((self.state / "run/tokens.json").read_text())["tokens"]

    def greeting(self):
        """All that is said at the start, up to the certificate's fingerprint."""
        while not re.fullmatch(r"  ([0-9A-F]{2}:){31}[0-9A-F]{2}", self.lines[-1]):
            self.lines.append(self.process.stdout.readline().rstrip("\n"))
        return "\n".join(self.lines)

    def errors(self):
        return (self.state.parent / f"{self.state.name}.err").read_text()

    def context(self):
        """Of a tablet that has installed the authority."""
        context = ssl.create_default_context()
        context.load_verify_locations(cadata=(self.state / "run/authority.pem").read_text()
                                      .split("-----BEGIN PRIVATE KEY")[0])
        return context

    def request(self, method, path, body=None, token="", headers=None):
        """Status, decoded body, headers."""
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30,
                                                 context=self.context())
        sent = {"Authorization": f"Bearer {token}"} if token else {}
        sent.update(headers or {})
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        kind = answer.getheader("Content-Type", "")
        return answer.status, json.loads(data) if "json" in kind else data, answer.headers

    def code(self, role="supervisor"):
        status, made, _ = self.request("POST", "/api/v1/pairing-codes", {"role": role}, self.token)
        assert status == 201, (status, made)
        return made["code"]

    def pair(self, name="Anna's tablet", role="supervisor"):
        status, grant, _ = self.request("POST", "/api/v1/pair",
                                        {"code": self.code(role), "name": name})
        assert status == 200, (status, grant)
        return grant

    def live(self, token, name="tablet"):
        self.opened.append(WebSocket(self.port, f"/api/v1/live?name={name}",
                                     ["nudge.v1", f"nudge.token.{token}"], context=self.context()))
        return self.opened[-1]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self.close()
        return code

    def kill(self):
        end(self.process)
        self.close()

    def close(self):
        self.process.stdout.close()
        self.log.close()
        for line in self.opened:
            line.socket.close()


def messages(live, patience=30):
    """Text messages, one after the other, as they come."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        select.select([live.socket], [], [], 0.2)
        for text in live.receive():
            yield json.loads(text)
    raise AssertionError(f"nothing came for {patience} s")


def first(live, kind, **fields):
    for message in messages(live):
        if message["type"] == kind and all(message.get(k) == v for k, v in fields.items()):
            return message
    return None


def closing(live, patience=30):
    """Waits for the daemon to close; gives code and words."""
    try:
        for _ in messages(live, patience):
            pass
    except ConnectionError as error:
        return live.code, str(error)
    return None


def attended(live, *arguments):
    """A command of the program, while the connection is read: who is silent is sent away. The
    connection may end meanwhile."""
    outcomes = []
    command = threading.Thread(target=lambda: outcomes.append(nudge(*arguments)))
    command.start()
    while command.is_alive() and live.code is None:
        select.select([live.socket], [], [], 0.2)
        try:
            live.receive()
        except ConnectionError:
            break
    command.join()
    return outcomes[0]


class PairingCase(Case):
    def daemon(self, *arguments, state=None, **env):
        daemon = Daemon(state or self.folder / "state", "--listen", "127.0.0.1", "--tls", *arguments,
                        **env)
        self.addCleanup(lambda: daemon.process.poll() is None and daemon.kill())
        return daemon


class Encrypted(PairingCase):
    def test_shows_a_certificate_that_its_authority_vouches_for(self):
        daemon = self.daemon("--set", "ports.names=robot-7.local")
        self.assertTrue(daemon.secure)
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as plain:
            with daemon.context().wrap_socket(plain, server_hostname="robot-7.local") as line:
                self.assertIn(line.version(), ("TLSv1.2", "TLSv1.3"))
                names = {value for _, value in line.getpeercert()["subjectAltName"]}
        self.assertLessEqual({"localhost", "127.0.0.1", "robot-7.local"}, names)
        for name in ("authority.pem", "server.pem", "nudge.sock", "tokens.json"):
            mode = (daemon.state / "run" / name).stat().st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o600, name)

        # What a tablet installs is that authority, in DER.
        status, der, headers = daemon.request("GET", "/authority.crt")
        self.assertEqual((status, headers["Content-Type"]), (200, "application/x-x509-ca-cert"))
        installed = ssl.create_default_context()
        installed.load_verify_locations(cadata=der)
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as plain:
            installed.wrap_socket(plain, server_hostname="localhost").close()

        # Another name, another authority and old versions are no way in.
        for context, name in ((daemon.context(), "other.local"),
                              (ssl.create_default_context(), "localhost")):
            with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as plain:
                with self.assertRaises(ssl.SSLCertVerificationError):
                    context.wrap_socket(plain, server_hostname=name)
        old = daemon.context()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # that is why
            old.minimum_version = ssl.TLSVersion.TLSv1
            old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as plain:
            with self.assertRaises(ssl.SSLError):
                old.wrap_socket(plain, server_hostname="localhost")
        weak = daemon.context()
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers("AES128-SHA:ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0")
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as plain:
            with self.assertRaises(ssl.SSLError):
                weak.wrap_socket(plain, server_hostname="localhost")

    def test_sends_plain_http_to_tls_and_acts_on_none_of_it(self):
        daemon = self.daemon()

        def plain(method, headers=None):
            connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
            connection.request(method, "/?a=b", "{}" if method == "POST" else None, headers or {})
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return answer.status, answer.getheader("Location")
        self.assertEqual(plain("GET"), (307, f"https://127.0.0.1:{daemon.port}/?a=b"))
        self.assertEqual(plain("POST"), (403, None))
        self.assertEqual(plain("GET", {"Host": "evil.example"}), (403, None))

    def test_asks_for_the_origin_of_its_own_page(self):
        daemon = self.daemon()
        address = f"127.0.0.1:{daemon.port}"
        for origin, wanted in ((f"https://{address}", 200), (f"http://{address}", 403),
                               ("https://evil.example", 403), ("null", 403)):
            status, _, _ = daemon.request("GET", "/api/v1/status", token=daemon.token,
                                          headers={"Origin": origin})
            self.assertEqual(status, wanted, origin)
        status, _, _ = daemon.request("GET", "/healthz", headers={"Host": "evil.example"})
        self.assertEqual(status, 403)

    def test_ends_a_handshake_that_does_not_come_to_its_end(self):
        daemon = self.daemon()
        silent = socket.create_connection(("127.0.0.1", daemon.port), timeout=60)
        halting = socket.create_connection(("127.0.0.1", daemon.port), timeout=60)
        halting.sendall(b"\x16\x03\x01\x02\x00")  # the head of a handshake, and no more
        nonsense = socket.create_connection(("127.0.0.1", daemon.port), timeout=60)
        nonsense.sendall(b"\x00" * 4096)
        for line in (silent, halting, nonsense):
            try:
                while line.recv(1024):  # an alert, perhaps
                    pass
            except ConnectionResetError:
                pass
            line.close()
        self.assertEqual(daemon.request("GET", "/healthz")[0], 200)

    def test_keeps_its_authority_when_it_makes_another_certificate(self):
        daemon = self.daemon()
        authority = (daemon.state / "run/authority.pem").read_text()
        server = (daemon.state / "run/server.pem").read_text()
        self.assertEqual(daemon.stop(), 0)
        daemon = self.daemon()
        self.assertEqual((daemon.state / "run/server.pem").read_text(), server)
        self.assertEqual(daemon.stop(), 0)
        daemon = self.daemon("--set", "ports.names=192.0.2.77,robot-8.local")
        self.assertNotEqual((daemon.state / "run/server.pem").read_text(), server)
        self.assertEqual((daemon.state / "run/authority.pem").read_text(), authority)
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as plain:
            daemon.context().wrap_socket(plain, server_hostname="192.0.2.77").close()

    def test_serves_the_certificate_that_people_bring(self):
        first = self.daemon()
        self.assertEqual(first.stop(), 0)
        text = (first.state / "run/server.pem").read_text()
        mark = text.index("-----BEGIN PRIVATE KEY")
        (self.folder / "cert.pem").write_text(text[:mark])
        key = self.folder / "key.pem"
        key.write_text(text[mark:])
        key.chmod(0o644)
        refused = nudge("run", "--state", self.folder / "own", *QUICK, "--tls",
                        "--cert", self.folder / "cert.pem", "--key", key)
        self.check(refused, 77, "ports.key")
        key.chmod(0o600)
        daemon = self.daemon("--cert", str(self.folder / "cert.pem"), "--key", str(key),
                             state=self.folder / "own")
        with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as plain:
            first.context().wrap_socket(plain, server_hostname="localhost").close()
        self.assertFalse((daemon.state / "run/authority.pem").exists())

    def test_does_not_leave_the_machine_in_clear(self):
        state = self.folder / "state"
        refused = nudge("run", "--state", state, *QUICK, "--listen", "0.0.0.0:0",
                        "--set", "ports.tls=off")
        self.check(refused, 64, "needs TLS", "ports.tls")
        self.check(nudge("run", "--state", state, *QUICK, "--listen", "robot"), 64, "0.0.0.0")
        self.check(nudge("run", "--state", state, *QUICK, "--listen", "0.0.0.0:x"), 78, "port")
        self.check(nudge("run", "--state", state, *QUICK, "--cert", "a.pem"), 78, "certificate")


class Paired(PairingCase):
    def test_a_tablet_pairs_drives_and_is_sent_away(self):
        daemon = self.daemon()
        greeting = daemon.greeting()
        code = CODE.search(greeting)[1]
        self.assertIn(f"https://127.0.0.1:{daemon.port}/#pair={code}", greeting)
        self.assertIn("▀", greeting)

        asked = {"code": code, "name": "Anna's tablet"}
        status, grant, _ = daemon.request("POST", "/api/v1/pair", asked)
        self.assertEqual(status, 200, grant)
        self.assertEqual((grant["role"], grant["name"], grant["robot"]),
                         ("supervisor", "Anna's tablet", "kitchen"))
        self.assertLess(abs(grant["expires_ms"] / 1000 - time.time() - 15 * 60), 60)
        status, again, _ = daemon.request("POST", "/api/v1/pair", asked)
        self.assertEqual((status, again["code"]), (403, "permission_denied"))

        live = daemon.live(grant["token"])
        hello = first(live, "hello")
        self.assertIs(hello["secure"], True)
        self.assertEqual(hello["you"]["device"], grant["device"])
        self.assertTrue(hello["you"]["name"].startswith("Anna's tablet#"))
        self.assertEqual(hello["you"]["role"], "supervisor")

        # It drives: the robot's commands are the tablet's.
        live.send(json.dumps({"type": "takeover", "id": "t-1"}))
        ack = first(live, "ack", id="t-1")
        self.assertTrue(ack["ok"], ack)
        driven = False
        sequence = 0
        for message in messages(live):
            if message["type"] != "status":
                continue
            sequence += 1
            driven = driven or (message["source"] == "human" and message["executed"][2] != 0)
            if driven:
                break
            live.send(json.dumps({"type": "jog", "epoch": ack["epoch"], "sequence": sequence,
                                  "tick": message["tick"], "dead_man": True,
                                  "action": [0, 0, 0.2, 0]}))
        self.assertTrue(driven)
        live.send(json.dumps({"type": "hold", "id": "h-1"}))
        self.assertTrue(first(live, "ack", id="h-1")["ok"])
        live.send(json.dumps({"type": "promote", "id": "p-1", "version": 1}))
        self.assertEqual(first(live, "ack", id="p-1")["code"], "permission_denied")

        # The owner sees it, and sends it away.
        listed = attended(live, "auth", "list", "--state", daemon.state, "--json")
        self.check(listed, 0)
        row, = listed.json()
        self.assertEqual((row["id"], row["name"], row["connected"]),
                         (grant["device"], "Anna's tablet", 1))
        self.check(attended(live, "auth", "list", "--state", daemon.state), 0, "Anna's tablet")
        gone = attended(live, "auth", "revoke", grant["device"], "--state", daemon.state)
        self.check(gone, 0, "revoked")
        self.assertEqual(live.code or closing(live)[0], 4401)
        status, _, _ = daemon.request("GET", "/api/v1/status", token=grant["token"])
        self.assertEqual(status, 401)
        status, _, _ = daemon.request("POST", "/api/v1/token", {"refresh": grant["refresh"]})
        self.assertEqual(status, 401)
        self.check(nudge("auth", "revoke", grant["device"], "--state", daemon.state), 66)

        # No secret was told to anybody.
        for secret in (grant["token"], grant["refresh"], daemon.token):
            self.assertNotIn(secret, daemon.errors())
            self.assertNotIn(secret, (daemon.state / "run/devices.json").read_text())

    def test_a_revoked_live_connection_ends(self):
        daemon = self.daemon()
        grant = daemon.pair()
        live = daemon.live(grant["token"])
        first(live, "hello")
        path = f"/api/v1/devices/{grant['device']}/revoke"
        self.assertEqual(daemon.request("POST", path, {}, grant["token"])[0], 403)
        begin = time.monotonic()
        self.assertEqual(daemon.request("POST", path, {}, daemon.token)[0], 200)
        self.assertEqual(closing(live), (4401, "the daemon closed: revoked"))
        # With the answer, by the daemon's own order (DeviceDesk's tests). How long this machine takes
        # to bring it here is its own matter, but for the long form, which has it alone.
        if program.LONG:
            self.assertLess(time.monotonic() - begin, 1)

    def test_a_refresh_works_once(self):
        daemon = self.daemon()
        grant = daemon.pair()
        live = daemon.live(grant["token"])
        first(live, "hello")

        def refresh(secret):
            return daemon.request("POST", "/api/v1/token", {"refresh": secret})[:2]
        status, second = refresh(grant["refresh"])
        self.assertEqual(status, 200, second)
        self.assertNotEqual(second["refresh"], grant["refresh"])
        status, third = refresh(second["refresh"])
        self.assertEqual(status, 200, third)
        self.assertEqual(daemon.request("GET", "/api/v1/status", token=third["token"])[0], 200)
        # One that was used before has been copied.
        self.assertEqual(refresh(grant["refresh"])[0], 401)
        self.assertEqual(closing(live)[0], 4401)
        self.assertEqual(refresh(third["refresh"])[0], 401)
        self.assertEqual(daemon.request("GET", "/api/v1/status", token=third["token"])[0], 401)

    def test_an_answer_that_was_lost_with_the_daemon_sends_no_tablet_away(self):
        daemon = self.daemon()
        grant = daemon.pair()
        asked = {"refresh": grant["refresh"]}
        self.assertEqual(daemon.request("POST", "/api/v1/token", asked)[0], 200)
        daemon.kill()
        daemon = self.daemon()
        status, again, _ = daemon.request("POST", "/api/v1/token", asked)
        self.assertEqual((status, again.get("device")), (200, grant["device"]), again)
        self.assertEqual(daemon.request("GET", "/api/v1/status", token=again["token"])[0], 200)

    def test_guessing_codes_ends_soon(self):
        daemon = self.daemon()
        code = daemon.code()
        wrong = {"code": "AAAA-AAAA", "name": "x"}
        answers = [daemon.request("POST", "/api/v1/pair", wrong) for _ in range(6)]
        self.assertEqual([status for status, _, _ in answers[:5]], [403] * 5)
        status, body, headers = answers[5]
        if status != 429:  # a very busy machine: a minute has passed, and one more try
            status, body, headers = daemon.request("POST", "/api/v1/pair", wrong)
        self.assertEqual((status, body["code"]), (429, "resource_exhausted"))
        self.assertGreater(int(headers["Retry-After"]), 0)
        self.assertEqual(daemon.request("POST", "/api/v1/pair", {"code": code, "name": "x"})[0], 429)
        for body in ({}, {"code": 7}, [], "x", {"code": "A" * 300}, {"name": "x"}):
            self.assertEqual(daemon.request("POST", "/api/v1/pair", body)[0], 400, body)
            self.assertEqual(daemon.request("POST", "/api/v1/token", body)[0], 400, body)

    def test_devices_are_remembered(self):
        daemon = self.daemon()
        grant = daemon.pair("the wall", "viewer")
        other = daemon.pair("Ben's phone")
        self.assertEqual(daemon.stop(), 0)
        state = daemon.state
        self.assertEqual(stat.S_IMODE((state / "run/devices.json").stat().st_mode), 0o600)
        # Without a daemon the command works on the file.
        rows = nudge("auth", "list", "--state", state, "--json").json()
        self.assertEqual([row["name"] for row in rows], ["the wall", "Ben's phone"])
        self.check(nudge("auth", "revoke", other["device"], "--state", state), 0)
        self.check(nudge("auth", "pair", "--state", state), 69, "nudge run --listen")

        daemon = self.daemon()
        self.assertEqual(daemon.request("GET", "/api/v1/status", token=grant["token"])[0], 200)
        self.assertEqual(daemon.request("GET", "/api/v1/status", token=other["token"])[0], 401)
        status, next_one, _ = daemon.request("POST", "/api/v1/token", {"refresh": grant["refresh"]})
        self.assertEqual((status, next_one["role"]), (200, "viewer"))
        # A viewer looks.
        self.assertEqual(daemon.request("POST", "/api/v1/feedback", {"type": "takeover", "id": "t"},
                                        next_one["token"])[0], 403)
        self.assertEqual(daemon.stop(), 0)

        # Those of another robot stay outside.
        file = state / "run/devices.json"
        file.write_text(file.read_text().replace('"robot": "kitchen"', '"robot": "workshop"'))
        daemon = self.daemon()
        self.assertEqual(daemon.request("GET", "/api/v1/status", token=next_one["token"])[0], 401)
        self.assertEqual(daemon.request("POST", "/api/v1/token",
                                        {"refresh": next_one["refresh"]})[0], 401)

    def test_only_an_engineer_lets_people_in(self):
        daemon = self.daemon()
        grant = daemon.pair()
        for method, path in (("GET", "/api/v1/devices"), ("POST", "/api/v1/pairing-codes"),
                             ("POST", f"/api/v1/devices/{grant['device']}/revoke")):
            body = None if method == "GET" else {}
            self.assertEqual(daemon.request(method, path, body)[0], 401, path)
            self.assertEqual(daemon.request(method, path, body, grant["token"])[0], 403, path)
        made = nudge("auth", "pair", "--role", "engineer", "--state", daemon.state, "--json")
        self.check(made, 0)
        status, engineer, _ = daemon.request(
            "POST", "/api/v1/pair", {"code": made.json()["code"], "name": "Eva"})
        self.assertEqual((status, engineer["role"]), (200, "engineer"))
        shown = nudge("auth", "pair", "--state", daemon.state)
        self.check(shown, 0, "Pairing code", "█", "#pair=")
        self.check(nudge("auth", "pair", "--role", "script", "--state", daemon.state), 64)
        status, rows, _ = daemon.request("GET", "/api/v1/devices", token=engineer["token"])
        self.assertEqual((status, len(rows["devices"])), (200, 2))

    def test_the_log_tells_who_let_whom_in_and_no_secret(self):
        daemon = self.daemon()
        eva = daemon.pair("Eva", "engineer")
        status, made, _ = daemon.request("POST", "/api/v1/pairing-codes", {"role": "engineer"},
                                         eva["token"])
        self.assertEqual(status, 201, made)
        status, other, _ = daemon.request("POST", "/api/v1/pair",
                                          {"code": made["code"], "name": "Mallory"})
        self.assertEqual(status, 200, other)
        path = f"/api/v1/devices/{other['device']}/revoke"
        self.assertEqual(daemon.request("POST", path, {}, eva["token"])[0], 200)
        self.assertEqual(daemon.stop(), 0)
        rows = [row for row in events(daemon.state)
                if row["kind"] in ("pairing_code_made", "device_paired", "device_revoked")]
        eva_acts = f"Eva#{eva['device']}"
        self.assertEqual(
            [(row["kind"], row["actor"], row["payload"].get("name")) for row in rows],
            [("pairing_code_made", "nudge", None), ("pairing_code_made", "engineer", None),
             ("device_paired", "Eva", "Eva"), ("pairing_code_made", eva_acts, None),
             ("device_paired", "Mallory", "Mallory"), ("device_revoked", eva_acts, "Mallory")])
        self.assertEqual(rows[4]["payload"], {"device": other["device"], "name": "Mallory",
                                              "role": 3, "from": "127.0.0.1"})
        told = json.dumps(rows)
        for secret in (eva["token"], eva["refresh"], other["token"], made["code"]):
            self.assertNotIn(secret, told)
        self.check(nudge("log", "--state", daemon.state, "verify"), 0)

    def test_a_damaged_file_is_no_way_in(self):
        state = self.folder / "state"
        daemon = self.daemon(state=state)
        daemon.pair()
        self.assertEqual(daemon.stop(), 0)
        file = state / "run/devices.json"
        file.chmod(0o644)
        self.check(nudge("run", "--state", state, *QUICK), 77, "devices")
        file.chmod(0o600)
        file.write_text("{")
        self.check(nudge("run", "--state", state, *QUICK), 65, "devices.json", "pair")

    def test_pairing_works_on_this_machine_in_clear(self):
        daemon = Daemon(self.folder / "state")
        self.addCleanup(lambda: daemon.process.poll() is None and daemon.kill())
        self.assertFalse(daemon.secure)
        made = nudge("auth", "pair", "--state", daemon.state, "--json").json()
        self.assertEqual(made["url"], f"http://127.0.0.1:{daemon.port}/#pair={made['code']}")
        self.assertEqual(made["fingerprint"], "")
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
        connection.request("POST", "/api/v1/pair", json.dumps({"code": made["code"], "name": "x"}))
        self.assertEqual(connection.getresponse().status, 200)
        connection.close()


class Asked(PairingCase):
    """What commands on this machine ask of the daemon, and of nobody else."""

    def test_no_command_says_a_word_to_whoever_has_the_port_when_no_daemon_does(self):
        port = free_port()
        daemon = Daemon(self.folder / "state", "--set", f"ports.http={port}")
        state = daemon.state
        self.assertEqual(daemon.stop(), 0)
        # Another command is at work on the log, such as `nudge train`.
        lock = open(state / "log/lock", "r+")
        self.addCleanup(lock.close)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        whole = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        fcntl.fcntl(lock, getattr(fcntl, "F_OFD_SETLK", 37), whole)
        heard = []
        with socket.create_server(("127.0.0.1", port)) as stranger:
            def listen():
                while True:
                    try:
                        line, _ = stranger.accept()
                    except OSError:
                        return
                    with line:
                        heard.append(line.recv(4096))
                        line.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{}")
            thread = threading.Thread(target=listen)
            thread.start()
            for command in (["auth", "list"], ["auth", "pair"], ["auth", "revoke", "d-1"],
                            ["log", "head"], ["log", "backup", self.folder / "backup"],
                            ["log", "withdraw", "--supervisor", "anna"]):
                outcome = nudge(*command[:1], "--state", state, *command[1:])
                self.check(outcome, 69, "another command has it")
            stranger.shutdown(socket.SHUT_RDWR)
            thread.join()
        self.assertEqual(heard, [])

    def test_commands_are_heard_once_what_was_in_the_way_of_their_socket_is_gone(self):
        state = self.folder / "state"
        run = state / "run"
        obstacle = run / "nudge.sock"
        obstacle.mkdir(parents=True)
        run.chmod(0o700)
        daemon = self.daemon()
        program.wait_until(lambda: "cannot ask this daemon" in daemon.errors(), "a word")
        self.assertNotEqual(nudge("auth", "--state", state, "list").code, 0)
        obstacle.rmdir()
        program.wait_until(lambda: "can ask this daemon now" in daemon.errors(), "the socket")
        self.check(nudge("auth", "--state", state, "list"), 0)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to be somebody else")
    def test_another_user_is_not_heard_though_every_folder_is_open(self):
        daemon = self.daemon()
        path = daemon.state / "run/nudge.sock"
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        for place in (self.folder, daemon.state, path.parent):
            place.chmod(0o755)
        path.chmod(0o666)
        ask = ("import socket, sys\n"
               "line = socket.socket(socket.AF_UNIX)\n"
               "line.settimeout(60)\n"
               "line.connect(sys.argv[1])\n"
               "try:\n"
               "    line.sendall(b'GET /api/v1/devices HTTP/1.1\\r\\nHost: localhost\\r\\n\\r\\n')\n"
               "    print(line.recv(9).decode())\n"
               "except OSError: print('ended')\n")

        def answer(*who):
            return subprocess.run([*who, sys.executable, "-c", ask, str(path)], check=True, text=True,
                                  capture_output=True).stdout.strip()
        self.assertEqual(answer(), "HTTP/1.1")
        self.assertIn(answer("setpriv", "--reuid=65534", "--clear-groups"), ("", "ended"))


class Kept(PairingCase):
    def test_no_secret_is_in_what_is_kept_of_the_daemons_output(self):
        daemon = self.daemon("--set", "ports.zmq_curve=true", "--set", "robot.driver=openpi",
                             "--set", "openpi.preset=libero", "--set", "openpi.port=0",
                             "--set", "openpi.require_key=true", JOURNAL_STREAM="8:1234")
        state = ["--state", daemon.state]
        secrets = set(daemon.tokens().values())
        secrets.add(nudge("auth", *state, "token", "show", "openpi").out.strip())
        code = nudge("auth", *state, "pair", "--json").json()["code"]
        secrets.add(code)
        self.assertEqual(daemon.request("POST", "/api/v1/pair", {"code": "AAAA-AAAA"})[0], 403)
        status, grant, _ = daemon.request("POST", "/api/v1/pair", {"code": code, "name": "x"})
        self.assertEqual(status, 200, grant)
        status, used, _ = daemon.request("POST", "/api/v1/token", {"refresh": grant["refresh"]})
        self.assertEqual(daemon.request("GET", "/api/v1/status", token=used["token"])[0], 200)
        status, last, _ = daemon.request("POST", "/api/v1/token", {"refresh": used["refresh"]})
        self.assertEqual(daemon.request("POST", "/api/v1/token",
                                        {"refresh": grant["refresh"]})[0], 401)
        for given in (grant, used, last):
            secrets |= {given["token"], given["refresh"]}
        self.check(nudge("auth", *state, "token", "rotate", "engineer"), 0)
        self.check(nudge("auth", *state, "token", "rotate", "openpi"), 0)
        program.wait_until(lambda: "changed of: engineer" in daemon.errors(), "the change")
        secrets |= set(daemon.tokens().values())
        secrets.add((daemon.state / "run/openpi.key").read_text().strip())
        secrets.add((daemon.state / "run/curve.key").read_text().split()[-1])
        for name in ("authority.pem", "server.pem"):
            pem = (daemon.state / "run" / name).read_text()
            secrets.add(pem.split("PRIVATE KEY-----\n")[1].split("\n")[0])
        self.assertEqual(len(secrets), 17)
        daemon.process.send_signal(signal.SIGTERM)
        self.addCleanup(daemon.close)
        kept = "\n".join(daemon.lines) + daemon.process.stdout.read() + daemon.errors()
        self.assertIn("nudge auth pair", kept)
        self.assertIsNone(CODE.search(kept))
        self.assertNotIn("#", daemon.lines[0])
        for secret in secrets:
            self.assertGreaterEqual(len(secret), 9)
            self.assertNotIn(secret, kept)


class Tokens(PairingCase):
    def ids(self, auth):
        return {row["token"]: row["id"] for row in nudge(*auth, "ls", "--json").json()}

    def test_tokens_are_listed_without_being_shown_and_shown_when_asked(self):
        state = self.folder / "state"
        auth = ["auth", "--state", state, "token"]
        listed = self.check(nudge(*auth, "ls"), 0).out
        shown = self.check(nudge(*auth, "show", "engineer"), 0).out.strip()
        tokens = json.loads((state / "run/tokens.json").read_text())["tokens"]
        self.assertEqual(shown, tokens["engineer"])
        for token in tokens.values():
            self.assertNotIn(token, listed)
        rows = self.ids(auth)
        self.assertEqual(set(rows), {"engineer", "supervisor", "viewer", "script", "openpi"})
        self.assertEqual(rows["openpi"], "")
        self.check(nudge(*auth, "rotate", "viewer"), 0)
        self.check(nudge(*auth, "revoke", "script"), 0)
        after = self.ids(auth)
        self.assertEqual([name for name in rows if rows[name] != after[name]], ["viewer", "script"])
        self.check(nudge(*auth, "show", "script"), 66)
        self.check(nudge(*auth, "rotate", "king"), 64)
        self.check(nudge(*auth, "revoke", "openpi"), 64)

    def test_a_token_that_is_rotated_or_revoked_ends_what_came_with_it(self):
        daemon = self.daemon()
        before = daemon.tokens()
        auth = ["auth", "--state", daemon.state, "token"]

        def ends_with(role, act):
            live = daemon.live(before[role])
            first(live, "hello")
            self.check(attended(live, *auth, act, role), 0, "within a second")
            self.assertEqual(live.code or closing(live)[0], 4401)
        ends_with("viewer", "rotate")

        def status(token):
            return daemon.request("GET", "/api/v1/status", token=token)[0]
        self.assertEqual(status(before["viewer"]), 401)
        self.assertEqual(status(daemon.tokens()["viewer"]), 200)
        self.assertEqual(status(before["supervisor"]), 200)
        ends_with("supervisor", "revoke")
        self.assertEqual(status(before["supervisor"]), 401)
        # A file that is gone is made anew, one that is none lets nobody in; commands still do.
        (daemon.state / "run/tokens.json").unlink()
        program.wait_until(lambda: status(before["engineer"]) == 401, "other tokens")
        program.wait_until(lambda: status(daemon.tokens()["supervisor"]) == 200, "the new ones")
        made = daemon.tokens()
        (daemon.state / "run/tokens.json").write_text("{")
        program.wait_until(lambda: status(made["engineer"]) == 401, "the end of them")
        self.check(nudge("auth", "list", "--state", daemon.state), 0)

    def test_the_log_tells_of_tokens_that_were_changed_while_a_daemon_ran_or_not(self):
        daemon = self.daemon()
        auth = ["auth", "--state", daemon.state, "token"]
        first_ids = self.ids(auth)
        before = daemon.tokens()["viewer"]
        self.check(nudge(*auth, "rotate", "viewer"), 0)
        program.wait_until(lambda: daemon.request("GET", "/api/v1/status", token=before)[0] == 401,
                           "the new token")
        second_ids = self.ids(auth)
        daemon.stop()
        self.check(nudge(*auth, "revoke", "script"), 0)
        self.daemon(state=daemon.state).stop()
        told = [(row["actor"], row["payload"]) for row in program.events(daemon.state)
                if row["kind"] == "token_changed"]
        self.assertEqual(told[:4], [("nudge", {"role": role, "id": first_ids[name]})
                                    for role, name in ((3, "engineer"), (2, "supervisor"),
                                                       (1, "viewer"), (0, "script"))])
        self.assertEqual(told[4:], [("nudge", {"role": 1, "id": second_ids["viewer"]}),
                                    ("nudge", {"role": 0, "id": ""})])


class Crowded(PairingCase):
    def test_people_who_vanished_lock_nobody_out(self):
        daemon = self.daemon()
        tokens = json.loads((daemon.state / "run/tokens.json").read_text())["tokens"]
        for number in range(32):
            daemon.live(tokens["viewer"], f"gone-{number}")
        # All places are taken, by people whose screens are dark: nothing comes from them, nor an end.
        live = daemon.live(tokens["supervisor"])
        first(live, "hello")
        # And those who answer no ping are gone after seconds.
        self.assertTrue(first(live, "status", viewers=1))


if __name__ == "__main__":
    program.main()
