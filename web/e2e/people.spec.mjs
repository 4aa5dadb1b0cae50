// Two people at once: one drives, the other looks on, asks, and takes over; and the robot that
// asks for a person. See page.mjs for how to run it.
import assert from "node:assert/strict";
import { Robot, Visitor, findDaemon, launch, runTests, until, wait } from "./page.mjs";

const daemon = await findDaemon();
const robot = new Robot(daemon);
const browser = await launch();

const open = async (before) => {
  const visitor = await Visitor.open(browser, daemon, before === undefined ? {} : { before });
  await visitor.ready();
  return visitor;
};
const anna = await open();
const ben = await open();

async function annaDrives() {
  if ((await robot.status()).source === "human") return;
  await anna.page.keyboard.up("ArrowUp");
  await robot.settle();
  await anna.page.bringToFront();
  await anna.letGo();
  await anna.drive(robot, () => anna.page.keyboard.down("ArrowUp"), () => anna.page.keyboard.up("ArrowUp"));
}

// The robot asks when it has a reason; here it asks when the test wants it to.
let plea = null;
const pleading = (page) => page.routeWebSocket(/\/api\/v1\/live/, (socket) => {
  const server = socket.connectToServer();
  server.onMessage((message) => {
    const told = typeof message === "string" ? JSON.parse(message) : {};
    if (told.type !== "status" || plea === null) socket.send(message);
    else socket.send(JSON.stringify({ ...told, help: told.lease.holder === null ? plea : null, uncertainty: 0.8 }));
  });
});
let cara;

await runTests({
  "an observer sees who drives, and is told so when it tries": async () => {
    await until("the observer sees it", async () => {
      await annaDrives();
      return (await ben.word()) === "HUMAN" && /drives/.test(await ben.page.locator(".state p").innerText());
    });
    await ben.page.locator('[data-hand="plane"] .zone').dispatchEvent("pointerdown", { pointerId: 9, pointerType: "touch", isPrimary: true });
    await until("the observer is told", async () => /busy/i.test(await ben.page.locator(".notices").innerText()));
    await ben.page.locator('[data-hand="plane"] .zone').dispatchEvent("pointerup", { pointerId: 9, pointerType: "touch", isPrimary: true });
    assert.notEqual(await ben.word(), "YOU DRIVE");
    await ben.shot("observer");
  },
  "an observer asks, and whoever drives goes on; passed with one tap, control is taken by an act": async () => {
    const passes = anna.page.getByRole("button", { name: "Pass control" });
    // Whoever loses control meanwhile, as on a busy computer, is not asked any more.
    await until("the driver is asked", async () => {
      await annaDrives();
      await ben.page.getByRole("button", { name: "Ask to drive" }).click({ timeout: 2000 }).catch(() => undefined);
      const seen = await passes.waitFor({ timeout: 2000 }).then(() => true, () => false);
      return seen && (await robot.status()).source === "human";
    }, 20_000);
    assert.match(await anna.page.locator(".question").innerText(), /asks to drive/);
    await anna.shot("asked");
    await passes.click();
    await until("the robot holds", () => robot.holds());
    await until("the lease is free", async () => (await robot.status()).lease.holder === null);
    await until("the observer is told", async () => /free/.test(await ben.page.locator(".notices").innerText()));
    await wait(400);
    assert.ok(await robot.holds(), "nothing moves by itself");
    await anna.page.keyboard.up("ArrowUp");
    await ben.page.bringToFront();
    await ben.letGo();
    await ben.drive(robot, () => ben.page.keyboard.down("ArrowLeft"), () => ben.page.keyboard.up("ArrowLeft"));
    await anna.says("HUMAN");
    await ben.page.keyboard.up("ArrowLeft");
    await until("the robot holds", () => robot.holds());
    await ben.page.keyboard.press("x");
    await until("the lease is free", async () => (await robot.status()).lease.holder === null);
  },
  "anybody's STOP stops whoever drives": async () => {
    await ben.drive(robot, () => ben.page.keyboard.down("ArrowUp"), () => ben.page.keyboard.up("ArrowUp"));
    await anna.page.locator(".stop").dispatchEvent("pointerdown", { button: 0, pointerType: "mouse" });
    await until("STOP is in force", async () => (await robot.status()).state === "ESTOP", 2000);
    await ben.page.keyboard.up("ArrowUp");
    await robot.send("reset_stop");
    await ben.says("PAUSED");
  },
  "the robot asks for help: holding the button takes over, lifting it holds": async () => {
    await anna.close();
    await ben.close();
    cara = await open(pleading);
    await robot.send("hand_back");
    await cara.says("AUTONOMOUS");
    plea = { id: 12, why: "The policy is unsure: its samples disagree.", reason: "disagreement", score: 0.8, since_s: 1 };
    const button = cara.page.getByRole("button", { name: "Hold to take over" });
    await button.waitFor();
    await cara.shot("help-asked");
    assert.match(await cara.page.locator(".plea").innerText(), /samples disagree/);
    const box = await button.boundingBox();
    await cara.page.bringToFront();
    await cara.drive(robot, () => cara.touch("touchStart", [[box.x + 20, box.y + 20, 1]]), () => cara.touch("touchEnd", []),
      async () => (await robot.status()).source === "human");
    assert.ok((await robot.status()).executed.every((value) => Math.abs(value) < 0.01));
    await cara.touch("touchEnd", []);
    await until("the robot holds", () => robot.holds());
    plea = null;
    await cara.page.keyboard.press("x");
  },
  "“Not now” puts the question away": async () => {
    await until("the lease is free", async () => (await robot.status()).lease.holder === null);
    await robot.settle();
    await robot.send("hand_back");
    await cara.says("AUTONOMOUS");
    plea = { id: 13, why: "No progress for a while.", reason: "no_progress", score: 0.6, since_s: 1 };
    await cara.page.getByRole("button", { name: "Not now" }).click();
    await until("it is gone", async () => (await cara.page.locator(".plea").count()) === 0);
    assert.equal((await robot.status()).state, "AUTO");
    plea = null;
  },
}, { before: async () => {
  if ((await robot.status()).state === "FAULT_HOLD") await robot.settle();
}, failed: async () => {
  plea = null;
  for (const each of [anna, ben, cara]) await each?.rest(robot).catch(() => undefined);
} });

await browser.close();
await daemon.end();
