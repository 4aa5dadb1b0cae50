import assert from "node:assert/strict";
import { test } from "node:test";
import { eventWords } from "../src/state/event_words";
import { FrameAge } from "../src/state/frame_age";
import { robotWord, shortName } from "../src/state/robot_word";
import { trendOf, wilson } from "../src/state/trend";
import type { EpisodeRow, LogEvent, Status } from "../src/wire/messages";
import { parseDaemonMessage } from "../src/wire/parse";

function status(fields: object): Status {
  const message = parseDaemonMessage(JSON.stringify({ type: "status", ...fields }));
  assert.ok(message?.type === "status");
  return message;
}

const row = (id: number, fields: Partial<EpisodeRow> = {}): EpisodeRow => ({
  id, outcome: "success", driver: "policy", steps: 50, humanSteps: 0, takeovers: 0, humanSeconds: 0,
  seconds: 5, weights: 1, takeoverAfterS: undefined, instruction: "", startedMs: 0,
  purpose: "deployment", ...fields,
});

test("a healthy camera of 10 Hz is fresh at every moment between its pictures", () => {
  const age = new FrameAge();
  let latest = 0;
  for (let now = 0; now < 3000; now += 10) {
    if (now % 100 === 0) {
      latest += 1;
      age.drawn(latest, now - 20, now, 20);
    }
    assert.equal(age.freshness(now), "fresh", `at ${now}`);
  }
  assert.ok(Math.abs(age.periodMs - 100) < 1);
});

test("a camera that stops is late after 150 ms beyond its period, old after 300", () => {
  const age = new FrameAge();
  for (let i = 1; i <= 20; i += 1) age.drawn(i, i * 100, i * 100, 10);
  assert.equal(age.freshness(2000 + 230), "fresh");
  assert.equal(age.freshness(2000 + 250), "late");
  assert.equal(age.freshness(2000 + 400), "old");
  assert.ok((age.staleness(2000 + 5000) ?? 0) > 4800);
});

test("a picture that was old when it came is shown as old", () => {
  const age = new FrameAge();
  age.drawn(1, 0, 1000, 400);
  assert.equal(age.freshness(1000), "old");
});

test("frames dropped on the way do not make the camera look slow", () => {
  const age = new FrameAge();
  for (let i = 0; i <= 100; i += 5) age.drawn(i + 1, i * 33, i * 33, 0);
  assert.ok(Math.abs(age.periodMs - 33) < 1);
});

test("without a picture there is no age", () => {
  const age = new FrameAge();
  assert.equal(age.staleness(5), undefined);
  assert.equal(age.freshness(5), "none");
});

test("every state has a word, and a lost link hides none behind an old status", () => {
  const words = ["HOLD", "TAKEOVER", "HUMAN", "HANDBACK", "AUTO", "FAULT_HOLD", "ESTOP"].map(
    (state) => robotWord(status({ state }), "open").word);
  assert.deepEqual(words, ["PAUSED", "TAKING OVER", "HUMAN", "HANDING BACK", "AUTONOMOUS", "FAULT", "STOPPED"]);
  assert.equal(robotWord(status({ state: "AUTO" }), "lost").word, "LINK LOST");
  assert.equal(robotWord(undefined, "connecting").word, "CONNECTING");
});

test("whoever drives is named, and you are you", () => {
  const lease = { epoch: 1, holder: { name: "tablet#3", role: "supervisor" } };
  assert.match(robotWord(status({ state: "HUMAN", lease }), "open").line, /tablet drives/);
  assert.equal(robotWord(status({ state: "HUMAN", lease: { ...lease, mine: true } }), "open").word, "YOU DRIVE");
  assert.equal(shortName("my #1 tablet#12"), "my #1 tablet");
});

test("Wilson's interval is that of the paper's formula", () => {
  const rate = wilson(17, 20);
  assert.ok(Math.abs(rate.low - 0.6396) < 1e-3 && Math.abs(rate.high - 0.9476) < 1e-3);
  assert.deepEqual(wilson(0, 0), { share: 0, low: 0, high: 1 });
  assert.equal(wilson(20, 20).high, 1);
});

test("success counts the last labelled episodes; discarded and unlabelled ones change nothing", () => {
  const trend = trendOf([
    row(1, { outcome: "none" }), row(2), row(3, { outcome: "failure" }), row(4, { outcome: "discard" }),
  ]);
  assert.deepEqual(trend.episodes, [1, 2, 3, 4]);
  assert.deepEqual(trend.success, [null, 100, 50, 50]);
  assert.equal(trend.low[0], null);
});

test("the window of success moves on", () => {
  const rows = [row(1, { outcome: "failure" }), row(2), row(3)];
  assert.deepEqual(trendOf(rows, 2).success, [0, 50, 100]);
});

test("demonstrations say nothing of the policy", () => {
  const shown = row(1, { purpose: "demonstration", takeovers: 1, humanSteps: 50 });
  assert.deepEqual(trendOf([shown, row(2)]), trendOf([row(2)]));
});

test("takeovers are counted for 100 steps of recent episodes", () => {
  assert.deepEqual(trendOf([row(1, { takeovers: 2 }), row(2)]).takeovers, [4, 2]);
  assert.deepEqual(trendOf([row(1, { steps: 0 })]).takeovers, [null]);
});

test("events are told in words, whether enums come as names or as numbers", () => {
  const event = (kind: string, data: Record<string, unknown>): LogEvent => ({
    type: "event", sequence: 1, kind, episode: 7, step: 0, wallMs: 0, actor: { name: "a", role: "engineer" }, data,
  });
  assert.equal(eventWords(event("authority_changed", { to: 4 })), "Now autonomous");
  assert.equal(eventWords(event("authority_changed", { to: "ESTOP" })), "Now stopped");
  assert.equal(eventWords(event("label", { episode: 7, value: 2 })), "Episode 7: failed");
  assert.equal(eventWords(event("weights_rolled_back", { from: 5, to: 3, reason: "by_hand" })), "Rolled back from v5 to v3: by hand");
  assert.equal(eventWords(event("pairing_code_made", { role: 3 })), "A code was made that lets in an engineer");
  assert.equal(eventWords(event("device_paired", { name: "phone", role: 1 })), "“phone” was let in as a viewer");
  assert.equal(eventWords(event("device_revoked", { name: "phone", reason: 0 })), "“phone” was sent away");
  assert.equal(eventWords(event("device_revoked", { name: "phone", reason: 1 })), "“phone” was sent away: somebody has a copy of its key");
  assert.equal(eventWords(event("key_added", { name: "arm", use: 1, role: 2 })), "The key “arm” was added, as a supervisor");
  assert.equal(eventWords(event("key_removed", { name: "arm" })), "The key “arm” was removed");
  assert.equal(eventWords(event("token_changed", { role: 3, id: "c0ffee" })), "The token of an engineer on this machine was changed");
  assert.equal(eventWords(event("token_changed", { role: 1, id: "" })), "The token of a viewer on this machine was revoked");
  assert.equal(eventWords(event("something_new", {})), "something new");
});
