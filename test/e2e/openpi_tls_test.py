#!/usr/bin/env python3
"""openpi over TLS: an upstream behind wss://, and robots' programs beyond this machine. Certificates
are real ones, made here by the openssl program."""

import hashlib
import json
import os
import shutil
import ssl
import subprocess
import unittest

import openpi_client_test
import openpi_test
import program
from live_test import Daemon
from program import environment, free_port, nudge, wait_until

KEY = "the-key-of-the-upstream"

# A robot's program beyond this machine, as its user writes it.
ROBOT = """
import json, sys
import numpy
from openpi_client.websocket_client_policy import WebsocketClientPolicy
client = WebsocketClientPolicy("wss://" + sys.argv[1], int(sys.argv[2]), api_key=sys.argv[3] or None)
seen = {"observation/image": numpy.zeros((224, 224, 3), numpy.uint8),
        "observation/wrist_image": numpy.zeros((224, 224, 3), numpy.uint8),
        "observation/state": numpy.zeros(8), "prompt": "put it down"}
for _ in range(5):
    answer = client.infer(seen)
print(json.dumps({"horizon": client.get_server_metadata()["hil"]["horizon"],
                  "source": answer["hil"]["source"], "shape": answer["actions"].shape}))
"""


class Authority:
    """Vouches for certificates, in files of a folder."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.file = folder / f"{name}.pem"
        self._run("req", "-x509", *self._key(name), "-out", self.file, "-subj", f"/CN={name}",
                  "-days", "2", "-addext", "basicConstraints=critical,CA:TRUE",
                  "-addext", "keyUsage=critical,keyCertSign")

    def _key(self, name):
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-keyout", self.folder / f"{name}.key"]

    @staticmethod
    def _run(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)

    def certificate(self, name, names, days=2):
        """Gives the files of a certificate and its key."""
        request, out = self.folder / f"{name}.csr", self.folder / f"{name}.pem"
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={names}\n")
        self._run("req", "-new", *self._key(name), "-out", request, "-subj", f"/CN={name}")
        self._run("x509", "-req", "-in", request, "-CA", self.file,
                  "-CAkey", self.folder / f"{self.name}.key", "-CAcreateserial", "-out", out,
                  "-days", days, "-extfile", extensions)
        key = self.folder / f"{name}.key"
        key.chmod(0o600)
        return out, key


def serving(certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def fingerprint(certificate):
    der = ssl.PEM_cert_to_DER_cert(certificate[0].read_text())
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[i:i + 2] for i in range(0, 64, 2))


@unittest.skipUnless(openpi_test.HAS_PACKAGES, "needs python3-websockets and python3-msgpack")
@unittest.skipUnless(shutil.which("openssl"), "needs the openssl program")
class TlsCase(openpi_test.OpenpiCase):
    def setUp(self):
        super().setUp()
        self.authority = Authority(self.folder, "authority")
        self.good = self.authority.certificate("good", "DNS:localhost")


class SecureUpstream(TlsCase):
    def serve(self, certificate, **options):
        self.upstream = openpi_test.Upstream(free_port(), tls=serving(certificate), **options)
        self.addCleanup(self.upstream.leave)

    def show(self, certificate):
        """The upstream begins anew with another certificate, or with none. Gives how often the one
        before was asked: a request may have been on its way until it closed."""
        self.upstream.close()
        asked = len(self.upstream.requests)
        self.upstream.tls = certificate and serving(certificate)
        self.upstream.open()
        return asked

    def begin_behind(self, *more, host="localhost"):
        self.begin("--set", f"openpi.upstream=wss://{host}:{self.upstream.port}", *more)
        self.asks = self.program()
        self.asks.work()
        wait_until(self.asks.newest, "an answer")

    def wait_for_trouble(self, words):
        wait_until(lambda: words in self.status()["robot_trouble"],
                   f"'{words}'; it is: {self.status()['robot_trouble']}")

    def wait_for_the_upstream(self):
        wait_until(lambda: self.status()["robot_trouble"] == "" and self.upstream.requests,
                   f"the upstream; {self.status()['robot_trouble']}")

    def key_file(self, mode=0o600):
        file = self.folder / "upstream.key"
        file.write_text(KEY + "\n")
        file.chmod(mode)
        return file

    def test_an_upstream_is_believed_for_its_authority_its_name_and_its_days_and_for_nothing_less(self):
        self.serve(self.good, key=KEY)
        self.begin_behind("--set", f"openpi.upstream_ca={self.authority.file}",
                          "--set", f"openpi.upstream_key={self.key_file()}")
        self.wait_for_the_upstream()
        self.assertEqual(self.program_metadata()["reset_pose"], [0.25, 0.5])
        other = self.authority.certificate("other", "DNS:other.example")
        expired = self.authority.certificate("expired", "DNS:localhost", days=0)
        stranger = Authority(self.folder, "stranger").certificate("unknown", "DNS:localhost")
        for certificate, words in ((other, "is not for 'localhost'"), (expired, "has expired"),
                                   (stranger, "openpi.upstream_ca"), (None, "TLS")):
            asked = self.show(certificate)
            self.wait_for_trouble(words)
            self.assertEqual(len(self.upstream.requests), asked, "nothing was said to it")
            self.assertEqual(self.asks.newest()["hil"]["source"], "hold")
        self.show(self.good)
        self.wait_for_the_upstream()
        self.start(self.person())
        wait_until(lambda: self.asks.newest()["hil"]["source"] == "upstream", "its chunks")

    def test_an_address_must_stand_in_the_certificate_as_a_name_must(self):
        self.serve(self.good)
        self.begin_behind("--set", f"openpi.upstream_ca={self.authority.file}", host="127.0.0.1")
        self.wait_for_trouble("is not for '127.0.0.1'")
        self.assertEqual(self.upstream.requests, [], "nothing was said to it")
        self.show(self.authority.certificate("elsewhere", "DNS:localhost,IP:127.0.0.2"))
        self.wait_for_trouble("is not for '127.0.0.1'")
        self.assertEqual(self.upstream.requests, [])
        self.show(self.authority.certificate("here", "IP:127.0.0.1"))
        self.wait_for_the_upstream()

    def program_metadata(self):
        self.asks.leave()
        self.asks = self.program()
        self.asks.work()
        wait_until(self.asks.newest, "an answer")
        return self.asks.metadata

    def test_a_pinned_certificate_needs_nobody_who_vouches_and_no_other_will_do(self):
        self.serve(self.good)
        self.begin_behind("--set", f"openpi.upstream_fingerprint={fingerprint(self.good).lower()}",
                          host="127.0.0.1")
        self.wait_for_the_upstream()
        self.show(self.authority.certificate("renewed", "DNS:localhost"))
        self.wait_for_trouble("another certificate than that of openpi.upstream_fingerprint")

    def test_authorities_that_this_machine_trusts_will_do(self):
        self.serve(self.good)
        os.environ["SSL_CERT_FILE"] = str(self.authority.file)
        self.addCleanup(os.environ.pop, "SSL_CERT_FILE")
        self.begin_behind()
        self.wait_for_the_upstream()

    def test_a_wrong_key_is_said_and_one_that_others_may_read_is_not_used(self):
        self.serve(self.good, key="another one")
        trust = ["--set", f"openpi.upstream_ca={self.authority.file}"]
        self.begin_behind(*trust, "--set", f"openpi.upstream_key={self.key_file()}")
        self.wait_for_trouble("HTTP 401; is the key in the file of openpi.upstream_key right?")
        self.daemon.stop()
        refused = self.refusal("--set", f"openpi.upstream_key={self.key_file(0o640)}")
        self.assertIn("give it mode 0600", refused)
        refused = self.refusal("--set", f"openpi.upstream_ca={self.key_file()}")
        self.assertIn("no PEM file with certificates", refused)
        self.assertIn("AB:CD", self.refusal("--set", "openpi.upstream_fingerprint=AB:CD"))

    def refusal(self, *more):
        outcome = nudge("run", "--state", self.folder / "refused", "--set", "robot.driver=openpi",
                        "--set", "openpi.port=0", "--set", "ports.http=0", "--set", "ports.teleop=0",
                        "--no-learning", "--set", "openpi.upstream=wss://localhost:1", *more)
        self.assertNotEqual(outcome.code, 0, str(outcome))
        return outcome.err


class BeyondThisMachine(TlsCase):
    def begin_beyond(self, *more):
        self.begin("--set", "openpi.address=0.0.0.0", *more)
        self.key = (self.daemon.state / "run/openpi.key").read_text().strip()

    def given(self):
        certificate, key = self.authority.certificate("served", "DNS:localhost,IP:127.0.0.1")
        return ["--set", f"ports.certificate={certificate}", "--set", f"ports.key={key}"]

    def run_robot(self, key, **env):
        python, why = openpi_client_test.openpis_python()
        if python is None:
            self.skipTest(f"openpi-client could not be installed: {why}")
        return subprocess.run([python, "-c", ROBOT, "localhost", str(self.port), key],
                              env=environment(**env), capture_output=True, text=True,
                              timeout=program.PATIENCE)

    def check_answered(self, done):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout),
                         {"horizon": 10, "source": "hold", "shape": [10, 7]})

    def test_openpis_client_comes_in_with_the_certificate_and_the_key(self):
        self.begin_beyond(*self.given())
        trusts = {"SSL_CERT_FILE": str(self.authority.file)}
        self.check_answered(self.run_robot(self.key, **trusts))
        for key in ("", "a-key-that-is-wrong"):
            self.assertIn("401", self.run_robot(key, **trusts).stderr)
        self.assertIn("CERTIFICATE_VERIFY_FAILED", self.run_robot(self.key).stderr)

    def test_the_daemons_own_certificate_will_do(self):
        self.begin_beyond()
        shown = self.folder / "nudge.pem"
        subprocess.run(["openssl", "x509", "-in", self.daemon.state / "run/authority.pem",
                        "-out", shown], check=True)
        self.assertNotIn("PRIVATE", shown.read_text())
        self.check_answered(self.run_robot(self.key, SSL_CERT_FILE=str(shown)))

    def test_a_certificate_that_is_made_anew_is_shown_without_a_restart(self):
        self.begin_beyond()

        def shown():
            return ssl.get_server_certificate(("127.0.0.1", self.port))
        first = shown()
        # As after a change of the machine's addresses, which is looked for once a minute.
        (self.daemon.state / "run/server.pem").unlink()
        wait_until(lambda: shown() != first, "another certificate", 180)
        self.assertIn(shown().strip(), (self.daemon.state / "run/server.pem").read_text())

    def test_nothing_is_answered_in_clear(self):
        self.begin_beyond(*self.given())
        with self.assertRaises(Exception):
            openpi_test.Program(self.port, extra_headers={"Authorization": f"Api-Key {self.key}"})

    def test_without_tls_the_daemon_does_not_start(self):
        outcome = nudge("run", "--state", self.folder / "refused", "--set", "robot.driver=openpi",
                        "--set", "openpi.port=0", "--set", "ports.http=0", "--set", "ports.teleop=0",
                        "--no-learning", "--set", "openpi.address=0.0.0.0",
                        "--set", "ports.tls=off")
        self.assertNotEqual(outcome.code, 0, str(outcome))
        self.assertIn("needs TLS and a key", outcome.err)


def load_tests(loader, tests, pattern):
    """Not those of the classes that these build on."""
    return unittest.TestSuite(loader.loadTestsFromTestCase(case)
                              for case in (SecureUpstream, BeyondThisMachine))


if __name__ == "__main__":
    program.main()
