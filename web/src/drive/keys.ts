// Which key means what. By the key's place on the board (KeyboardEvent.code), so that it works on
// every layout; S is STOP and nothing else, which is why the plane is on the arrows and on I J K L,
// not on W A S D.
import { addWish, byJoints, noWish } from "./jog";
import type { Controls, Wish } from "./jog";

const motions: Record<string, Partial<Wish>> = {
  ArrowUp: { away: 1 }, KeyI: { away: 1 },
  ArrowDown: { away: -1 }, KeyK: { away: -1 },
  ArrowLeft: { right: -1 }, KeyJ: { right: -1 },
  ArrowRight: { right: 1 }, KeyL: { right: 1 },
  KeyR: { up: 1 }, KeyF: { up: -1 },
  KeyO: { open: 1 }, KeyC: { open: -1 },
  KeyQ: { turn: 1 }, KeyE: { turn: -1 },
  KeyY: { tilt: 1 }, KeyN: { tilt: -1 },
  Comma: { roll: -1 }, Period: { roll: 1 },
  Space: {}, // the dead-man alone: take over and stand still
};

const needs: [keyof Omit<Controls, "joints">, readonly string[]][] = [
  ["turn", ["KeyQ", "KeyE"]], ["tilt", ["KeyY", "KeyN"]], ["roll", ["Comma", "Period"]],
];
// Of a robot that is driven joint by joint: the arrows drive the chosen joint, or choose another.
const forward = ["ArrowRight", "KeyL"];
const backward = ["ArrowLeft", "KeyJ"];
export const chooses: Readonly<Record<string, number>> = { ArrowUp: -1, KeyI: -1, ArrowDown: 1, KeyK: 1 };

// Whether the key drives this robot. Keys of what the robot does not have are for nothing.
export function isDriveKey(code: string, controls: Controls): boolean {
  if (!(code in motions)) return false;
  if (byJoints(controls)) {
    return code === "Space" || forward.includes(code) || backward.includes(code) ||
      (controls.gripper && (code === "KeyO" || code === "KeyC"));
  }
  return !needs.some(([part, codes]) => codes.includes(code) && !controls[part]);
}

// STOP by the letter on the key cap too: whoever reads "S" must find it there.
export const isStopKey = (event: Pick<KeyboardEvent, "code" | "key">): boolean =>
  event.code === "KeyS" || event.key.toLowerCase() === "s";

// `joint`: the chosen one of a robot that is driven joint by joint; undefined for any other robot.
export function wishOfKeys(codes: Iterable<string>, joint?: string): Wish {
  const sum: Wish = { ...noWish };
  for (const code of codes) {
    const way = (forward.includes(code) ? 1 : 0) - (backward.includes(code) ? 1 : 0);
    if (joint !== undefined && way !== 0) addWish(sum, { joints: { [joint]: way } });
    else addWish(sum, motions[code] ?? {});
  }
  const length = Math.hypot(sum.right, sum.away);
  if (length > 1) {
    sum.right /= length;
    sum.away /= length;
  }
  return sum;
}
