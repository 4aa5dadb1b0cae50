import assert from "node:assert/strict";
import { test } from "node:test";
import { DeadMan } from "../src/drive/dead_man";
import type { Seen } from "../src/drive/dead_man";
import type { RobotState } from "../src/wire/messages";

const seen = (state: RobotState, epoch: number, mine = true): Seen => ({
  state,
  lease: { epoch, mine, holder: mine ? { name: "me", role: "supervisor" } : undefined },
});

function driving(epoch = 4): DeadMan {
  const hand = new DeadMan();
  hand.press("stick", true);
  hand.granted(epoch);
  hand.observe(seen("TAKEOVER", epoch));
  hand.observe(seen("HUMAN", epoch));
  return hand;
}

test("a press asks for the lease, and a second hand does not ask again", () => {
  const hand = new DeadMan();
  assert.equal(hand.press("left", true), true);
  assert.equal(hand.press("right", true), false);
  assert.equal(hand.phase, "asking");
  assert.equal(hand.command(), undefined);
});

test("commands carry zeros until a person is in control", () => {
  const hand = new DeadMan();
  hand.press("stick", true);
  hand.granted(4);
  assert.deepEqual(hand.command(), { epoch: 4, sequence: 1, deadMan: true, moves: false });
  hand.observe(seen("TAKEOVER", 4));
  assert.equal(hand.command()?.moves, false);
  hand.observe(seen("HUMAN", 4));
  assert.equal(hand.command()?.moves, true);
});

test("a status from before the takeover does not end it", () => {
  const hand = new DeadMan();
  hand.press("stick", true);
  hand.granted(4);
  hand.observe(seen("AUTO", 3, false));
  assert.equal(hand.phase, "waiting");
});

test("sequence numbers grow over presses and epochs", () => {
  const hand = driving();
  const first = hand.command()?.sequence ?? 0;
  hand.lift("stick");
  hand.press("stick", true);
  hand.granted(5);
  assert.ok((hand.command()?.sequence ?? 0) > first);
});

test("lifting the last hand sends dead-man up at once, whatever the status says", () => {
  const hand = driving();
  hand.press("gripper", true);
  assert.equal(hand.lift("stick"), false);
  assert.equal(hand.command()?.deadMan, true);
  assert.equal(hand.lift("gripper"), true);
  hand.observe(seen("HOLD", 4, false));
  assert.equal(hand.command()?.deadMan, false);
  hand.command();
  hand.command();
  assert.equal(hand.command(), undefined);
});

test("a holder with lifted hands keeps the lease with commands that move nothing", () => {
  const hand = driving();
  hand.lift("stick");
  hand.observe(seen("HOLD", 4));
  for (let i = 0; i < 10; i += 1) {
    assert.deepEqual([hand.command()?.deadMan, hand.command()?.moves], [false, false]);
  }
});

test("when control ends under a held hand, the press is spent until it is lifted", () => {
  for (const state of ["HOLD", "FAULT_HOLD", "ESTOP", "AUTO"] as const) {
    const hand = driving();
    hand.observe(seen(state, 4, state === "HOLD"));
    assert.equal(hand.phase, "spent");
    hand.observe(seen("HUMAN", 4));
    assert.equal(hand.phase, "spent", "and control that comes back does not revive it");
    assert.notEqual(hand.command()?.deadMan, true);
    hand.lift("stick");
    assert.equal(hand.press("stick", true), true);
  }
});

test("a lease that went to somebody else ends the press", () => {
  const hand = new DeadMan();
  hand.press("stick", true);
  hand.granted(4);
  hand.observe(seen("TAKEOVER", 5, false));
  assert.equal(hand.phase, "spent");
});

test("a refused press moves nothing until it is lifted and made again", () => {
  const hand = new DeadMan();
  hand.press("stick", true);
  hand.refused();
  assert.equal(hand.phase, "refused");
  assert.equal(hand.command(), undefined);
  hand.lift("stick");
  assert.equal(hand.press("stick", true), true);
});

test("an answer that comes after the hand was lifted does not start to drive", () => {
  const hand = new DeadMan();
  hand.press("stick", true);
  hand.lift("stick");
  hand.granted(4);
  hand.observe(seen("TAKEOVER", 4));
  assert.equal(hand.command()?.deadMan, false);
});

test("losing the window's focus lifts every hand", () => {
  const hand = driving();
  hand.press("key KeyR", true);
  assert.equal(hand.liftAll(), true);
  assert.equal(hand.held, false);
  assert.equal(hand.command()?.deadMan, false);
});

test("a lost link ends control, and a hand that is still down has to be lifted", () => {
  const hand = driving();
  hand.linkLost();
  assert.equal(hand.phase, "spent");
  assert.equal(hand.command(), undefined);
  hand.observe(seen("HUMAN", 4, false));
  assert.equal(hand.command(), undefined);
});

test("a press without a link asks for nothing and stays spent when the link comes back", () => {
  const hand = new DeadMan();
  assert.equal(hand.press("stick", false), false);
  hand.observe(seen("HOLD", 4, false));
  assert.equal(hand.phase, "spent");
});

test("no sequence of events moves the robot without a held hand", () => {
  let state = 12345;
  const random = (below: number): number => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 16) % below;
  };
  const states = ["HOLD", "TAKEOVER", "HUMAN", "HANDBACK", "AUTO", "FAULT_HOLD", "ESTOP"] as const;
  const hands = ["left", "right", "key"] as const;
  const hand = new DeadMan();
  const held = new Set<string>();
  for (let step = 0; step < 200_000; step += 1) {
    const which = hands[random(3)] ?? "left";
    switch (random(7)) {
      case 0:
        held.add(which);
        hand.press(which, random(4) > 0);
        break;
      case 1:
        held.delete(which);
        hand.lift(which);
        break;
      case 2: hand.granted(random(5)); break;
      case 3: hand.refused(); break;
      case 4: hand.observe(seen(states[random(7)] ?? "HOLD", random(5), random(2) === 0)); break;
      case 5:
        if (random(10) === 0) hand.linkLost();
        break;
      default:
        if (random(10) === 0) {
          held.clear();
          hand.liftAll();
        }
    }
    const command = hand.command();
    if (held.size === 0 && command !== undefined) {
      assert.equal(command.deadMan || command.moves, false);
    }
    if (command?.moves === true) assert.equal(command.deadMan, true);
  }
});
