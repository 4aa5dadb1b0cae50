// What the page looks like to everybody: no barrier that axe finds, nothing that moves about, STOP
// where it was, at all sizes, in both themes and in several states. See page.mjs for how to run it.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { Robot, Visitor, findDaemon, launch, runTests, until, wait } from "./page.mjs";

const axeSource = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const daemon = await findDaemon();
const robot = new Robot(daemon);
const browser = await launch();

// Injected by the debugger, which the page's content security policy does not hold up.
async function barriers(visitor, name) {
  await wait(1700); // a button that has just changed its meaning fades in
  await visitor.page.evaluate(axeSource);
  const found = await visitor.page.evaluate(async () => {
    const { violations } = await window.axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return violations.map(({ id, help, nodes }) => ({ id, help, nodes: nodes.map((node) => `${node.target} ${node.any[0]?.message ?? ""}`).slice(0, 4) }));
  });
  await visitor.shot(name);
  assert.deepEqual(found, [], `${name}: ${JSON.stringify(found, undefined, 2)}`);
}

// Between the page and the daemon: adds to each status what this daemon does not claim by itself.
async function pretend(visitor, change) {
  await visitor.page.routeWebSocket(/\/api\/v1\/live/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => {
      if (typeof message === "string" && message.includes('"type":"status"')) {
        socket.send(JSON.stringify({ ...JSON.parse(message), ...change }));
      } else socket.send(message);
    });
  });
  await visitor.page.reload();
  await visitor.ready();
}

const sizes = { tablet: [1280, 800], phone: [390, 844], desktop: [1920, 1080] };
const tests = {};
for (const [device, size] of Object.entries(sizes)) {
  for (const colorScheme of ["light", "dark"]) {
    const open = (more = {}) => Visitor.open(browser, daemon, { size, touch: device !== "desktop", options: { colorScheme, reducedMotion: "reduce" }, ...more });
    const name = (state) => `${device}-${colorScheme}-${state}`;
    tests[`${device}, ${colorScheme}: no barrier while it holds, drives, is driven and is stopped`] = async () => {
      await robot.settle();
      const visitor = await open();
      await visitor.ready();
      await visitor.says("PAUSED");
      const before = await visitor.centre(".stop");
      await barriers(visitor, name("paused"));
      await robot.send("hand_back");
      await visitor.says("AUTONOMOUS");
      await barriers(visitor, name("autonomous"));
      await visitor.letGo();
      await visitor.page.keyboard.down("Space");
      await visitor.says("YOU DRIVE");
      await visitor.shot(name("human"));
      await visitor.page.keyboard.up("Space");
      await visitor.says("PAUSED");
      await visitor.page.keyboard.press("s");
      await visitor.says("STOPPED");
      await barriers(visitor, name("stopped"));
      await robot.send("reset_stop");
      await visitor.says("PAUSED");
      assert.deepEqual(await visitor.centre(".stop"), before, "STOP has not moved");
      await visitor.calm();
      await visitor.close();
    };
    tests[`${device}, ${colorScheme}: no barrier in each panel`] = async () => {
      const visitor = await open();
      await visitor.ready();
      for (const tab of ["progress", "words", "weights", "episodes", "activity"]) {
        await visitor.page.click(`#tab-${tab}`);
        await wait(300);
        await barriers(visitor, name(tab));
      }
      await visitor.letGo();
      await visitor.page.keyboard.press("?");
      await visitor.page.waitForSelector(".help");
      await barriers(visitor, name("help"));
      await visitor.close();
    };
    tests[`${device}, ${colorScheme}: no barrier when it is not recording, learning is paused and the robot asks for help`] = async () => {
      await robot.settle();
      const visitor = await open();
      await visitor.ready();
      await pretend(visitor, {
        recording: false, learning: { state: "paused", detail: "Two versions were rolled back.", round: "", done: 0, total: 0 },
        help: { id: 12, why: "The policy is unsure: its samples disagree.", reason: "disagreement", score: 0.8, since_s: 1.3 },
        uncertainty: 0.8, speed: 0.5,
      });
      await visitor.page.waitForSelector(".plea");
      assert.match(await visitor.page.locator(".banners").innerText(), /NOT RECORDING[\s\S]*LEARNING PAUSED/);
      await barriers(visitor, name("troubled"));
      await visitor.close();
    };
    tests[`${device}, ${colorScheme}: no barrier at the door`] = async () => {
      const visitor = await open({ hash: "" });
      await visitor.page.waitForSelector(".door");
      await barriers(visitor, name("door"));
      await visitor.close();
    };
  }
}
tests["the switch of colours is kept over a reload, whatever the device prefers"] = async () => {
  const visitor = await Visitor.open(browser, daemon, { options: { colorScheme: "dark" } });
  await visitor.ready();
  const theme = () => visitor.page.evaluate(() => document.documentElement.dataset.theme);
  assert.equal(await theme(), "dark");
  await visitor.page.click(".chip.theme");
  assert.equal(await theme(), "light");
  await visitor.page.reload();
  await visitor.ready();
  assert.equal(await theme(), "light");
  await visitor.close();
};
tests["every control has a name, and the tab key reaches each"] = async () => {
  const visitor = await Visitor.open(browser, daemon, { touch: false });
  await visitor.ready();
  const names = await visitor.page.evaluate(() => [...document.querySelectorAll("button, input, [role=tab]")]
    .filter((each) => each.offsetParent !== null && !each.disabled)
    .map((each) => (each.ariaLabel ?? each.textContent ?? each.labels?.[0]?.textContent ?? "").trim() || each.labels?.[0]?.textContent || each.outerHTML));
  assert.deepEqual(names.filter((each) => each.startsWith("<")), []);
  const reached = new Set();
  for (let press = 0; press < 60; press += 1) {
    await visitor.page.keyboard.press("Tab");
    reached.add(await visitor.page.evaluate(() => document.activeElement?.className));
  }
  assert.ok([...reached].some((each) => /\bstop\b/.test(each)), [...reached].join(", "));
  await visitor.close();
};
tests["a browser may install it"] = async () => {
  const visitor = await Visitor.open(browser, daemon);
  await visitor.ready();
  await until("the manifest is read", async () => {
    const { url, errors, data } = await visitor.devtools.send("Page.getAppManifest");
    assert.deepEqual(errors, []);
    return url !== "" && data !== undefined;
  });
  const { installabilityErrors } = await visitor.devtools.send("Page.getInstallabilityErrors");
  // A test's window is like a private one.
  assert.deepEqual(installabilityErrors.filter((each) => each.errorId !== "in-incognito"), []);
  await visitor.close();
};

await runTests(tests, { failed: () => robot.settle() });
await browser.close();
await daemon.end();
