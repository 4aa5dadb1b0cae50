#!/usr/bin/env python3
"""The REST surface, held to its own description: every path of /openapi.json is asked for at the
real daemon, and what comes back is what is described, field by field; and tags and keys as people's
programs use them.
"""

import http.client
import json
import re
import socket
import threading
import time

import live_test
import program
from live_test import LiveCase
from program import events, wait_until


def setUpModule():
    live_test.setUpModule()


def tearDownModule():
    live_test.tearDownModule()


class Description:
    """As much of JSON Schema as the description uses. What it does not know, it refuses."""

    KNOWN = {"type", "properties", "required", "items", "enum", "const", "description", "minimum",
             "maximum", "maxItems", "minItems", "pattern", "examples", "example", "anyOf", "oneOf",
             "$ref", "maxLength", "minLength", "additionalProperties", "format", "discriminator",
             "exclusiveMinimum", "default"}
    TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
             "number": (int, float), "integer": int}

    def __init__(self, document):
        self.document = document

    def at(self, node):
        while "$ref" in node:
            found = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                found = found[part]
            node = found
        return node

    def wrong(self, schema, value, where="it"):
        """What does not fit, in words."""
        schema = self.at(schema)
        found = [f"{where}: the test knows no '{key}'" for key in schema if key not in self.KNOWN]
        for several in ("anyOf", "oneOf"):
            if several in schema:
                tries = [self.wrong(each, value, where) for each in schema[several]]
                found += [] if any(not each for each in tries) else tries[0]
        kinds = schema.get("type", [])
        kinds = [kinds] if isinstance(kinds, str) else kinds
        if kinds and not any(isinstance(value, self.TYPES[kind]) and
                             (kind == "boolean" or not isinstance(value, bool))
                             for kind in kinds):
            return [*found, f"{where} is {value!r}, and should be of {kinds}"]
        if "const" in schema and value != schema["const"]:
            found.append(f"{where} is {value!r}, and should be {schema['const']!r}")
        if "enum" in schema and value not in schema["enum"]:
            found.append(f"{where} is {value!r}, which is none of {schema['enum']}")
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if value < schema.get("minimum", value) or value > schema.get("maximum", value):
                found.append(f"{where} is {value}, beyond its bounds")
        if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
            found.append(f"{where} is {value!r}, which does not match {schema['pattern']}")
        if isinstance(value, dict) and "properties" in schema:
            found += [f"{where} lacks '{name}'" for name in schema.get("required", [])
                      if name not in value]
            for name, each in value.items():
                if name not in schema["properties"]:
                    found.append(f"{where} has '{name}', which is not described")
                else:
                    found += self.wrong(schema["properties"][name], each, f"{where}.{name}")
        if isinstance(value, list):
            if len(value) > schema.get("maxItems", len(value)):
                found.append(f"{where} is too long")
            for i, each in enumerate(value):
                found += self.wrong(schema.get("items", {}), each, f"{where}[{i}]")
        return found


class RestCase(LiveCase):
    def ask(self, daemon, method, path, body=None, token=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=30)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token != "":
            sent["Authorization"] = f"Bearer {token or daemon.token}"
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer.status, answer, data


class Described(RestCase):
    def setUp(self):
        super().setUp()
        self.place = self.daemon(program.Case.copy_of(self, live_test.prepared.folder / "trained"),
                                 "--no-learning", "--set", "sim.cameras=true")
        document = json.loads(self.ask(self.place, "GET", "/openapi.json")[2])
        self.description = Description(document)
        self.paths = document["paths"]

    def check(self, method, path, template, body=None, **how):
        status, answer, data = self.ask(self.place, method, path, body, **how)
        operation = self.paths[template][method.lower()]
        described = operation["responses"].get(str(status))
        self.assertIsNotNone(described, f"{method} {path}: {status} is not described: {data}")
        described = self.description.at(described)
        kind = (answer.getheader("Content-Type") or "").split(";")[0]
        if status == 304:
            self.assertEqual(data, b"")
            return status, answer, data
        self.assertIn(kind, described["content"], f"{method} {path}: {status}")
        if "json" in kind:
            schema = described["content"][kind]["schema"]
            self.assertEqual(self.description.wrong(schema, json.loads(data)), [],
                             f"{method} {path}: {status}")
        self.assertEqual("ETag" in described.get("headers", {}),
                         answer.getheader("ETag") is not None, f"{method} {path}: {status}")
        return status, answer, data

    def test_every_path_answers_as_it_is_described(self):
        daemon = self.place
        daemon.send("hand_back")
        daemon.wait_for("AUTO")
        wait_until(lambda: daemon.status()["episode"]["step"] >= 3, "three policy steps")
        daemon.send("words", text="a bit lower", meant="instruction")
        daemon.send("label", episode=0, span=0, value="failure")
        daemon.send("hold")
        episode = daemon.status()["episode"]["id"]
        # The first steps may have come before the first picture.
        pictures = [f"/api/v1/episodes/{episode}/frames/front/{step}" for step in range(20)]

        def shown():
            return [path for path in pictures if self.ask(daemon, "GET", path)[0] == 200]
        wait_until(shown, "a step's picture on disk")
        frame = shown()[0]

        asked = {
            "/api/v1/episodes/{id}": f"/api/v1/episodes/{episode}",
            "/api/v1/episodes/{id}/frames/{camera}/{step}": frame,
        }
        for template, item in self.paths.items():
            path = asked.get(template, template)
            if "get" in item and "{" not in path:
                status, answer, _ = self.check("GET", path, template)
                self.assertIn(status, (200, 404) if "authority" in path else (200,), path)
                tag = answer.getheader("ETag")
                if tag and episode and "status" not in path and "learning" not in path:
                    self.assertEqual(self.check("GET", path, template, If_None_Match=tag)[0], 304,
                                     path)
                if item["get"].get("security") is None:
                    self.assertEqual(self.check("GET", path, template, token="")[0],
                                     401 if "security" not in item["get"] else 200)
            self.assertEqual(self.ask(daemon, "DELETE", path)[0], 405, path)
        self.check("GET", "/api/v1/episodes?limit=0", "/api/v1/episodes")
        self.check("GET", "/api/v1/episodes/99999", "/api/v1/episodes/{id}")
        self.check("GET", f"/api/v1/episodes/{episode}/frames/nowhere/0",
                   "/api/v1/episodes/{id}/frames/{camera}/{step}")
        self.assertEqual(self.ask(daemon, "GET", "/api/v1/nothing")[0], 404)

    def test_every_act_answers_as_it_is_described(self):
        feedback = "/api/v1/feedback"
        for code, body in ((200, {"type": "hold", "id": "a-1"}), (400, {"type": "hop", "id": "a"}),
                           (404, {"type": "promote", "id": "a-2", "version": 99}),
                           (409, {"type": "roll_back", "id": "a-3"})):
            self.assertEqual(self.check("POST", feedback, feedback, body)[0], code, body)
        viewer = json.loads((self.place.state / "run/tokens.json").read_text())["tokens"]["viewer"]
        self.assertEqual(self.check("POST", feedback, feedback, {"type": "hand_back", "id": "a-4"},
                                    token=viewer)[0], 403)
        made = self.check("POST", "/api/v1/pairing-codes", "/api/v1/pairing-codes", {})
        code = json.loads(made[2])["code"]
        self.check("POST", "/api/v1/pair", "/api/v1/pair", {"code": "AAAA-AAAA"})
        paired = json.loads(self.check("POST", "/api/v1/pair", "/api/v1/pair", {"code": code})[2])
        self.check("POST", "/api/v1/token", "/api/v1/token", {"refresh": paired["refresh"]})
        self.check("POST", "/api/v1/token", "/api/v1/token", {"refresh": "nobody's"})
        self.check("GET", "/api/v1/devices", "/api/v1/devices")
        for _ in range(2):  # the second time it is gone
            self.check("POST", f"/api/v1/devices/{paired['device']}/revoke",
                       "/api/v1/devices/{id}/revoke")


class Rates(RestCase):
    def setUp(self):
        super().setUp()
        self.place = self.daemon(None, "--no-learning")

    def test_a_flood_without_a_token_is_told_when_to_go_on_and_holds_up_nobody(self):
        body = json.dumps({"refresh": "a" * 67})
        one = (f"POST /api/v1/token HTTP/1.1\r\nHost: 127.0.0.1:{self.place.port}\r\n"
               f"Content-Length: {len(body)}\r\n\r\n{body}").encode()
        with socket.create_connection(("127.0.0.1", self.place.port), timeout=30) as flood:
            flood.sendall(one * 100)
            said = b""
            while part := flood.recv(65536):
                said += part
        codes = [int(code) for code in re.findall(rb"HTTP/1.1 (\d+) ", said)]
        self.assertEqual(codes[-1], 429, codes)
        self.assertEqual(set(codes[:-1]), {401}, codes)
        self.assertLess(len(codes), 100)
        self.assertRegex(said.rpartition(b"HTTP/1.1 ")[2], rb"(?s)Retry-After: 1\r\n.*problem")
        self.assertEqual(self.ask(self.place, "GET", "/healthz")[0], 200)
        metrics = self.ask(self.place, "GET", "/metrics")[2].decode()
        self.assertRegex(metrics, r"(?m)^nudge_limited_total [1-9]")

    def test_a_flood_with_a_token_is_bounded_and_stop_comes_through_it(self):
        def flood(count):
            bodies = (json.dumps({"type": "words", "id": f"f-{count}-{i}", "text": "x" * 400,
                                  "meant": "comment"}) for i in range(100))
            for body in bodies:
                # Nobody waits for the answers, and a connection that ends is made again.
                with socket.create_connection(("127.0.0.1", self.place.port), timeout=30) as one:
                    one.sendall((f"POST /api/v1/feedback HTTP/1.1\r\n"
                                 f"Host: 127.0.0.1:{self.place.port}\r\n"
                                 f"Authorization: Bearer {self.place.token}\r\n"
                                 f"Content-Length: {len(body)}\r\n\r\n{body}").encode())
                    codes.append(int(one.recv(12).split()[1]))
        codes = []
        floods = [threading.Thread(target=flood, args=(count,)) for count in range(4)]
        for each in floods:
            each.start()
        wait_until(lambda: 429 in codes or not any(each.is_alive() for each in floods),
                   "the rate to be reached")
        stop = self.ask(self.place, "POST", "/api/v1/feedback", {"type": "stop", "id": "s-1"})
        for each in floods:
            each.join()
        self.assertEqual(stop[0], 200, stop[2])
        self.assertEqual(set(codes) - {200, 429}, set(), codes)
        self.assertEqual(self.place.status()["state"], "ESTOP")


class Keys(RestCase):
    def test_an_act_under_a_key_happens_once_also_over_a_restart(self):
        daemon = self.daemon()
        daemon.send("hand_back")
        daemon.wait_for("AUTO")
        label = {"type": "label", "episode": 0, "span": 0, "value": "failure"}
        first = self.ask(daemon, "POST", "/api/v1/feedback", label, Idempotency_Key="k-1")
        self.assertEqual(first[0], 200, first[2])
        self.assertEqual(json.loads(first[2])["id"], "k-1")
        again = self.ask(daemon, "POST", "/api/v1/feedback", label, Idempotency_Key='"k-1"')
        self.assertEqual(again[2], first[2])
        other = self.ask(daemon, "POST", "/api/v1/feedback", {**label, "value": "success"},
                         Idempotency_Key="k-1")
        self.assertEqual(other[0], 422, other[2])
        daemon.stop()
        restarted = self.daemon(daemon.state)
        late = self.ask(restarted, "POST", "/api/v1/feedback", label, Idempotency_Key="k-1")
        self.assertEqual((late[0], json.loads(late[2])["ok"]), (200, True), late[2])
        restarted.stop()
        self.assertEqual([event["kind"] for event in events(daemon.state)
                          if event["id"] == "k-1"], ["label"])

    def test_a_code_that_is_used_under_a_key_lets_the_same_device_in_when_the_answer_was_lost(self):
        daemon = self.daemon()
        made = self.ask(daemon, "POST", "/api/v1/pairing-codes", {}, Idempotency_Key="c-1")
        self.assertEqual(self.ask(daemon, "POST", "/api/v1/pairing-codes", {},
                                  Idempotency_Key="c-1")[2], made[2])
        code = {"code": json.loads(made[2])["code"], "name": "tablet"}
        first = self.ask(daemon, "POST", "/api/v1/pair", code, token="", Idempotency_Key="p-1")
        self.assertEqual(first[0], 200, first[2])
        again = self.ask(daemon, "POST", "/api/v1/pair", code, token="", Idempotency_Key="p-1")
        self.assertEqual(again[2], first[2])
        self.assertEqual(self.ask(daemon, "POST", "/api/v1/pair", code, token="",
                                  Idempotency_Key="p-2")[0], 403)

    def test_a_label_is_given_only_to_what_was_looked_at(self):
        daemon = self.daemon()
        daemon.send("hand_back")
        daemon.wait_for("AUTO")
        wait_until(lambda: daemon.status()["episode"]["step"] >= 3, "three policy steps")
        episode = daemon.status()["episode"]["id"]
        # One that nobody goes on with.
        daemon.send("hold")
        daemon.wait_for("HOLD")
        path = f"/api/v1/episodes/{episode}"

        def tag():
            return self.ask(daemon, "GET", path)[1].getheader("ETag")
        seen, end = tag(), time.monotonic() + 30
        while tag() != seen and time.monotonic() < end:
            seen = tag()
        label = {"type": "label", "id": "l-1", "episode": episode, "span": 0, "value": "failure"}
        stale = self.ask(daemon, "POST", "/api/v1/feedback", label, If_Match='"another"')
        self.assertEqual(stale[0], 412, stale[2])
        wait_until(lambda: self.ask(
            daemon, "POST", "/api/v1/feedback",
            {**label, "id": f"l-{time.monotonic_ns()}"}, If_Match=tag())[0] == 200,
            "a label for what was just looked at")


if __name__ == "__main__":
    program.main()
