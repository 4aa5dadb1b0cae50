import assert from "node:assert/strict";
import { test } from "node:test";
import { frameHeaderBytes, parseFrame } from "../src/wire/frame";
import { MessageIds, sessionPrefix } from "../src/wire/message_id";
import { parseDaemonMessage } from "../src/wire/parse";

function frame(change: (view: DataView) => void = () => undefined): ArrayBuffer {
  const buffer = new ArrayBuffer(frameHeaderBytes + 3);
  const view = new DataView(buffer);
  view.setUint16(0, 1, true);
  view.setUint16(2, 1, true);
  view.setUint32(4, 4_000_000_000, true);
  view.setBigUint64(8, 12_345_000_000n, true);
  view.setUint16(16, 640, true);
  view.setUint16(18, 480, true);
  view.setUint32(20, 4200, true);
  new Uint8Array(buffer).set([0xff, 0xd8, 0xff], frameHeaderBytes);
  change(view);
  return buffer;
}

test("a frame's header is read as the specification lays it out", () => {
  const { jpeg, ...header } = parseFrame(frame()) ?? assert.fail();
  assert.deepEqual(header, {
    camera: 1, sequence: 4_000_000_000, capturedMs: 12_345, width: 640, height: 480, ageMs: 4.2,
  });
  assert.deepEqual([...jpeg], [0xff, 0xd8, 0xff]);
});

test("a frame without a picture, or of another version, is no frame", () => {
  assert.equal(parseFrame(new ArrayBuffer(frameHeaderBytes)), undefined);
  assert.equal(parseFrame(new ArrayBuffer(0)), undefined);
  assert.equal(parseFrame(frame((view) => view.setUint16(2, 2, true))), undefined);
});

test("the specification's status is understood", () => {
  const message = parseDaemonMessage(`{"type": "status", "tick": 1234, "state": "HOLD", "why": "boot",
    "why_text": "The robot has just started.", "lease": {"epoch": 3, "holder": {"name": "tablet#3",
    "role": "engineer"}, "mine": true}, "source": "hold", "proposed": [0.1, 0, 0, 0], "requested": [],
    "executed": [0, 0, 0, 0], "clamped": false, "proprioception": [0.4, 0, 0.2, 0.08],
    "episode": {"id": 7, "step": 12, "autonomous": 9, "limit": 100, "seconds": 1.2,
    "instruction": "lift the red block", "takeovers": 0, "human_seconds": 0},
    "weights": {"playing": 4, "live": 4, "kind": "full", "confirmed": 3},
    "learning": {"state": "idle", "detail": "", "round": "", "done": 0, "total": 0},
    "recording": true, "robot_age_ms": 3.1, "robot_trouble": "", "caution": "", "alarm": "", "storage": "", "missed_ticks": 0, "lost_steps": 0,
    "refused_commands": 0, "viewers": 1}`);
  assert.ok(message?.type === "status");
  assert.equal(message.tick, 1234);
  assert.deepEqual(message.lease, { epoch: 3, holder: { name: "tablet#3", role: "engineer" }, mine: true });
  assert.equal(message.episode.instruction, "lift the red block");
  assert.equal(message.recording, true);
});

test("a status that says nothing claims nothing: no control, no recording, no motion", () => {
  const message = parseDaemonMessage(`{"type": "status"}`);
  assert.ok(message?.type === "status");
  assert.equal(message.state, "HOLD");
  assert.equal(message.recording, false);
  assert.deepEqual(message.lease, { epoch: 0, holder: undefined, mine: false });
  assert.deepEqual(message.executed, []);
});

test("a lease that nobody holds has no holder", () => {
  const message = parseDaemonMessage(`{"type": "status", "lease": {"epoch": 2, "holder": null, "mine": false}}`);
  assert.ok(message?.type === "status");
  assert.equal(message.lease.holder, undefined);
});

test("states, roles and labels that the page does not know read as the harmless ones", () => {
  const status = parseDaemonMessage(`{"type": "status", "state": "WARP", "lease": {"holder": {"role": "god"}}}`);
  assert.ok(status?.type === "status");
  assert.equal(status.state, "HOLD");
  assert.equal(status.lease.holder?.role, "viewer");
  const curves = parseDaemonMessage(`{"type": "curves", "episodes": [{"id": 1, "outcome": "maybe"}, 7]}`);
  assert.ok(curves?.type === "curves");
  assert.deepEqual(curves.episodes.map((row) => row.outcome), ["none", "none"]);
});

test("numbers that are none become zero", () => {
  const message = parseDaemonMessage(`{"type": "status", "proposed": [1e999, null, "1", 0.5]}`);
  assert.ok(message?.type === "status");
  assert.deepEqual(message.proposed, [0, 0, 0, 0.5]);
});

test("what is not a message is nothing", () => {
  for (const raw of ["", "{", "null", "[]", "7", `{"type": "later"}`, `{"type": 3}`]) {
    assert.equal(parseDaemonMessage(raw), undefined, raw);
  }
});

test("an ack carries the epoch, the echo and the holder", () => {
  assert.deepEqual(
    parseDaemonMessage(`{"type": "ack", "id": "a", "ok": false, "code": "failed_precondition",
      "message": "busy", "echo": "", "epoch": 3, "holder": "phone#2"}`),
    { type: "ack", id: "a", ok: false, code: "failed_precondition", message: "busy", echo: "", epoch: 3, holder: "phone#2", words: undefined });
});

test("ids are of the allowed form and never repeat", () => {
  const prefix = sessionPrefix((bytes) => bytes.set([0, 61, 62, 255, 9, 8, 7, 6, 5, 4, 3, 2]));
  const ids = new MessageIds(prefix);
  const made = new Set(Array.from({ length: 1000 }, () => ids.next()));
  assert.equal(made.size, 1000);
  for (const id of made) assert.match(id, /^[A-Za-z0-9_.:-]{1,64}$/);
});

test("the robot's question for help is understood, and none is none", () => {
  const status = (more: string) => parseDaemonMessage(`{"type": "status"${more}}`);
  const asks = status(`, "help": {"id": 12, "why": "unsure", "reason": "both", "score": 0.8, "since_s": 1.3}, "uncertainty": 0.7, "speed": 0.5`);
  assert.ok(asks?.type === "status");
  assert.deepEqual(asks.help, { id: 12, why: "unsure", score: 0.8, sinceS: 1.3 });
  assert.deepEqual([asks.uncertainty, asks.speed], [0.7, 0.5]);
  const calm = status(`, "help": null, "uncertainty": null`);
  assert.ok(calm?.type === "status");
  assert.deepEqual([calm.help, calm.uncertainty, calm.speed], [undefined, undefined, 1]);
});

test("whoever asks to drive is named", () => {
  const message = parseDaemonMessage(`{"type": "asked_to_drive", "by": {"name": "Ben#7", "role": "supervisor"}}`);
  assert.deepEqual(message, { type: "asked_to_drive", by: { name: "Ben#7", role: "supervisor" } });
});
