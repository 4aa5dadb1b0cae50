// What the tests of the page share: a browser, a daemon, fingers, and waiting.
//
//   NUDGE_BASE=http://127.0.0.1:8080 NUDGE_TOKEN=... node e2e/drive.spec.mjs      a daemon that runs
//   NUDGE_PROGRAM=build/release/nudge NUDGE_STATE=folder node e2e/link.spec.mjs   one of its own
//
// The token is an engineer's. Nobody else drives meanwhile, but a program that yields to people may.
// NUDGE_SHOTS=folder keeps pictures. NUDGE_PATIENCE=3 waits three times as long for everything, on a
// busy computer; driving itself needs a browser that gets a turn every 0.2 s. NUDGE_ONLY=text runs the
// tests whose names have it, after those that are marked as needed.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const shots = process.env.NUDGE_SHOTS;
export const patience = Number(process.env.NUDGE_PATIENCE ?? 1);
if (shots) mkdirSync(shots, { recursive: true });

export const wait = (ms) => new Promise((done) => setTimeout(done, ms));

// Timers of the daemon that a computer which is busy with other work needs.
const patient = ["authority.watchdog_ms=800", "authority.fresh_ms=500", "ports.teleop=0", "learner.nice=0", "sim.cameras=true"];

export class Daemon {
  static async start(port = 0) {
    const daemon = new Daemon();
    daemon.process = spawn(process.env.NUDGE_PROGRAM, [
      "run", "--state", process.env.NUDGE_STATE, ...[...patient, `ports.http=${port}`].flatMap((each) => ["--set", each]),
    ], { stdio: ["ignore", "pipe", "inherit"] });
    // However this ends, nothing is left behind.
    process.once("exit", () => daemon.process.kill("SIGKILL"));
    const [line] = await once(createInterface({ input: daemon.process.stdout }), "line");
    const address = new URL(line.trim());
    daemon.base = address.origin;
    daemon.port = Number(address.port);
    daemon.token = new URLSearchParams(address.hash.slice(1)).get("token");
    return daemon;
  }

  async end(signal = "SIGTERM") {
    const gone = once(this.process, "exit");
    this.process.kill(signal);
    await gone;
  }
}

// `own`: the test ends its daemon and starts another.
export async function findDaemon(own = false) {
  const { NUDGE_BASE, NUDGE_TOKEN, NUDGE_PROGRAM, NUDGE_STATE } = process.env;
  if (NUDGE_BASE && NUDGE_TOKEN && !own) return { base: NUDGE_BASE, token: NUDGE_TOKEN, end: async () => undefined };
  if (NUDGE_PROGRAM && NUDGE_STATE) return Daemon.start();
  console.error(own ? "NUDGE_PROGRAM and NUDGE_STATE say what to start"
    : "NUDGE_BASE and NUDGE_TOKEN say which daemon to test; or NUDGE_PROGRAM and NUDGE_STATE what to start");
  return process.exit(64);
}

export class Robot {
  constructor(daemon) {
    this.daemon = daemon;
  }

  async get(path) {
    const answer = await fetch(`${this.daemon.base}${path}`, { headers: { authorization: `Bearer ${this.daemon.token}` } });
    return answer.json();
  }

  status() {
    return this.get("/api/v1/status");
  }

  async moves() {
    const { executed, source } = await this.status();
    return source === "human" && executed.some((value) => Math.abs(value) > 0.05);
  }

  // The robot holds, by the daemon's own word: nobody moves it, and nothing is asked of its motors.
  async holds() {
    const { state, source, executed } = await this.status();
    return ["HOLD", "ESTOP", "FAULT_HOLD"].includes(state) && source === "hold" &&
      executed.every((value) => Math.abs(value) < 1e-3);
  }

  // The robot holds, whatever the test before left behind; a busy computer may have stalled it.
  async settle() {
    const { state } = await this.status();
    if (state === "ESTOP") await this.send("reset_stop");
    else if (state === "FAULT_HOLD") await this.send("reset_fault");
    else if (state !== "HOLD") await this.send("hold");
    await until("the robot holds", () => this.holds());
  }

  async send(type, fields = {}) {
    const answer = await fetch(`${this.daemon.base}/api/v1/feedback`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.daemon.token}`, "content-type": "application/json" },
      body: JSON.stringify({ type, id: `spec-${Date.now()}-${Math.random().toString(36).slice(2)}`, ...fields }),
    });
    return answer.json();
  }
}

export const launch = () => chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"],
});

// One page, and what a person does with it.
export class Visitor {
  static async open(browser, daemon, { size = [1280, 800], touch = true, hash, options = {}, script, before } = {}) {
    const visitor = new Visitor();
    visitor.context = await browser.newContext({ viewport: { width: size[0], height: size[1] }, hasTouch: touch, ...options });
    visitor.context.setDefaultTimeout(15_000 * patience);
    const page = visitor.page = await visitor.context.newPage();
    visitor.complaints = [];
    page.on("pageerror", (error) => visitor.complaints.push(String(error)));
    page.on("console", (line) => line.type() === "error" && visitor.complaints.push(line.text()));
    visitor.devtools = await visitor.context.newCDPSession(page);
    await page.addInitScript(() => {
      window.shifted = 0;
      window.shifts = []; // what moved, where an assertion fails
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) {
          window.shifted += entry.value;
          for (const { node, previousRect: from, currentRect: to } of entry.sources) {
            window.shifts.push(`${node?.className || node?.nodeName}: ${[from.x, from.y, from.width, from.height]} to ${[to.x, to.y, to.width, to.height]}`);
          }
        }
      }).observe({ type: "layout-shift", buffered: true });
    });
    if (script) await page.addInitScript(script);
    if (before) await before(page);
    await page.goto(`${daemon.base}/${hash ?? `#token=${daemon.token}`}`);
    return visitor;
  }

  word() {
    return this.page.locator(".state h1").innerText();
  }

  says(wanted, ms) {
    return until(`says ${wanted}`, async () => (await this.word()) === wanted, ms, this);
  }

  async ready() {
    await this.page.waitForSelector('.camera[data-age="fresh"]', { timeout: 20_000 * patience });
  }

  async shot(name) {
    // A picture that cannot be taken fails no test.
    if (shots) await this.page.screenshot({ path: join(shots, `${name}.png`) }).catch(() => undefined);
  }

  letGo() {
    return this.page.evaluate(() => document.activeElement?.blur());
  }

  noticed() {
    return this.page.locator(".notice").last();
  }

  // Touches as a finger makes them; each point: x, y, finger.
  touch(type, points) {
    return this.devtools.send("Input.dispatchTouchEvent", {
      type, touchPoints: points.map(([x, y, id]) => ({ x, y, id })),
    });
  }

  async press(name) {
    await wait(1200); // it ignores taps meant for what stood there before
    await this.page.getByRole("button", { name }).first().click();
  }

  async centre(selector) {
    const box = await this.page.locator(selector).boundingBox();
    assert.ok(box, `${selector} is on the page`);
    return [box.x + box.width / 2, box.y + box.height / 2];
  }

  // Nothing has moved about, and the browser had nothing to complain of.
  async calm() {
    const { shifted, shifts } = await this.page.evaluate(() => ({ shifted: window.shifted, shifts: window.shifts }));
    assert.ok(shifted < 0.05, `layout shift of ${shifted}: ${shifts.join("; ")}`);
    assert.deepEqual(this.complaints, []);
  }

  // Nobody holds anything and the robot holds.
  async rest(robot) {
    for (const key of ["ArrowUp", "ArrowLeft", "Space", "KeyR"]) await this.page.keyboard.up(key).catch(() => undefined);
    await this.touch("touchCancel", []).catch(() => undefined);
    await robot.send("hold");
  }

  // Drives until the robot moves. A browser that gets no turn for longer than commands are fresh loses
  // control, as it must: then the hands are lifted and it is tried again.
  async drive(robot, press, lift, moving = () => robot.moves()) {
    for (let attempt = 1; attempt <= 5; attempt += 1) {
      await press();
      const end = Date.now() + 6000 * patience;
      const begun = Date.now() + 1500;
      while (Date.now() < end) {
        if (await moving()) return;
        if (Date.now() > begun && (await robot.status()).state === "HOLD") break;
        await wait(30);
      }
      console.log(`    control was lost before the robot moved (${(await robot.status()).why}); trying again`);
      await lift();
      await robot.settle();
    }
    assert.fail(`the robot does not move; the page says "${await this.word()}"`);
  }

  close() {
    return this.context.close();
  }
}

export async function until(what, check, ms = 8000, visitor = undefined) {
  const end = Date.now() + patience * ms;
  for (;;) {
    if (await check()) return;
    if (Date.now() > end) {
      const says = visitor === undefined ? "" : `; the page says "${await visitor.word().catch(() => "nothing")}"`;
      assert.fail(`${what}: not within ${patience * ms} ms${says}`);
    }
    await wait(40);
  }
}

// `tests`: names, which are sentences, and functions. `needed`: how many of the first always run.
export async function runTests(tests, { needed = 0, before = async () => undefined, failed = async () => undefined } = {}) {
  const only = process.env.NUDGE_ONLY ?? "";
  let failures = 0;
  let ran = 0;
  for (const [index, [name, test]] of Object.entries(tests).entries()) {
    if (index >= needed && !name.includes(only)) continue;
    const began = Date.now();
    ran += 1;
    try {
      await before();
      await test();
      console.log(`ok      ${name} (${Date.now() - began} ms)`);
    } catch (error) {
      failures += 1;
      console.log(`FAILED  ${name}\n        ${String(error.message).split("\n").join("\n        ")}`);
      await failed(failures);
    }
  }
  console.log(failures === 0 ? `all ${ran} passed` : `${failures} of ${ran} failed`);
  process.exitCode = failures === 0 ? 0 : 1;
}
