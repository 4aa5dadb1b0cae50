import assert from "node:assert/strict";
import { test } from "node:test";
import { GamepadHand, padWish } from "../src/drive/gamepad";
import type { PadLike } from "../src/drive/gamepad";
import { controlsOf } from "../src/drive/jog";

const channel = (name: string) => ({ name, unit: "m/s", lower: -1, upper: 1 });
const tool = controlsOf(["tool_x", "tool_y", "tool_z", "gripper"].map(channel));
const arm = controlsOf(["elbow", "wrist"].map(channel));

function pad(down: number[] = [], axes = [0, 0, 0, 0], more: Partial<PadLike> = {}): PadLike {
  return {
    index: 0, id: "pad", connected: true, mapping: "standard", axes,
    buttons: Array.from({ length: 17 }, (_, at) => ({ pressed: down.includes(at), value: down.includes(at) ? 1 : 0 })),
    ...more,
  };
}

function hand(controls = tool) {
  const told: string[] = [];
  const it = new GamepadHand({
    press: () => void told.push("press"), move: () => void told.push("move"), lift: () => void told.push("lift"),
    command: (command) => void told.push(command), controls: () => controls, joint: () => "elbow",
    seen: (name) => void told.push(`seen ${name}`),
  });
  return { it, told: () => told.splice(0) };
}

test("a shoulder button that is held is the dead-man, and lifting it lets go", () => {
  const { it, told } = hand();
  it.poll([pad()]);
  assert.deepEqual(told(), ["seen pad"]);
  it.poll([pad([5])]);
  it.poll([pad([5], [1, 0, 0, 0])]);
  it.poll([pad([])]);
  assert.deepEqual(told(), ["press", "move", "lift"]);
});

test("sticks without the dead-man do nothing", () => {
  const { it, told } = hand();
  it.poll([pad()]);
  it.poll([pad([], [1, 1, 1, 1])]);
  assert.deepEqual(told(), ["seen pad"]);
});

test("a pad that goes lets go, whether it is gone or says that it is", () => {
  for (const gone of [[null], [pad([4], [1, 0, 0, 0], { connected: false })], []]) {
    const { it, told } = hand();
    it.poll([pad()]);
    it.poll([pad([4])]);
    it.poll(gone);
    it.poll(gone);
    assert.deepEqual(told(), ["seen pad", "press", "lift", "seen "]);
  }
});

test("a button that was down when the pad came does nothing until it is pressed anew", () => {
  const { it, told } = hand();
  it.poll([pad([5, 9])]);
  it.poll([pad([5, 9])]);
  assert.deepEqual(told(), ["seen pad"]);
  it.poll([pad([])]);
  it.poll([pad([5])]);
  assert.deepEqual(told(), ["press"]);
});

test("a pad of another mapping is no pad", () => {
  const { it, told } = hand();
  it.poll([pad([5], [0, 0, 0, 0], { mapping: "" })]);
  assert.deepEqual(told(), []);
});

test("buttons command once for each press", () => {
  const { it, told } = hand();
  it.poll([pad()]);
  for (let again = 0; again < 3; again += 1) it.poll([pad([8])]);
  it.poll([pad([9])]);
  assert.deepEqual(told(), ["seen pad", "stop", "start"]);
});

test("sticks and triggers mean what the keys mean", () => {
  const wish = padWish(pad([7], [0.5, -1, 0.25, -0.5]), tool);
  assert.deepEqual([wish.right, wish.away, wish.turn, wish.up, wish.open], [0.5, 1, -0.25, 0.5, 1]);
});

test("of a robot of joints, the left stick drives the chosen one and the cross chooses", () => {
  assert.deepEqual(padWish(pad([], [-1, 0, 0, 0]), arm, "wrist").joints, { wrist: -1 });
  const { it, told } = hand(arm);
  it.poll([pad()]);
  it.poll([pad([13])]);
  it.poll([pad([12])]);
  assert.deepEqual(told(), ["seen pad", "next", "previous"]);
});
