// The episode under way, step by step, from what the daemon says 20 times a second.
import type { Status } from "../wire/messages";
import type { Who } from "./timeline";

export interface LiveStrip {
  episode: number;
  who: Who[];
}

export const noStrip: LiveStrip = { episode: 0, who: [] };

// A step in which two acted belongs to the one further right.
const order: readonly Who[] = ["hold", "policy", "script", "nudge", "human"];

// The same object where nothing has changed. Steps from before this page was opened show as hold.
export function followEpisode(strip: LiveStrip, status: Status): LiveStrip {
  const { id, step } = status.episode;
  const who = order.find((each) => each === status.source) ?? "hold";
  if (id === 0) return strip.episode === 0 ? strip : noStrip;
  const known = strip.episode === id ? strip.who : [];
  if (step < known.length - 1 || step > 100_000) return { episode: id, who: [] };
  const before = known[step];
  if (strip.episode === id && before !== undefined && order.indexOf(before) >= order.indexOf(who)) return strip;
  const next = known.slice();
  while (next.length < step) next.push("hold");
  next[step] = who;
  return { episode: id, who: next };
}
