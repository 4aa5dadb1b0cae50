// The learner, its rounds and what it learns from, as people say them.
import type { Learning, Round, Status } from "../wire/messages";

export interface Share {
  key: string;
  name: string;
  steps: number;
  share: number; // of the largest
}

const classNames: Record<string, string> = {
  correction: "correction", recovery: "recovery", nudged: "nudged", autonomous_success: "policy alone, worked",
  demonstration: "demonstration", held_out: "held out, to judge by",
  quarantined: "set aside until labelled", discarded: "taken out",
};
const classOrder = Object.keys(classNames);

function shares(rows: { key: string; name: string; steps: number }[]): Share[] {
  const most = Math.max(1, ...rows.map((row) => row.steps));
  return rows.map((row) => ({ ...row, share: row.steps / most }));
}

// Classes that the page knows first, in their order; one that a later daemon adds comes last.
export function classShares(steps: Record<string, number>): Share[] {
  const known = classOrder.filter((key) => key in steps);
  const others = Object.keys(steps).filter((key) => !classOrder.includes(key));
  return shares([...known, ...others].map((key) => ({
    key, name: classNames[key] ?? key.replaceAll("_", " "), steps: steps[key] ?? 0,
  })));
}

export const supervisorShares = (supervisors: Learning["supervisors"]): Share[] =>
  shares([...supervisors].sort((a, b) => b.corrections - a.corrections).slice(0, 8)
    .map((each) => ({ key: each.name, name: each.name || "somebody", steps: each.corrections })));

export function learnerWords(learning: Status["learning"] | undefined): string {
  if (learning === undefined || learning.state === "") return "Nothing is known of the learner";
  switch (learning.state) {
    case "off": return "Learning is off";
    case "idle": return "The learner waits";
    case "training": return learning.round === "micro" ? "Learning, quickly" : "Learning, thoroughly";
    case "paused": return "Learning is paused";
    case "waiting": return "Waiting for feedback after a rollback";
    case "stale": return "The learner is gone";
    case "restarting": return "The learner starts again";
    default: return learning.state;
  }
}

const refusals: Record<string, string> = {
  non_finite: "values were not finite", wrong_shape: "another architecture", wrong_backbone: "another backbone",
  wrong_parent: "its parent is out of date", too_far: "moved too far", forgets: "forgets demonstrations",
  wild_actions: "wild actions", worse_on_held_out: "worse on held-out corrections",
  superseded: "a newer correction began",
};

export function roundWords(round: Round): string {
  const kind = round.kind === "micro" ? "Quick round" : "Thorough round";
  const taught = round.corrections;
  const from = taught === undefined ? "" : taught.steps === 0 ? ", no corrections"
    : `, ${taught.steps} corrected steps of ${taught.episodes} ${taught.episodes === 1 ? "episode" : "episodes"}`;
  const took = round.trainSeconds === undefined ? "" : `, ${round.trainSeconds.toFixed(1)} s`;
  const fate = round.verdict === "accepted" && round.version !== undefined
    ? `became v${round.version}` : `refused: ${refusals[round.reason] ?? (round.reason.replaceAll("_", " ") || "by the gate")}`;
  return `${kind}${from}${took}: ${fate}`;
}

export interface LossCurve {
  x: number[];
  thorough: (number | null)[];
  quick: (number | null)[];
}

export function lossCurve(rounds: readonly Round[]): LossCurve {
  const curve: LossCurve = { x: [], thorough: [], quick: [] };
  rounds.forEach((round, index) => {
    curve.x.push(index + 1);
    curve.thorough.push(round.kind === "micro" ? null : round.loss ?? null);
    curve.quick.push(round.kind === "micro" ? round.loss ?? null : null);
  });
  return curve;
}
