import assert from "node:assert/strict";
import { test } from "node:test";
import { addWish, byJoints, controlsOf, isDrivable, jogAction, noWish, shape, wishOf } from "../src/drive/jog";
import { isDriveKey, isStopKey, wishOfKeys } from "../src/drive/keys";

const channel = (name: string) => ({ name, unit: "m/s", lower: -0.25, upper: 0.25 });
const channels = ["tool_x", "tool_y", "tool_z", "gripper"].map(channel);

const controls = controlsOf(channels);

test("in front of the robot, away from the person is towards its foot", () => {
  assert.deepEqual(jogAction(channels, { ...noWish, away: 1 }, 1, "facing"), [-1, 0, 0, 0]);
  assert.deepEqual(jogAction(channels, { ...noWish, right: 1 }, 1, "facing"), [0, 1, 0, 0]);
});

test("behind the robot, both directions of the plane turn round", () => {
  assert.deepEqual(jogAction(channels, { ...noWish, away: 1 }, 1, "behind"), [1, 0, 0, 0]);
  assert.deepEqual(jogAction(channels, { ...noWish, right: 1 }, 1, "behind"), [0, -1, 0, 0]);
});

test("speed scales the tool but not the gripper", () => {
  assert.deepEqual(jogAction(channels, { ...noWish, up: 1, open: -1 }, 0.5, "facing"), [0, 0, 0.5, -1]);
});

test("channels are found by name, in any order; others rest unless they are asked for by name", () => {
  const other = ["gripper", "head_pan", "tool_x"].map(channel);
  assert.deepEqual(jogAction(other, { ...noWish, right: 1, away: -1, up: 1, open: 1 }, 1, "facing"), [1, 0, 1]);
  assert.deepEqual(jogAction(other, { ...noWish, joints: { head_pan: -1, elbow: 1 } }, 0.5, "facing"), [0, -0.5, 0]);
  assert.equal(isDrivable(other), true);
  assert.equal(isDrivable([]), false);
});

test("rotations are driven where the robot has them, and do not turn with the viewpoint", () => {
  const turning = ["tool_roll", "tool_pitch", "tool_yaw"].map(channel);
  for (const view of ["facing", "behind"] as const) {
    assert.deepEqual(jogAction(turning, { ...noWish, roll: 1, tilt: 1, turn: 1 }, 0.5, view), [0.5, -0.5, 0.5]);
  }
  assert.equal(controlsOf(turning).turn, true);
  assert.equal(controlsOf(channels).turn, false);
});

test("a robot without a tool to move in space is driven joint by joint", () => {
  assert.equal(byJoints(controlsOf(channels)), false);
  assert.equal(byJoints(controlsOf(["elbow", "gripper"].map(channel))), true);
  assert.deepEqual(controlsOf(["elbow", "gripper", "wrist"].map(channel)).joints, ["elbow", "wrist"]);
});

test("hands add up, also on one joint", () => {
  const sum = { ...noWish };
  addWish(sum, { up: 0.5, joints: { elbow: 0.25 } });
  addWish(sum, { up: 0.25, joints: { elbow: 0.5 } });
  assert.equal(sum.up, 0.75);
  assert.deepEqual(sum.joints, { elbow: 0.75 });
  assert.deepEqual(noWish.joints, {});
});

test("every value is finite and within full rate", () => {
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 7, -7]) {
    for (const out of jogAction(channels, { ...noWish, right: value, away: value, up: value, open: value }, 1, "facing")) {
      assert.ok(Number.isFinite(out) && Math.abs(out) <= 1, `${value} gave ${out}`);
    }
  }
});

test("an action reads back as the wish that made it", () => {
  const wish = { ...noWish, right: 0.5, away: -0.25, up: 0.75, open: -1 };
  for (const view of ["facing", "behind"] as const) {
    assert.deepEqual(wishOf(channels, jogAction(channels, wish, 1, view), view), wish);
  }
});

test("an action of another size draws nothing", () => {
  assert.equal(wishOf(channels, [], "facing"), undefined);
  assert.equal(wishOf(channels, [1, 2], "facing"), undefined);
});

test("a thumb near the centre moves nothing, and at the edge everything", () => {
  assert.equal(shape(0.05), 0);
  assert.equal(shape(1), 1);
  assert.equal(shape(-3), -1);
  assert.equal(shape(Number.NaN), 0);
  assert.ok(shape(0.5) > 0.1 && shape(0.5) < 0.5);
});

test("two keys of the plane together are no faster than one", () => {
  const wish = wishOfKeys(["ArrowUp", "ArrowRight"]);
  assert.ok(Math.abs(Math.hypot(wish.right, wish.away) - 1) < 1e-9);
  assert.deepEqual(wishOfKeys(["ArrowUp", "ArrowDown"]), noWish);
});

test("Space is the dead-man alone", () => {
  assert.equal(isDriveKey("Space", controls), true);
  assert.deepEqual(wishOfKeys(["Space"]), noWish);
});

test("S is STOP by its place and by its letter, and never drives", () => {
  assert.equal(isStopKey({ code: "KeyS", key: "o" }), true);
  assert.equal(isStopKey({ code: "Semicolon", key: "S" }), true);
  assert.equal(isStopKey({ code: "KeyA", key: "a" }), false);
  assert.equal(isDriveKey("KeyS", controls), false);
});

test("keys of what the robot does not have are for nothing", () => {
  assert.equal(isDriveKey("KeyQ", controls), false);
  assert.equal(isDriveKey("KeyQ", controlsOf(["tool_x", "tool_yaw"].map(channel))), true);
});

test("of a robot of joints, left and right drive the chosen one, and up and down choose", () => {
  const arm = controlsOf(["elbow", "wrist"].map(channel));
  assert.equal(isDriveKey("ArrowUp", arm), false);
  assert.equal(isDriveKey("ArrowLeft", arm), true);
  assert.deepEqual(wishOfKeys(["ArrowLeft"], "wrist"), { ...noWish, joints: { wrist: -1 } });
});
