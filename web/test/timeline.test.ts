import assert from "node:assert/strict";
import { test } from "node:test";
import { eventWords } from "../src/state/event_words";
import { FrameReel, neighbourhood } from "../src/state/frame_reel";
import type { Place } from "../src/state/frame_reel";
import { followEpisode, noStrip } from "../src/state/live_strip";
import type { LiveStrip } from "../src/state/live_strip";
import { momentsOf, parseEpisode, runsOf, splitStep, stepAt, usesOf } from "../src/state/timeline";
import type { EpisodeRecord } from "../src/state/timeline";
import { parseDaemonMessage } from "../src/wire/parse";

const span = (fields: object): object => ({
  id: 5, kind: "takeover", first_step: 4, last_step: 7, correction_from: null, reason: "released", complete: true,
  actor: { name: "anna#1", role: "supervisor" }, label: "none", seconds: 0.4, ...fields,
});

function episode(fields: object = {}): EpisodeRecord {
  const source = ["policy", "policy", "policy", "policy", "human", "human", "human", "human", "hold", "policy"];
  const record = parseEpisode({
    id: 7, purpose: "deployment", outcome: "none", steps: 10, seconds: 1, policy_period_ms: 100, ended: true, spans: [span({})],
    step: { source, weights: source.map((_each, step) => (step < 6 ? 3 : 4)), seconds: source.map((_each, step) => step / 10), proposed: source.map(() => [0]), executed: source.map(() => [0]), clamped: [] },
    ...fields,
  });
  assert.ok(record !== undefined);
  return record;
}

test("an episode that is none, or has fields of the wrong type, claims nothing", () => {
  assert.equal(parseEpisode(null), undefined);
  assert.equal(parseEpisode({ steps: 3 }), undefined);
  const record = parseEpisode({ id: 1, spans: "x", discarded: [7], events: [null], step: { source: ["what", "human"], proposed: [null, "x"], seconds: ["x"] } });
  assert.deepEqual(record?.who, ["hold", "human"]);
  assert.deepEqual(record?.proposed, [undefined, undefined]);
  assert.deepEqual(record?.at, [0, 0.1]);
  assert.deepEqual(record?.spans, []);
});

test("a span without steps is none", () => {
  assert.equal(episode({ spans: [span({ first_step: 5, last_step: 4 })] }).spans.length, 0);
});

test("time never runs backwards in an episode", () => {
  const record = parseEpisode({ id: 1, step: { source: ["policy", "policy", "policy"], seconds: [0, 5, 0.2] } });
  assert.deepEqual(record?.at, [0, 5, 5]);
});

test("equal neighbours become one run", () => {
  assert.deepEqual(runsOf(["a", "a", "b", "a"]), [
    { value: "a", first: 0, last: 1 }, { value: "b", first: 2, last: 2 }, { value: "a", first: 3, last: 3 },
  ]);
  assert.deepEqual(runsOf([]), []);
});

test("a takeover is a correction from its split on, and recovery before", () => {
  assert.deepEqual(usesOf(episode()).slice(4, 9), ["correction", "correction", "correction", "correction", "none"]);
  assert.deepEqual(usesOf(episode({ spans: [span({ correction_from: 6 })] })).slice(4, 8), ["recovery", "recovery", "correction", "correction"]);
});

test("steps of the policy teach only in an episode that worked", () => {
  assert.equal(usesOf(episode())[0], "none");
  assert.equal(usesOf(episode({ outcome: "success" }))[0], "success");
  assert.equal(usesOf(episode({ outcome: "failure" }))[0], "none");
  assert.equal(usesOf(episode({ outcome: "failure" }))[5], "correction");
});

test("what was taken out, undone or lost is not learned from, whatever else it is", () => {
  assert.ok(usesOf(episode({ outcome: "discard" })).every((use) => use === "taken_out"));
  assert.equal(usesOf(episode({ spans: [span({ label: "discard" })] }))[5], "taken_out");
  assert.equal(usesOf(episode({ discarded: [{ first_step: 5, last_step: 6 }] }))[5], "undone");
  assert.equal(usesOf(episode({ discarded: [{ first_step: 5, last_step: 6 }] }))[7], "correction");
  assert.deepEqual(usesOf(episode({ lost: [{ first_step: 5, count: 2 }] })).slice(4, 8), ["correction", "lost", "lost", "correction"]);
});

test("a mark between recovery and correction stays within its span", () => {
  assert.equal(splitStep({ first: 4, last: 7 }, 2), 4);
  assert.equal(splitStep({ first: 4, last: 7 }, 5.6), 6);
  assert.equal(splitStep({ first: 4, last: 7 }, 99), 7);
});

test("playing shows the last step that has begun", () => {
  const at = [0, 0.1, 0.2, 0.9];
  assert.equal(stepAt(at, 0), 0);
  assert.equal(stepAt(at, 0.19), 1);
  assert.equal(stepAt(at, 0.5), 2);
  assert.equal(stepAt(at, 99), 3);
  assert.equal(stepAt([], 1), 0);
});

test("moments are in the order of the steps, and weights are where they began to act", () => {
  const record = episode({
    events: [
      { kind: "label", step: 9, data: { episode: 7, span: 0, value: 1 } }, { kind: "words", step: 2, data: { text: "lower" } },
      { kind: "authority_changed", step: 3, data: {} }, { kind: "steps_discarded", step: 9, data: { first_step: 5, last_step: 6 } },
    ],
  });
  assert.deepEqual(momentsOf(record, eventWords).map((each) => [each.step, each.kind]), [
    [2, "words"], [5, "undone"], [6, "weights"], [9, "label"],
  ]);
});

test("what was said afterwards stands at the end, and only the last label and split of each count", () => {
  const said = (step: number, value: number): object => ({ kind: "label", episode: 9, step, wall_ms: 5000, data: { episode: 7, span: 0, value } });
  const record = episode({
    started_ms: 1000,
    events: [said(3, 1), said(4, 2), { kind: "span_split", wall_ms: 5000, step: 4, data: { span: 5, correction_from: 5 } }, { kind: "span_split", wall_ms: 5000, step: 4, data: { span: 5, correction_from: 6 } }],
  });
  assert.deepEqual(momentsOf(record, eventWords).filter((each) => each.kind !== "weights").map((each) => [each.step, each.text]), [
    [6, "The correction begins at step 6"], [9, "Episode 7: failed"],
  ]);
});

test("the strip of the episode under way grows with its steps, and a person's step stays one", () => {
  const status = (source: string, step: number, id = 3): LiveStrip => {
    const message = parseDaemonMessage(JSON.stringify({ type: "status", source, episode: { id, step } }));
    assert.ok(message?.type === "status");
    strip = followEpisode(strip, message);
    return strip;
  };
  let strip = noStrip;
  status("policy", 0);
  status("human", 1);
  const before = strip;
  assert.equal(status("policy", 1), before, "the same object when nothing is new");
  assert.deepEqual(status("nudge", 3).who, ["policy", "human", "hold", "nudge"]);
  assert.deepEqual(status("policy", 0, 4), { episode: 4, who: ["policy"] });
  assert.deepEqual(status("hold", 0, 0), noStrip);
});

const settled = (): Promise<void> => new Promise((done) => setImmediate(done));

test("pictures: what is looked at comes first, and what nobody wants any more is given up", async () => {
  const asked: string[] = [];
  const stopped: string[] = [];
  const answers = new Map<string, (picture: string | undefined) => void>();
  const reel = new FrameReel<string>({
    parallel: 2, arrived: () => undefined, drop: () => undefined,
    load: ({ camera, step }: Place, given_up) => new Promise((resolve, reject) => {
      const key = `${camera}${step}`;
      asked.push(key);
      answers.set(key, resolve);
      given_up.addEventListener("abort", () => {
        stopped.push(key);
        reject(new Error("given up"));
      });
    }),
  });
  reel.want(neighbourhood(["f"], 5, 10, false));
  assert.deepEqual(asked, ["f5", "f6"]);
  answers.get("f5")?.("five");
  await settled();
  assert.equal(reel.picture({ camera: "f", step: 5 }), "five");
  assert.deepEqual(asked, ["f5", "f6", "f4"]);
  reel.want([{ camera: "f", step: 0 }]);
  assert.deepEqual(stopped.sort(), ["f4", "f6"]);
  await settled();
  assert.deepEqual(asked.slice(3), ["f0"]);
  answers.get("f0")?.(undefined);
  await settled();
  assert.equal(reel.picture({ camera: "f", step: 0 }), "none");
  reel.forgetMissing();
  assert.equal(reel.picture({ camera: "f", step: 0 }), undefined);
});

test("pictures: only so many are kept, the newest used ones, and each is let go once", async () => {
  const dropped: string[] = [];
  const reel = new FrameReel<string>({
    keep: 2, parallel: 8, arrived: () => undefined, drop: (picture) => dropped.push(picture),
    load: ({ step }) => Promise.resolve(`p${step}`),
  });
  for (const step of [1, 2]) {
    reel.want([{ camera: "f", step }]);
    await settled();
  }
  reel.picture({ camera: "f", step: 1 });
  reel.want([{ camera: "f", step: 3 }]);
  await settled();
  assert.deepEqual(dropped, ["p2"]);
  reel.close();
  assert.deepEqual(dropped.sort(), ["p1", "p2", "p3"]);
});

test("while it plays, only what comes next is loaded ahead", () => {
  assert.deepEqual(neighbourhood(["f"], 8, 10, true).map((each) => each.step), [8, 9]);
  assert.deepEqual(neighbourhood(["f", "w"], 0, 2, false).map((each) => `${each.camera}${each.step}`), ["f0", "w0", "f1", "w1"]);
});
