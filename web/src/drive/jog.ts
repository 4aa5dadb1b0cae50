// From hands to an action: channels are found by their names, directions are the person's.
import type { Channel } from "../wire/messages";

// Each -1 to 1, as the person sees it.
export interface Wish {
  right: number;
  away: number;
  up: number;
  open: number;
  roll: number; // clockwise, as seen from behind the tool
  tilt: number; // the tool's nose up
  turn: number; // left, as seen from above
  joints: Readonly<Record<string, number>>; // channels that have no name of their own here
}

export const noWish: Readonly<Wish> = {
  right: 0, away: 0, up: 0, open: 0, roll: 0, tilt: 0, turn: 0, joints: {},
};

// Where the person looks from: at the robot's face, as a camera in front of it does, or over its
// shoulder. The robot's x points forward from its foot, y to its left.
export type Viewpoint = "facing" | "behind";

const deadZone = 0.08;

// Small motions of a thumb give fine motion, and none near the centre.
export function shape(value: number): number {
  if (!Number.isFinite(value)) return 0;
  const size = Math.min(1, Math.abs(value));
  if (size <= deadZone) return 0;
  const beyond = (size - deadZone) / (1 - deadZone);
  return Math.sign(value) * (0.4 * beyond + 0.6 * beyond * beyond);
}

type Direction = Exclude<keyof Wish, "joints">;

interface Meaning {
  direction: Direction;
  sign: (view: number) => number; // view: 1 facing, -1 behind
  scaled: boolean; // by the speed that the person has set
}

const one = (): number => 1;
const meanings: Record<string, Meaning> = {
  tool_x: { direction: "away", sign: (view) => -view, scaled: true },
  tool_y: { direction: "right", sign: (view) => view, scaled: true },
  tool_z: { direction: "up", sign: one, scaled: true },
  tool_roll: { direction: "roll", sign: one, scaled: true },
  tool_pitch: { direction: "tilt", sign: () => -1, scaled: true }, // about y: positive dips the nose
  tool_yaw: { direction: "turn", sign: one, scaled: true },
  gripper: { direction: "open", sign: one, scaled: false },
};

const clamp = (value: number): number =>
  Number.isFinite(value) ? Math.max(-1, Math.min(1, value)) + 0 : 0;

// One value per channel, each finite and in [-1, 1].
export function jogAction(
  channels: readonly Channel[], wish: Wish, speed: number, viewpoint: Viewpoint,
): number[] {
  const view = viewpoint === "facing" ? 1 : -1;
  return channels.map(({ name }) => {
    const meaning = meanings[name];
    if (meaning === undefined) return clamp(speed * (wish.joints[name] ?? 0));
    return clamp(meaning.sign(view) * (meaning.scaled ? speed : 1) * wish[meaning.direction]);
  });
}

// The other way round, for drawing what the policy wanted and what was done. Undefined: there is no
// action, or one of another robot.
export function wishOf(
  channels: readonly Channel[], action: readonly number[], viewpoint: Viewpoint,
): Wish | undefined {
  if (action.length !== channels.length || action.length === 0) return undefined;
  const view = viewpoint === "facing" ? 1 : -1;
  const joints: Record<string, number> = {};
  const wish: Wish = { ...noWish, joints };
  channels.forEach(({ name }, index) => {
    const value = clamp(action[index] ?? 0);
    const meaning = meanings[name];
    if (meaning === undefined) joints[name] = value;
    else wish[meaning.direction] = clamp(meaning.sign(view) * value);
  });
  return wish;
}

// What there is to drive.
export interface Controls {
  plane: boolean; // tool_x or tool_y
  lift: boolean; // tool_z
  gripper: boolean;
  roll: boolean;
  tilt: boolean;
  turn: boolean;
  joints: readonly string[]; // every other channel, by name
}

export function controlsOf(channels: readonly Channel[]): Controls {
  const names = new Set(channels.map((channel) => channel.name));
  return {
    plane: names.has("tool_x") || names.has("tool_y"), lift: names.has("tool_z"),
    gripper: names.has("gripper"), roll: names.has("tool_roll"), tilt: names.has("tool_pitch"),
    turn: names.has("tool_yaw"),
    joints: channels.map((channel) => channel.name).filter((name) => meanings[name] === undefined),
  };
}

// A robot without a tool to move in space is driven joint by joint.
export const byJoints = (controls: Controls): boolean =>
  !controls.plane && !controls.lift && controls.joints.length > 0;

export const isDrivable = (channels: readonly Channel[]): boolean => channels.length > 0;

// Adds a part of a wish to another, in place.
export function addWish(sum: Wish, part: Partial<Wish>, by: (value: number) => number = (value) => value): void {
  for (const direction of ["right", "away", "up", "roll", "tilt", "turn"] as const) {
    sum[direction] += by(part[direction] ?? 0);
  }
  sum.open += part.open ?? 0;
  if (part.joints === undefined) return;
  const joints: Record<string, number> = { ...sum.joints };
  for (const [name, value] of Object.entries(part.joints)) joints[name] = (joints[name] ?? 0) + by(value);
  sum.joints = joints;
}
