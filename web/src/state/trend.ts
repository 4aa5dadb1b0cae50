// The curves: running success with its interval, and how often people had to step in.
import type { EpisodeRow } from "../wire/messages";

export interface Rate {
  share: number;
  low: number;
  high: number;
}

// 95 % interval of Wilson (JASA 1927).
export function wilson(successes: number, of: number): Rate {
  if (of === 0) return { share: 0, low: 0, high: 1 };
  const z = 1.959964;
  const share = successes / of;
  const middle = share + (z * z) / (2 * of);
  const spread = z * Math.sqrt((share * (1 - share)) / of + (z * z) / (4 * of * of));
  const scale = 1 + (z * z) / of;
  return {
    share, low: Math.max(0, (middle - spread) / scale), high: Math.min(1, (middle + spread) / scale),
  };
}

export interface Trend {
  episodes: number[]; // x
  success: (number | null)[]; // each in percent
  low: (number | null)[];
  high: (number | null)[];
  takeovers: (number | null)[]; // per 100 steps
  length: (number | null)[]; // of one takeover, s
  firstAfter: (number | null)[]; // s into an episode, of those with a takeover
  human: (number | null)[]; // s of a person for an episode
}

const sum = (values: readonly number[]): number => values.reduce((all, each) => all + each, 0);
const ratio = (of: number, by: number): number | null => (by > 0 ? of / by : null);

// `window`: labelled episodes that count for a point, and episodes for the rest.
// Demonstrations say nothing of the policy, and are left out.
export function trendOf(all: readonly EpisodeRow[], window = 20): Trend {
  const rows = all.filter((row) => row.purpose !== "demonstration");
  const trend: Trend = {
    episodes: [], success: [], low: [], high: [], takeovers: [], length: [], firstAfter: [], human: [],
  };
  const outcomes: boolean[] = [];
  rows.forEach((row, index) => {
    if (row.outcome === "success" || row.outcome === "failure") {
      outcomes.push(row.outcome === "success");
      if (outcomes.length > window) outcomes.shift();
    }
    const rate = wilson(outcomes.filter(Boolean).length, outcomes.length);
    const known = outcomes.length > 0;
    const recent = rows.slice(Math.max(0, index + 1 - window), index + 1);
    const takeovers = sum(recent.map((each) => each.takeovers));
    const seconds = sum(recent.map((each) => each.humanSeconds));
    const first = recent.flatMap((each) => (each.takeoverAfterS === undefined ? [] : [each.takeoverAfterS]));
    trend.episodes.push(row.id);
    trend.success.push(known ? 100 * rate.share : null);
    trend.low.push(known ? 100 * rate.low : null);
    trend.high.push(known ? 100 * rate.high : null);
    trend.takeovers.push(ratio(100 * takeovers, sum(recent.map((each) => each.steps))));
    trend.length.push(ratio(seconds, takeovers));
    trend.firstAfter.push(ratio(sum(first), first.length));
    trend.human.push(ratio(seconds, recent.length));
  });
  return trend;
}
