import assert from "node:assert/strict";
import { test } from "node:test";
import { PassKeeper, codeFromHash, pairingCode } from "../src/link/pass";

interface Call { path: string; body: unknown }

function shelf() {
  const stored = new Map<string, string>();
  return {
    stored,
    getItem: (key: string) => stored.get(key) ?? null,
    setItem: (key: string, value: string) => void stored.set(key, value),
    removeItem: (key: string) => void stored.delete(key),
  };
}

function places(answer: (call: Call) => { status: number; body: unknown } = () => ({ status: 500, body: {} })) {
  const calls: Call[] = [];
  const clock = { ms: 1_000_000 };
  const all = {
    tab: shelf(), device: shelf(), calls, clock,
    post: (path: string, body: unknown) => {
      calls.push({ path, body });
      return Promise.resolve(answer({ path, body }));
    },
    alone: <T>(work: () => Promise<T>) => work(),
    nowMs: () => clock.ms,
  };
  return all;
}

// `expires`: by the robot's clock, which may be any.
const given = (token: string, refresh: string, expires = 0) =>
  ({ status: 200, body: { token, refresh, expires_ms: expires, life_ms: 900_000, role: "supervisor", name: "a", robot: "r" } });

test("the token moves from the address into the tab", () => {
  const there = places();
  let cleaned = 0;
  const clean = (): void => void (cleaned += 1);
  const keeper = new PassKeeper(there);
  assert.equal(keeper.take("#token=abc-123", clean), true);
  assert.equal(keeper.token, "abc-123");
  assert.equal(cleaned, 1);
  const later = new PassKeeper(there);
  assert.equal(later.take("", clean), true);
  assert.equal(later.token, "abc-123");
  assert.equal(there.device.stored.size, 0);
  assert.equal(new PassKeeper(places()).take("", clean), false);
});

test("a pairing code is read as people type it", () => {
  assert.equal(pairingCode(" k7qf 2m9x"), "K7QF-2M9X");
  assert.equal(pairingCode("K7QF-2M9X"), "K7QF-2M9X");
  assert.equal(pairingCode("K7QF-2M9"), undefined);
  assert.equal(codeFromHash("#pair=K7QF-2M9X"), "K7QF-2M9X");
  assert.equal(codeFromHash("#token=abc"), undefined);
});

test("a paired device keeps its pass, and comes in again without a code", async () => {
  const there = places(() => given("t1", "r1"));
  const keeper = new PassKeeper(there);
  assert.equal(await keeper.pair("K7QF-2M9X", "Anna's tablet"), "");
  assert.deepEqual(there.calls, [{ path: "/api/v1/pair", body: { code: "K7QF-2M9X", name: "Anna's tablet" } }]);
  const later = new PassKeeper(there);
  assert.equal(later.take("", () => undefined), true);
  assert.equal(later.token, "t1");
  assert.equal(later.renewable, true);
});

test("why a code was not taken is said in words", async () => {
  for (const [status, words] of [[403, /wrong/], [429, /Too many/], [404, /pairs no/], [500, /500/]] as const) {
    assert.match(await new PassKeeper(places(() => ({ status, body: {} }))).pair("A", "b"), words);
  }
});

test("a pass is renewed before it expires, and its refresh is used once", async () => {
  let count = 0;
  const there = places(() => given(`t${++count}`, `r${count}`));
  const keeper = new PassKeeper(there);
  await keeper.pair("K7QF-2M9X", "tablet");
  assert.equal(keeper.due, false);
  there.clock.ms += 700_000;
  assert.equal(keeper.due, true);
  assert.equal(await keeper.renew(), "renewed");
  assert.equal(keeper.token, "t2");
  assert.deepEqual(there.calls.at(-1), { path: "/api/v1/token", body: { refresh: "r1" } });
});

test("a pass is renewed in time though the robot's clock is hours away from this machine's", async () => {
  for (const expires of [0, 1_900_000 - 3_600_000, 1_900_000 + 3_600_000]) {
    const there = places(() => given("t1", "r1", expires));
    const keeper = new PassKeeper(there);
    await keeper.pair("K7QF-2M9X", "tablet");
    assert.equal(keeper.due, false);
    there.clock.ms += 700_000;
    assert.equal(keeper.due, true);
  }
});

test("what another tab of the device has renewed is taken over, not renewed again", async () => {
  let count = 0;
  const there = places(() => given(`t${++count}`, `r${count}`));
  const first = new PassKeeper(there);
  await first.pair("K7QF-2M9X", "tablet");
  const second = new PassKeeper(there);
  second.take("", () => undefined);
  await first.renew();
  const calls = there.calls.length;
  assert.equal(await second.renew(), "renewed");
  assert.equal(second.token, "t2");
  assert.equal(there.calls.length, calls);
});

test("a device that was taken off the list is told so; one that nobody answers tries again", async () => {
  const answers = { status: 200 };
  const there = places(() => answers.status === 200 ? given("t1", "r1") : { status: answers.status, body: {} });
  const keeper = new PassKeeper(there);
  await keeper.pair("K7QF-2M9X", "tablet");
  answers.status = 503;
  assert.equal(await keeper.renew(), "unreachable");
  answers.status = 401;
  assert.equal(await keeper.renew(), "refused");
  keeper.forget();
  assert.equal(there.device.stored.size, 0);
});

test("a token from the address cannot be renewed", async () => {
  const keeper = new PassKeeper(places());
  keeper.take("#token=abc", () => undefined);
  assert.equal(keeper.due, false);
  assert.equal(await keeper.renew(), "refused");
});
