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
}

// `window`: labelled episodes that count for a point, and episodes for the takeovers.
export function trendOf(rows: readonly EpisodeRow[], window = 20): Trend {
  const trend: Trend = { episodes: [], success: [], low: [], high: [], takeovers: [] };
  const outcomes: boolean[] = [];
  rows.forEach((row, index) => {
    if (row.outcome === "success" || row.outcome === "failure") {
      outcomes.push(row.outcome === "success");
      if (outcomes.length > window) outcomes.shift();
    }
    const rate = wilson(outcomes.filter(Boolean).length, outcomes.length);
    const known = outcomes.length > 0;
    const recent = rows.slice(Math.max(0, index + 1 - window), index + 1);
    const steps = recent.reduce((sum, each) => sum + each.steps, 0);
    const takeovers = recent.reduce((sum, each) => sum + each.takeovers, 0);
    trend.episodes.push(row.id);
    trend.success.push(known ? 100 * rate.share : null);
    trend.low.push(known ? 100 * rate.low : null);
    trend.high.push(known ? 100 * rate.high : null);
    trend.takeovers.push(steps > 0 ? (100 * takeovers) / steps : null);
  });
  return trend;
}
