// From hands to an action: channels are found by their names, directions are the person's.
import type { Channel } from "../wire/messages";

// Each -1 to 1, as the person sees it.
export interface Wish {
  right: number;
  away: number;
  up: number;
  open: number;
}

export const noWish: Readonly<Wish> = { right: 0, away: 0, up: 0, open: 0 };

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

const gains: Record<string, (wish: Wish, view: number, speed: number) => number> = {
  tool_x: (wish, view, speed) => -view * speed * wish.away,
  tool_y: (wish, view, speed) => view * speed * wish.right,
  tool_z: (wish, _view, speed) => speed * wish.up,
  gripper: (wish) => wish.open,
};

const clamp = (value: number): number =>
  Number.isFinite(value) ? Math.max(-1, Math.min(1, value)) + 0 : 0;

// One value per channel, each finite and in [-1, 1]; channels that the page does not know stay 0.
export function jogAction(
  channels: readonly Channel[], wish: Wish, speed: number, viewpoint: Viewpoint,
): number[] {
  const view = viewpoint === "facing" ? 1 : -1;
  return channels.map((channel) => clamp(gains[channel.name]?.(wish, view, speed) ?? 0));
}

// The other way round, for drawing what the policy wanted and what was done. Undefined: the robot has
// none of the channels, or there is no action.
export function wishOf(
  channels: readonly Channel[], action: readonly number[], viewpoint: Viewpoint,
): Wish | undefined {
  if (action.length !== channels.length || action.length === 0) return undefined;
  const view = viewpoint === "facing" ? 1 : -1;
  const value = (name: string): number =>
    clamp(action[channels.findIndex((channel) => channel.name === name)] ?? 0);
  return {
    right: clamp(view * value("tool_y")), away: clamp(-view * value("tool_x")),
    up: value("tool_z"), open: value("gripper"),
  };
}

export function isDrivable(channels: readonly Channel[]): boolean {
  return channels.some((channel) => channel.name in gains);
}
