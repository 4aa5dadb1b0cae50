import assert from "node:assert/strict";
import { test } from "node:test";
import { BackOff } from "../src/link/back_off";
import { Outbox } from "../src/link/outbox";
import { RoundTrip } from "../src/link/round_trip";
import { StopLatch } from "../src/link/stop_latch";
import { isToken, tokenFromHash } from "../src/link/token";
import type { Ack } from "../src/wire/messages";

const ack = (id: string): Ack => ({ type: "ack", id, ok: true, code: "ok", message: "", echo: "", epoch: 0, holder: "", words: undefined });

test("what a subprotocol cannot carry is no token", () => {
  assert.equal(tokenFromHash("#token=a%20b"), undefined);
  assert.equal(tokenFromHash("#token="), undefined);
  assert.equal(tokenFromHash("#other=1"), undefined);
  assert.equal(isToken("a,b"), false);
  assert.equal(isToken("Az09-_.~"), true);
});

test("connecting again waits longer each time, up to a bound, and starts over after success", () => {
  const backOff = new BackOff(() => 0.5, 250, 4000);
  const waits = Array.from({ length: 7 }, () => backOff.nextMs());
  assert.deepEqual(waits, [250, 500, 1000, 2000, 4000, 4000, 4000]);
  backOff.reset();
  assert.equal(backOff.nextMs(), 250);
});

test("the round trip follows its pings and ignores impossible ones", () => {
  const trip = new RoundTrip();
  assert.equal(trip.ms, undefined);
  for (let i = 0; i < 200; i += 1) trip.add(20);
  trip.add(-5);
  trip.add(Number.NaN);
  assert.ok(Math.abs((trip.ms ?? 0) - 20) < 0.01);
  assert.ok(trip.jitterMs < 0.01);
});

test("STOP is sent every 200 ms until it is acknowledged", () => {
  const stop = new StopLatch();
  assert.deepEqual(stop.press("a", 0), ["a"]);
  assert.deepEqual(stop.due(199), []);
  assert.deepEqual(stop.due(200), ["a"]);
  assert.deepEqual(stop.due(400), ["a"]);
  assert.equal(stop.acknowledged("a"), true);
  assert.deepEqual(stop.due(600), []);
  assert.equal(stop.pending, false);
});

test("a new connection sends a waiting STOP at once", () => {
  const stop = new StopLatch();
  stop.press("a", 0);
  stop.newLink();
  assert.deepEqual(stop.due(1), ["a"]);
});

test("each press of STOP is a message of its own, and each needs its answer", () => {
  const stop = new StopLatch();
  stop.press("a", 0);
  stop.press("b", 10);
  stop.acknowledged("a");
  assert.equal(stop.pending, true);
  assert.equal(stop.acknowledged("unknown"), false);
  assert.deepEqual(stop.due(250), ["b"]);
});

test("words, labels and undo survive a lost link; what moves the robot does not", () => {
  const outbox = new Outbox();
  const ended: string[] = [];
  const done = (id: string) => (): void => void ended.push(id);
  outbox.add({ type: "takeover", id: "t" }, 0, done("t"));
  outbox.add({ type: "hand_back", id: "h" }, 0, done("h"));
  outbox.add({ type: "reset_stop", id: "r" }, 0, done("r"));
  outbox.add({ type: "roll_back", id: "b" }, 0, done("b"));
  outbox.add({ type: "label", id: "l", episode: 0, span: 0, value: "success" }, 0, done("l"));
  outbox.add({ type: "undo", id: "u", seconds: 3 }, 0, done("u"));
  outbox.add({ type: "words", id: "w", text: "x", meant: "comment", view: "facing" }, 0, done("w"));
  outbox.linkLost();
  assert.deepEqual(ended, ["t", "h", "r", "b"]);
  assert.deepEqual(outbox.forNewLink(100).map((act) => act.id), ["l", "u", "w"]);
});

test("an answer is given to whoever waited, once", () => {
  const outbox = new Outbox();
  let answers = 0;
  outbox.add({ type: "hold", id: "x" }, 0, () => void (answers += 1));
  assert.equal(outbox.acknowledged(ack("x")), true);
  assert.equal(outbox.acknowledged(ack("x")), false);
  assert.equal(answers, 1);
});

test("an act without an answer is given up, with a reason", () => {
  const outbox = new Outbox(5000);
  let why = "";
  outbox.add({ type: "hold", id: "x" }, 0, (outcome) => {
    if (outcome.kind === "unanswered") why = outcome.message;
  });
  outbox.tick(5000);
  assert.equal(why, "");
  outbox.tick(5001);
  assert.match(why, /did not answer/);
  assert.equal(outbox.size, 0);
});
