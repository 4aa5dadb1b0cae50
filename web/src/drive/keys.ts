// Which key means what. By the key's place on the board (KeyboardEvent.code), so that it works on
// every layout; S is STOP and nothing else, which is why the plane is on the arrows and on I J K L,
// not on W A S D.
import type { Wish } from "./jog";

const motions: Record<string, Partial<Wish>> = {
  ArrowUp: { away: 1 }, KeyI: { away: 1 },
  ArrowDown: { away: -1 }, KeyK: { away: -1 },
  ArrowLeft: { right: -1 }, KeyJ: { right: -1 },
  ArrowRight: { right: 1 }, KeyL: { right: 1 },
  KeyR: { up: 1 }, KeyF: { up: -1 },
  KeyO: { open: 1 }, KeyC: { open: -1 },
  Space: {}, // the dead-man alone: take over and stand still
};

export const isDriveKey = (code: string): boolean => code in motions;

// STOP by the letter on the key cap too: whoever reads "S" must find it there.
export const isStopKey = (event: Pick<KeyboardEvent, "code" | "key">): boolean =>
  event.code === "KeyS" || event.key.toLowerCase() === "s";

export function wishOfKeys(codes: Iterable<string>): Wish {
  const sum: Wish = { right: 0, away: 0, up: 0, open: 0 };
  for (const code of codes) {
    const motion = motions[code];
    if (motion === undefined) continue;
    sum.right += motion.right ?? 0;
    sum.away += motion.away ?? 0;
    sum.up += motion.up ?? 0;
    sum.open += motion.open ?? 0;
  }
  const length = Math.hypot(sum.right, sum.away);
  if (length > 1) {
    sum.right /= length;
    sum.away /= length;
  }
  return sum;
}
