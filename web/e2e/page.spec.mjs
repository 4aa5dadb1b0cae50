// The page against a running daemon, in a real browser, the way a person uses it.
//
//   NUDGE_BASE=http://127.0.0.1:8080 NUDGE_TOKEN=... [NUDGE_SHOTS=folder] [CHROMIUM=...] \
//     node e2e/page.spec.mjs
//
// NUDGE_PATIENCE=3 waits three times as long for everything, on a busy computer. Driving itself needs
// a browser that gets a turn every 0.2 s.
//
// The token is an engineer's. Nobody else drives meanwhile, but a program that yields to people may.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const base = process.env.NUDGE_BASE;
const token = process.env.NUDGE_TOKEN;
const shots = process.env.NUDGE_SHOTS;
const patience = Number(process.env.NUDGE_PATIENCE ?? 1); // of a computer that is busy with other work
if (!base || !token) {
  console.error("NUDGE_BASE and NUDGE_TOKEN say which daemon to test");
  process.exit(64);
}
if (shots) mkdirSync(shots, { recursive: true });

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, hasTouch: true });
context.setDefaultTimeout(15_000 * patience);
const page = await context.newPage();
const complaints = [];
const listen = (to) => {
  to.on("pageerror", (error) => complaints.push(String(error)));
  to.on("console", (line) => line.type() === "error" && complaints.push(line.text()));
};
listen(page);
await page.addInitScript(() => {
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shifted += entry.value;
  }).observe({ type: "layout-shift", buffered: true });
});

const word = (of = page) => of.locator(".state h1").innerText();
const status = async () => {
  const answer = await fetch(`${base}/api/v1/status`, { headers: { authorization: `Bearer ${token}` } });
  return answer.json();
};
const shot = async (name) => {
  // A picture that cannot be taken fails no test.
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) }).catch(() => undefined);
};
async function until(what, check, ms = 8000) {
  const end = Date.now() + patience * ms;
  for (;;) {
    if (await check()) return;
    if (Date.now() > end) assert.fail(`${what}: not within ${patience * ms} ms; the page says "${await word()}"`);
    await new Promise((done) => setTimeout(done, 50));
  }
}
const says = (wanted, ms) => until(`says ${wanted}`, async () => (await word()) === wanted, ms);
const letGo = () => page.evaluate(() => document.activeElement?.blur());
const noticed = () => page.locator(".notice").last();

// Touches as a finger makes them.
const devtools = await context.newCDPSession(page);
const touch = (type, points) => devtools.send("Input.dispatchTouchEvent", {
  type, touchPoints: points.map(([x, y, id]) => ({ x, y, id })),
});
async function press(name) {
  await new Promise((done) => setTimeout(done, 1200)); // it ignores taps meant for what stood there before
  await page.getByRole("button", { name }).click();
}
async function centre(selector) {
  const box = await page.locator(selector).boundingBox();
  assert.ok(box, `${selector} is on the page`);
  return [box.x + box.width / 2, box.y + box.height / 2];
}

const tests = {
  "opens with the token, and takes it out of the address": async () => {
    await page.goto(`${base}/#token=${token}`);
    await page.waitForSelector(".chip.link.good, .chip.link.fair", { timeout: 20_000 * patience });
    assert.equal(new URL(page.url()).hash, "");
  },
  "shows every camera with a fresh picture": async () => {
    const { cameras } = await (await fetch(`${base}/api/v1/robot`, { headers: { authorization: `Bearer ${token}` } })).json();
    assert.ok(cameras.length > 0);
    await until("fresh pictures", async () =>
      (await page.locator('.camera[data-age="fresh"]').count()) === cameras.length, 20_000);
  },
  "says why the robot holds, and starts it": async () => {
    await says("PAUSED");
    assert.ok((await page.locator(".state p").innerText()).length > 0);
    await shot("hold");
    await press("Start");
    await until("the policy drives", async () => ["AUTONOMOUS", "HUMAN"].includes(await word()));
    await shot("autonomous");
  },
  "takes over while a key is held, and holds when it is lifted": async () => {
    await letGo();
    await page.keyboard.down("ArrowUp");
    await says("YOU DRIVE");
    await until("the robot moves", async () => (await status()).executed.some((value) => Math.abs(value) > 0.05));
    assert.equal((await status()).source, "human");
    await shot("human");
    await page.keyboard.up("ArrowUp");
    await says("PAUSED");
    await until("the robot rests", async () => (await status()).executed.every((value) => Math.abs(value) < 1e-3));
  },
  "Space is the dead-man alone, and never presses the button that has the focus": async () => {
    await page.getByRole("button", { name: "Hand back" }).focus();
    await page.keyboard.down("Space");
    await says("YOU DRIVE");
    await page.keyboard.up("Space");
    await says("PAUSED");
    await new Promise((done) => setTimeout(done, 500));
    assert.equal(await word(), "PAUSED");
    await letGo();
  },
  "two thumbs drive; lifting both holds": async () => {
    const [leftX, leftY] = await centre(".stick.both .zone");
    const [rightX, rightY] = await centre(".stick.vertical .zone");
    await touch("touchStart", [[leftX, leftY, 1]]);
    await says("YOU DRIVE");
    await touch("touchStart", [[leftX, leftY, 1], [rightX, rightY, 2]]);
    await touch("touchMove", [[leftX + 30, leftY, 1], [rightX, rightY - 30, 2]]);
    const names = (await (await fetch(`${base}/api/v1/robot`, { headers: { authorization: `Bearer ${token}` } })).json()).action.map((each) => each.name);
    await until("both sticks count", async () => {
      const { requested } = await status();
      return Math.abs(requested[names.indexOf("tool_y")] ?? 0) > 0.02 && (requested[names.indexOf("tool_z")] ?? 0) > 0.02;
    });
    await touch("touchEnd", [[rightX, rightY - 30, 2]]);
    await touch("touchEnd", []);
    await says("PAUSED");
  },
  "a touch that the browser takes away releases": async () => {
    const [x, y] = await centre(".stick.both .zone");
    await touch("touchStart", [[x, y, 1]]);
    await says("YOU DRIVE");
    await touch("touchCancel", []);
    await says("PAUSED");
  },
  "a window that loses the focus releases": async () => {
    await page.keyboard.down("KeyR");
    await says("YOU DRIVE");
    await page.evaluate(() => window.dispatchEvent(new Event("blur")));
    await says("PAUSED");
    await page.keyboard.up("KeyR");
  },
  "somebody else sees who drives": async () => {
    const other = await context.newPage();
    listen(other);
    await other.goto(`${base}/#token=${token}`);
    await other.waitForSelector(".camera");
    await page.bringToFront();
    await page.keyboard.down("Space");
    await says("YOU DRIVE");
    await until("the other page says so", async () => (await word(other)) === "HUMAN");
    await other.locator(".stick.both .zone").dispatchEvent("pointerdown", { pointerId: 9, pointerType: "touch", isPrimary: true });
    await until("the other page is told", async () => /busy/i.test(await other.locator(".notices").innerText()));
    assert.equal(await word(), "YOU DRIVE");
    await page.keyboard.up("Space");
    await other.close();
    await says("PAUSED");
  },
  "hands back deliberately": async () => {
    await press("Hand back");
    await until("the policy drives", async () => ["AUTONOMOUS", "HUMAN"].includes(await word()));
  },
  "a second tap, meant for Hold, does not start the robot": async () => {
    const [x, y] = await centre(".band .primary");
    await page.mouse.click(x, y);
    await says("PAUSED");
    await page.mouse.click(x, y);
    await new Promise((done) => setTimeout(done, 500));
    assert.equal(await word(), "PAUSED");
    await press("Start");
    await until("the policy drives", async () => ["AUTONOMOUS", "HUMAN"].includes(await word()));
  },
  "labels the newest episode, and an earlier one": async () => {
    await page.getByRole("button", { name: "Worked" }).click();
    await noticed().waitFor();
    console.log(`    ${await noticed().innerText()}`);
    await page.click("#tab-episodes");
    const rows = page.locator(".past");
    if ((await rows.count()) > 0) {
      await rows.last().getByRole("button", { name: /: failed/ }).click();
      await until("the row shows it", async () => (await rows.last().getAttribute("data-outcome")) === "failure");
      await rows.last().getByRole("button", { name: /: failed/ }).click();
    }
    await shot("episodes");
  },
  "takes the last three seconds back": async () => {
    await letGo();
    await page.keyboard.press("u");
    await noticed().waitFor();
  },
  "stores words, and shows what was understood": async () => {
    await page.click("#tab-words");
    await page.fill(".words input[type=text]", "slowly towards the sink");
    await page.keyboard.press("Enter");
    await page.waitForSelector('.said [data-state="stored"] .echo');
    console.log(`    ${await page.locator(".echo").first().innerText()}`);
    assert.notEqual(await word(), "STOPPED", "an s that is typed is no STOP");
    await shot("words");
    await page.keyboard.press("Escape");
  },
  "rolls back after two presses, or says why not": async () => {
    await page.click("#tab-weights");
    const button = page.locator(".weights .confirm").first();
    // Whether a correction has become weights by now is the learner's pace.
    if (await button.isDisabled()) {
      const why = await page.locator(".weights .result").innerText();
      assert.match(why, /What acts is confirmed/);
      console.log(`    ${why}`);
      await shot("weights");
      return;
    }
    await button.click();
    await new Promise((done) => setTimeout(done, 300));
    assert.equal(await page.locator(".notice").count(), 0, "one press does nothing");
    // On a busy computer the second press may come too late, and be a first one again.
    await until("the second press counts", async () => {
      if ((await page.locator(".notice").count()) > 0) return true;
      await button.click();
      return false;
    });
    await noticed().waitFor();
    console.log(`    ${await noticed().innerText()}`);
    await shot("weights");
  },
  "STOP works beside the help, and is reset in two presses": async () => {
    await letGo();
    await page.keyboard.press("?");
    await page.waitForSelector(".help");
    await page.locator(".stop").click();
    await says("STOPPED", 2000);
    await shot("stopped");
    await page.keyboard.press("Escape");
    assert.equal(await page.getByRole("button", { name: "Start" }).count(), 0);
    const reset = page.locator(".band .confirm");
    await reset.click();
    await new Promise((done) => setTimeout(done, 300));
    assert.equal(await word(), "STOPPED");
    await reset.click();
    await says("PAUSED");
  },
  "the key S stops, also from a text box with Ctrl": async () => {
    await letGo();
    for (const [key, from] of [["s", undefined], ["Control+s", ".words input[type=text]"]]) {
      if (from) {
        await page.click("#tab-words");
        await page.focus(from);
      }
      await page.keyboard.press(key);
      await says("STOPPED", 2000);
      const reset = page.locator(".band .confirm");
      await reset.click();
      await new Promise((done) => setTimeout(done, 300));
      await reset.click();
      await says("PAUSED");
      await letGo();
    }
  },
  "survives a reload without the address's token": async () => {
    await page.reload();
    await page.waitForSelector('.camera[data-age="fresh"]', { timeout: 20_000 * patience });
  },
  "nothing moved about, and the browser had nothing to complain of": async () => {
    const shifted = await page.evaluate(() => window.shifted);
    assert.ok(shifted < 0.05, `layout shift of ${shifted}`);
    assert.deepEqual(complaints, []);
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  const began = Date.now();
  try {
    await test();
    console.log(`ok      ${name} (${Date.now() - began} ms)`);
    // Notices of one test must not answer for the next.
    await until("notices go", async () => (await page.locator(".notice").count()) === 0, 12_000);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n        ${String(error.message).split("\n").join("\n        ")}`);
    await shot(`failed-${failed}`);
    for (const key of ["ArrowUp", "Space", "KeyR"]) await page.keyboard.up(key).catch(() => undefined);
    await touch("touchCancel", []).catch(() => undefined);
  }
}
await browser.close();
console.log(failed === 0 ? `all ${Object.keys(tests).length} passed` : `${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
