// A link that is slow, breaks, or whose daemon dies: the robot holds, and nothing starts by itself. This
// one starts a daemon of its own, because it kills it. See page.mjs for how to run it.
import assert from "node:assert/strict";
import { Daemon, Robot, Visitor, findDaemon, launch, patience, runTests, until, wait } from "./page.mjs";

let daemon = await findDaemon(true);
let robot = new Robot(daemon);
const browser = await launch();
const visitor = await Visitor.open(browser, daemon);
const { page } = visitor;
await visitor.ready();

const network = (more) => visitor.devtools.send("Network.emulateNetworkConditions",
  { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: -1, ...more });
async function drive(key) {
  await visitor.letGo();
  await visitor.drive(robot, () => page.keyboard.down(key), () => page.keyboard.up(key));
}
async function staysHeld() {
  for (let look = 0; look < 8; look += 1) {
    await wait(100);
    assert.ok(await robot.holds(), JSON.stringify(await robot.status()));
  }
}

await runTests({
  "a daemon that is killed while somebody drives: the page says so, comes back by itself, and nothing moves": async () => {
    await drive("ArrowUp");
    const killed = Date.now();
    await daemon.end("SIGKILL");
    await visitor.says("LINK LOST", 4000);
    console.log(`    said after ${Date.now() - killed} ms`);
    await visitor.shot("link-lost");
    daemon = await Daemon.start(daemon.port);
    robot = new Robot(daemon);
    const back = Date.now();
    await visitor.says("PAUSED", 15_000);
    console.log(`    back ${Date.now() - back} ms after the daemon`);
    // The key is still down, all the time.
    await staysHeld();
    const { why, lease } = await robot.status();
    assert.equal(why, "boot");
    assert.equal(lease.holder, null);
    assert.match(await page.locator(".phase").innerText(), /let go/);
    await page.keyboard.up("ArrowUp");
    await visitor.ready();
  },
  "it drives again after that, by a press of its own": async () => {
    await drive("ArrowLeft");
    await page.keyboard.up("ArrowLeft");
    await until("the robot holds", () => robot.holds());
  },
  "a daemon that is stopped in order and comes back is found again": async () => {
    await daemon.end();
    await visitor.says("LINK LOST", 4000);
    daemon = await Daemon.start(daemon.port);
    robot = new Robot(daemon);
    await visitor.says("PAUSED", 15_000);
    await visitor.ready();
  },
  "a STOP that is pressed without a link is in force as soon as there is one": async () => {
    await daemon.end();
    await visitor.says("LINK LOST", 4000);
    await page.keyboard.press("s");
    assert.match(await page.locator(".stop-below").innerText(), /no link/);
    daemon = await Daemon.start(daemon.port);
    robot = new Robot(daemon);
    await visitor.says("STOPPED", 15_000);
    assert.equal((await robot.status()).state, "ESTOP");
    await robot.send("reset_stop");
    await visitor.says("PAUSED");
  },
  "a network with 80 ms each way still drives, and the chip says what it costs": async () => {
    await network({ latency: 160 });
    await page.routeWebSocket(/\/api\/v1\/live/, (socket) => {
      const server = socket.connectToServer();
      socket.onMessage((message) => setTimeout(() => server.send(message), 80));
      server.onMessage((message) => setTimeout(() => socket.send(message), 80));
    });
    await page.reload();
    await visitor.ready();
    await until("the chip shows it", async () => Number((await page.locator(".chip.link .digits").first().innerText())) >= 150);
    assert.equal(await page.locator(".chip.link.fair, .chip.link.bad").count(), 1);
    await drive("ArrowUp");
    await page.keyboard.up("ArrowUp");
    await until("the robot holds", () => robot.holds());
  },
  "a network that swallows everything while somebody drives: the robot holds by itself": async () => {
    let swallow = false;
    await page.unrouteAll();
    await network({});
    await page.routeWebSocket(/\/api\/v1\/live/, (socket) => {
      const server = socket.connectToServer();
      socket.onMessage((message) => swallow || server.send(message));
      server.onMessage((message) => swallow || socket.send(message));
    });
    await page.reload();
    await visitor.ready();
    await drive("ArrowUp");
    swallow = true;
    const cut = Date.now();
    await until("the robot holds", () => robot.holds(), 2000);
    console.log(`    held ${Date.now() - cut} ms after the cut`);
    await visitor.says("LINK LOST", 4000);
    swallow = false;
    await visitor.says("PAUSED", 15_000);
    await staysHeld();
    await page.keyboard.up("ArrowUp");
  },
}, { failed: () => visitor.rest(robot).catch(() => undefined) });

console.log(`waited ${patience} times as long as on an idle computer`);
await browser.close();
await daemon.end();
