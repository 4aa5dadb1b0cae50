// Made-up past episodes, words and rounds for the fake daemon.
import { picture } from "./picture.mjs";

const anna = { name: "anna#3", role: "supervisor" };
const nudge = { name: "nudge", role: "script" };
const period = 0.1;

// An episode of which `row` (as in the curves) says the outline.
export function episodeOf(row) {
  let seed = row.id * 7919 + 13;
  const random = () => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const steps = row.steps;
  const first = row.takeovers > 0 ? Math.floor(steps * 0.45) : -1;
  const last = row.takeovers > 0 ? Math.min(steps - 4, first + Math.max(8, row.human_steps)) : -2;
  const nudged = row.id % 3 === 0 ? [Math.floor(steps * 0.2), Math.floor(steps * 0.2) + 4] : undefined;
  const started = Date.now() - (70 - row.id) * 61_000;
  const source = [];
  const proposed = [];
  const executed = [];
  const clamped = [];
  for (let step = 0; step < steps; step += 1) {
    const human = step >= first && step <= last;
    const bent = nudged && step >= nudged[0] && step <= nudged[1];
    const pause = row.takeovers > 0 && step > last && step <= last + 2;
    source.push(human ? "human" : bent ? "nudge" : pause ? "hold" : "policy");
    const want = [0, 1, 2, 3].map((axis) => Math.max(-1, Math.min(1, 0.7 * Math.sin(step * 0.16 + axis * 1.7) + 0.12 * (random() - 0.5))));
    const did = human ? want.map((value, axis) => Math.max(-1, Math.min(1, axis === 2 ? -0.8 : value * 0.4))) : bent ? [want[0], want[1], want[2] - 0.35, want[3]] : pause ? [0, 0, 0, 0] : want;
    proposed.push(step % 17 === 16 ? null : want);
    executed.push(did);
    clamped.push(step % 23 === 22);
  }
  const at = (step) => ({ episode: row.id, step, wall_ms: started + step * 100 });
  const events = [
    { sequence: row.id * 100, kind: "episode_started", ...at(0), actor: nudge, data: { purpose: 0, seed: 1, instruction: "lift the red block" } },
  ];
  const spans = [];
  if (nudged) {
    events.push({ sequence: row.id * 100 + 1, kind: "words", ...at(nudged[0]), actor: anna, data: { text: "a bit lower", use: 2, understood_as: "move the tool 2 cm down" } });
    spans.push({ id: row.id * 10 + 1, kind: "nudge", first_step: nudged[0], last_step: nudged[1], correction_from: null, reason: "released", complete: true, actor: anna, label: "none", seconds: 0.5 });
  }
  if (first >= 0) {
    events.push({ sequence: row.id * 100 + 2, kind: "span_opened", ...at(first), actor: anna, data: { span: row.id * 10 + 2, kind: 0, first_step: first } });
    spans.push({ id: row.id * 10 + 2, kind: "takeover", first_step: first, last_step: last, correction_from: null, reason: "released", complete: true, actor: anna, label: "none", seconds: (last - first + 1) * period });
  }
  events.push({ sequence: row.id * 100 + 8, kind: "episode_ended", ...at(steps - 1), actor: nudge, data: { reason: 0, steps } });
  if (row.outcome !== "none") events.push({ sequence: row.id * 100 + 9, kind: "label", ...at(steps - 1), actor: anna, data: { episode: row.id, span: 0, value: row.outcome } });
  return {
    id: row.id, purpose: "deployment", outcome: row.outcome, instruction: "lift the red block", steps, seconds: steps * period,
    policy_period_ms: 100, started_ms: started, ended: true, recorded: true, spans,
    discarded: row.id % 5 === 0 ? [{ first_step: 3, last_step: 9 }] : [], lost: [],
    cameras: [{ name: "front", width: 256, height: 256 }, { name: "wrist", width: 256, height: 256 }], events,
    step: {
      source, weights: source.map((_each, step) => (step > steps * 0.75 ? row.weights : Math.max(1, row.weights - 1))),
      seconds: source.map((_each, step) => step * period), proposed, executed, clamped,
    },
  };
}

export function pictureOf(camera, step, steps) {
  const t = step / Math.max(1, steps);
  const tool = { x: 0.4 + 0.06 * Math.sin(t * 4), y: -0.16 + 0.26 * t, z: 0.3 - 0.26 * t };
  return picture(camera === "front" ? 0 : 1, tool, { x: 0.45, y: 0.1, z: 0.02 }, 0.05 - 0.03 * t);
}

const grammar = [
  [/\b(lower|down)\b/, { use: "nudge", as: "move the tool 2 cm down" }],
  [/\b(higher|up)\b/, { use: "nudge", as: "move the tool 2 cm up" }],
  [/\bleft\b/, { use: "nudge", as: "move the tool 2 cm to the left" }],
  [/\bright\b/, { use: "nudge", as: "move the tool 2 cm to the right" }],
  [/\b(slower|faster)\b/, { use: "speed", as: "half the speed" }],
  [/\bopen the gripper\b/, { use: "nudge", as: "open the gripper", confirm: true }],
  [/\blet go\b/, { use: "nudge", as: "open the gripper", confirm: true }],
  [/\bgo back\b/, { use: "nudge", as: "go back to where the episode began", confirm: true }],
  [/^stop\b/, { use: "hold", as: "hold" }],
];

export function understand(text, meant, state) {
  if (meant === "comment") return { use: "comment", as: "a comment", acted: true, why: "", confirm: false, undo: true };
  const hit = grammar.find(([pattern]) => pattern.test(text.toLowerCase()));
  if (hit === undefined) {
    if (/\b(lift|put|pick|place|bring|push)\b/.test(text)) return { use: "instruction", as: `new task: ${text}`, acted: true, why: "", confirm: false, undo: true };
    return { use: "not_understood", as: "", acted: false, why: "Stored as said; the robot does nothing.", confirm: false, undo: false };
  }
  const it = { acted: true, why: "", confirm: false, undo: true, ...hit[1] };
  if (it.confirm) return { ...it, acted: false, undo: false };
  if (it.use === "hold") return { ...it, undo: false };
  if (it.use === "nudge" && state !== "AUTO") return { ...it, acted: false, why: "The policy does not drive: there is nothing to bend." };
  return it;
}

export const phrases = (last) => ({
  type: "phrases", quick: ["a bit lower", "a bit higher", "to the left", "to the right", "slower", "faster", "open the gripper", "go back"], last,
});

export function learning(rows) {
  const of = (outcome) => rows.filter((row) => row.outcome === outcome).length;
  const rounds = [];
  for (let index = 1; index <= 34; index += 1) {
    const full = index % 3 === 0;
    const accepted = index % 11 !== 0;
    rounds.push({
      version: accepted ? index : null, kind: full ? "full" : "micro", loss: 0.034 * Math.exp(-index / 14) + 0.006 + (full ? 0 : 0.004) + 0.0015 * Math.sin(index * 2.1),
      train_seconds: full ? 8.4 : 1.6, wall_ms: Date.now() - (35 - index) * 41_000, corrections: { episodes: 2 + index, steps: 18 + index * 9 },
      verdict: accepted ? "accepted" : "rejected", reason: accepted ? "" : "worse_on_held_out",
    });
  }
  return {
    type: "learning",
    dataset: {
      episodes: { success: of("success"), failure: of("failure"), discard: of("discard"), unlabelled: of("none") },
      steps: { correction: 312, recovery: 44, nudged: 38, autonomous_success: 1740, demonstration: 960, quarantined: 26, discarded: 91, held_out: 71 },
      supervisors: [{ name: "anna", corrections: 201 }, { name: "bert", corrections: 88 }, { name: "tablet", corrections: 23 }],
    },
    rounds, next: "after this episode",
  };
}

export const gate = (version) => ({
  accepted: true, reason: "accepted", detail: "", largest_change: 0.031 + version / 900, largest_change_name: "trunk.0.weight",
  demonstration_error: 0.19 + version / 400, demonstration_error_reference: 0.18, wild_share: 0, wild_share_reference: 0, largest_action: 1.2,
  held_out_episodes: version < 5 ? 0 : 7, enough_evidence: version > 6, held_out_error: 0.21, held_out_error_reference: 0.24,
  held_out_change: -0.11, held_out_change_bound: 0.02,
});
