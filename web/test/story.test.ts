import assert from "node:assert/strict";
import { test } from "node:test";
import { gateWords } from "../src/state/gate_words";
import { classShares, lossCurve, roundWords } from "../src/state/learning_words";
import { lineageOf, rollBackTarget } from "../src/state/lineage";
import { trendOf } from "../src/state/trend";
import { answered, confirmed, mayConfirm, mayUndo, newWords, outcomeOfWords, takenBack, understoodWords } from "../src/state/words";
import type { SaidWords } from "../src/state/words";
import type { Ack, EpisodeRow, Learning, WeightsVersion } from "../src/wire/messages";
import { parseDaemonMessage } from "../src/wire/parse";

function ack(fields: object): Ack {
  const message = parseDaemonMessage(JSON.stringify({ type: "ack", id: "a", ok: true, code: "ok", ...fields }));
  assert.ok(message?.type === "ack");
  return message;
}
const said = (words: object, at = 0): SaidWords => answered(newWords("a", "a bit lower", "instruction"), ack({ words }), at);

test("words that acted say as what they were understood, and can be taken back", () => {
  const words = said({ use: "nudge", as: "move the tool 2 cm down", acted: true, undo: true });
  assert.equal(understoodWords(words), "Understood as move the tool 2 cm down");
  assert.equal(outcomeOfWords(words, 0).text, "Done.");
  assert.ok(mayUndo(words));
  const back = takenBack(words, ack({}));
  assert.equal(understoodWords(back), "Taken back");
  assert.ok(!mayUndo(back));
  assert.equal(outcomeOfWords(back, 0).text, "What it moved is never learned from.");
  const task = takenBack(said({ use: "instruction", as: "pick up the cup", acted: true, undo: true }), ack({}));
  assert.equal(outcomeOfWords(task, 0).text, "", "what was done under a task is learned from");
});

test("words that were only stored say why", () => {
  const words = said({ use: "nudge", as: "move the tool 2 cm down", acted: false, why: "somebody else drives", undo: false });
  assert.equal(outcomeOfWords(words, 0).text, "Stored only: somebody else drives");
  assert.ok(!mayUndo(words));
});

test("words that were not understood say so plainly", () => {
  const words = said({ use: "not_understood", acted: false });
  assert.equal(understoodWords(words), "Not understood");
  assert.equal(outcomeOfWords(words, 0).tone, "bad");
});

test("what has to be confirmed waits ten seconds, and then nothing has moved", () => {
  const words = said({ use: "nudge", as: "open the gripper", acted: false, confirm: true, undo: false }, 1000);
  assert.ok(mayConfirm(words, 10_999));
  assert.ok(!mayConfirm(words, 11_000));
  assert.match(outcomeOfWords(words, 2000).text, /Nothing has moved/);
  assert.match(outcomeOfWords(words, 12_000).text, /Not confirmed in time/);
  const done = confirmed(words, ack({ words: { use: "nudge", as: "open the gripper", acted: true, undo: true } }));
  assert.ok(!mayConfirm(done, 2000));
  assert.equal(outcomeOfWords(done, 2000).text, "Done.");
  assert.ok(mayUndo(done));
});

test("a refused confirmation or undo says what the daemon said, and is not offered again", () => {
  const refused = ack({ ok: false, code: "failed_precondition", message: "too late" });
  const words = said({ use: "nudge", as: "x", confirm: true, undo: true }, 1000);
  assert.equal(outcomeOfWords(confirmed(words, refused), 1000).text, "too late");
  assert.ok(!mayConfirm(confirmed(words, refused), 1000));
  assert.ok(!mayUndo(takenBack(words, refused)));
});

test("words of a daemon that says nothing of their use show its echo", () => {
  const words = answered(newWords("a", "x", "comment"), ack({ echo: "kept as a comment" }), 0);
  assert.equal(understoodWords(words), "kept as a comment");
});

const version = (v: number, parent: number, kind = "full"): WeightsVersion => ({
  version: v, parent, kind, state: "accepted", wasLive: true, acceptedMs: 0, reason: "", gate: undefined,
  trainSeconds: undefined, corrections: undefined, loss: undefined, withdrawn: [],
});

test("thorough versions stand on one line, quick ones branch off and come back to their parent", () => {
  const graph = lineageOf([version(5, 2), version(4, 3, "provisional"), version(3, 2, "provisional"), version(2, 1), version(1, 0)]);
  assert.deepEqual(graph.nodes.map((node) => node.lane), [0, 1, 1, 0, 0]);
  assert.deepEqual(graph.edges.map(({ from, to }) => [from.version, to.version]), [[5, 2], [4, 3], [3, 2], [2, 1]]);
  assert.equal(graph.lanes, 2);
});

test("a thorough version stands on the left, also when a quick one leads to it", () => {
  const graph = lineageOf([version(3, 2, "provisional"), version(2, 1), version(1, 0)]);
  assert.deepEqual(graph.nodes.map((node) => node.lane), [1, 0, 0]);
});

test("a rollback leads to the confirmed version, and from there to the one confirmed before it", () => {
  const first = { ...version(2, 0), state: "confirmed" };
  const versions = [version(6, 5), version(5, 4), version(4, 3, "provisional"), version(3, 2), first];
  const weights = { type: "weights" as const, live: 6, confirmed: 5, versions };
  assert.equal(rollBackTarget(weights), 5);
  assert.equal(rollBackTarget({ ...weights, live: 5 }), 2);
  assert.equal(rollBackTarget({ ...weights, live: 2, confirmed: 2 }), undefined);
  assert.equal(rollBackTarget({ ...weights, confirmed: 0 }), undefined);
  assert.equal(rollBackTarget(undefined), undefined);
});

test("a version trained past one that was rolled back does not run through it", () => {
  const graph = lineageOf([version(4, 2), version(3, 2), version(2, 1), version(1, 0)]);
  assert.notEqual(graph.nodes[0]?.lane, graph.nodes[1]?.lane);
});

test("a parent that is not in the list, or is no elder, draws no line", () => {
  assert.deepEqual(lineageOf([version(9, 4)]).edges, []);
  assert.deepEqual(lineageOf([version(1, 2), version(2, 1)]).edges.length, 1);
});

test("the gate's figures read as sentences, and what was not measured is not said", () => {
  const parsed = parseDaemonMessage(JSON.stringify({
    type: "weights", versions: [{
      version: 2, gate: { largest_change: 0.031, demonstration_error: -1, wild_share: 0, held_out_episodes: 7, enough_evidence: true, held_out_change: -0.11, held_out_change_bound: 0.02 },
    }, { version: 1, gate: { held_out_episodes: 0, held_out_change: 0 } }],
  }));
  assert.ok(parsed?.type === "weights");
  assert.deepEqual(gateWords(parsed.versions[0]?.gate), [
    "11 % less error on 7 held-out episodes, at worst 2.0 % larger.", "Its largest step: 3.1 % of a layer.", "No wild actions.",
  ]);
  assert.deepEqual(gateWords(parsed.versions[1]?.gate), ["No held-out corrections to judge it by yet."]);
  assert.deepEqual(gateWords(undefined), ["No report of the gate."]);
});

function learning(fields: object): Learning {
  const message = parseDaemonMessage(JSON.stringify({ type: "learning", ...fields }));
  assert.ok(message?.type === "learning");
  return message;
}

test("classes keep their order, share the largest bar, and one that is new comes last", () => {
  const rows = classShares(learning({ dataset: { steps: { dreams: 5, demonstration: 100, correction: 50 } } }).steps);
  assert.deepEqual(rows.map((row) => [row.key, row.share]), [["correction", 0.5], ["demonstration", 1], ["dreams", 0.05]]);
});

test("rounds say what they became; quick ones have a curve of their own", () => {
  const { rounds } = learning({ rounds: [
    { version: 4, kind: "full", loss: 0.012, train_seconds: 1.6, corrections: { episodes: 5, steps: 61 }, verdict: "accepted" },
    { version: null, kind: "micro", loss: null, train_seconds: 0.4, corrections: { episodes: 1, steps: 8 }, verdict: "rejected", reason: "too_far" },
    { version: 1, kind: "full", loss: null, train_seconds: null, corrections: null, verdict: "accepted" },
  ] });
  assert.equal(roundWords(rounds[0]!), "Thorough round, 61 corrected steps of 5 episodes, 1.6 s: became v4");
  assert.equal(roundWords(rounds[1]!), "Quick round, 8 corrected steps of 1 episode, 0.4 s: refused: moved too far");
  assert.equal(roundWords(rounds[2]!), "Thorough round: became v1");
  assert.deepEqual(lossCurve(rounds), { x: [1, 2, 3], thorough: [0.012, null, null], quick: [null, null, null] });
});

test("how long takeovers last and when the first one comes are means over those that there were", () => {
  const row = (id: number, takeovers: number, humanSeconds: number, takeoverAfterS?: number): EpisodeRow => ({
    id, outcome: "none", driver: "policy", steps: 50, humanSteps: 0, takeovers, humanSeconds, seconds: 5, weights: 1,
    takeoverAfterS, instruction: "", startedMs: 0, purpose: "deployment",
  });
  const trend = trendOf([row(1, 0, 0), row(2, 2, 3, 1), row(3, 1, 1.5, 3)]);
  assert.deepEqual(trend.length, [null, 1.5, 1.5]);
  assert.deepEqual(trend.firstAfter, [null, 1, 2]);
  assert.deepEqual(trend.human, [0, 1.5, 1.5]);
  assert.deepEqual(trend.takeovers, [0, 2, 2]);
});

test("phrases are bounded, and what is no text is left out", () => {
  const message = parseDaemonMessage(JSON.stringify({ type: "phrases", quick: ["a", 3, "", ..."bcdefghijk"], last: ["x"] }));
  assert.ok(message?.type === "phrases");
  assert.deepEqual(message.quick, ["a", ..."bcdefgh"]);
});
