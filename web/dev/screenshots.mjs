// Pictures of the page in its states: node dev/screenshots.mjs FOLDER [WHICH]. Starts a fake daemon.
// WHICH: the beginning of the names of those to take, "tablet-dark" or "phone".
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const folder = process.argv[2] ?? "shots";
const only = process.argv[3] ?? "";
mkdirSync(folder, { recursive: true });
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

async function fake(port, kind) {
  const daemon = spawn(process.execPath, ["dev/fake_daemon.mjs", String(port), kind], { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((ready) => daemon.stdout.once("data", ready));
  const base = `http://127.0.0.1:${port}`;
  return { base, set: (query) => fetch(`${base}/dev/set?${query}`), end: () => daemon.kill() };
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const sizes = {
  tablet: [1280, 800], phone: [390, 844], desktop: [1920, 1080], upright: [820, 1180], sideways: [844, 390],
};
const robot = await fake(8091, "kitchen");
const others = { turning: await fake(8092, "turning"), joints: await fake(8093, "joints") };

async function open(device, colorScheme, base, hash) {
  const [width, height] = sizes[device];
  const context = await browser.newContext({ viewport: { width, height }, colorScheme, hasTouch: device !== "desktop" });
  const page = await context.newPage();
  page.on("console", (line) => ["error", "warning"].includes(line.type()) && console.log(device, line.text()));
  page.on("pageerror", (error) => console.log(device, String(error)));
  await page.goto(`${base}/${hash}`);
  return {
    page, close: () => context.close(),
    shot: (name) => page.screenshot({ path: join(folder, `${device}-${colorScheme}-${name}.png`) }),
  };
}

async function states(device, colorScheme) {
  const { set } = robot;
  await set("holder=&state=HOLD&why=boot&recording=1&learning=idle&trouble=&freeze=0&help=&speed=1");
  const { page, shot, close } = await open(device, colorScheme, robot.base, "#token=dev");
  await page.waitForSelector(".camera[data-age=fresh]");
  await wait(600);
  await shot("hold");
  await page.keyboard.press("b");
  await wait(1500);
  await set("learning=training");
  await wait(300);
  await shot("auto");
  await set("help=The policy is unsure: its samples disagree.");
  await wait(400);
  await shot("help-asked");
  await set("help=&learning=idle");
  await page.keyboard.down("ArrowRight");
  await page.keyboard.down("ArrowUp");
  await wait(900);
  await shot("human");
  await set("asker=Ben");
  await wait(300);
  await shot("asked");
  await page.keyboard.up("ArrowRight");
  await page.keyboard.up("ArrowUp");
  await page.keyboard.press("x");
  await set("holder=Anna&speed=0.5");
  await wait(300);
  await shot("busy");
  await set("holder=&speed=1");
  await set("recording=0&learning=paused&freeze=1");
  await wait(700);
  await page.locator(".stop").dispatchEvent("pointerdown", { button: 0, pointerType: "mouse" });
  await wait(300);
  await shot("stopped");
  await page.keyboard.press("Shift+?");
  await wait(200);
  await shot("help");
  await page.keyboard.press("Escape");
  await set("state=FAULT_HOLD&why=robot_stale&recording=1&learning=idle&fault=The arm said nothing for 0.2 s.");
  await wait(300);
  await shot("fault");
  await set("silent=1");
  await wait(1000);
  await shot("lost");
  await set("silent=0&freeze=0");
  await close();
}

async function panels(device, colorScheme) {
  const { page, shot, close } = await open(device, colorScheme, robot.base, "#token=dev");
  await page.waitForSelector(".camera[data-age=fresh]");
  await page.click("#tab-words");
  await page.fill(".words input[type=text]", "lift the red block gently");
  await page.keyboard.press("Enter");
  for (const tab of ["words", "weights", "episodes", "activity"]) {
    await page.click(`#tab-${tab}`);
    await wait(300);
    await shot(tab);
  }
  await close();
}

try {
  for (const device of Object.keys(sizes)) {
    for (const colorScheme of ["light", "dark"]) {
      const wanted = (name) => `${device}-${colorScheme}-${name}`.startsWith(only) || only.startsWith(`${device}-${colorScheme}`);
      if (!`${device}-${colorScheme}`.startsWith(only)) continue;
      await states(device, colorScheme);
      if (device !== "upright" && device !== "sideways" && wanted("words")) await panels(device, colorScheme);
      for (const [kind, { base }] of Object.entries(others)) {
        if (!["tablet", "phone"].includes(device)) continue;
        const { page, shot, close } = await open(device, colorScheme, base, "#token=dev");
        await page.waitForSelector(".camera[data-age=fresh]");
        await page.keyboard.press("b");
        await wait(1200);
        await shot(kind);
        await close();
      }
      for (const [name, hash] of [["door", ""], ["pairing", "#pair=K7QF-2M9X"], ["refused", "#token=nobody"], ["viewer", "#token=view"]]) {
        if (!["tablet", "phone"].includes(device)) continue;
        const { shot, close } = await open(device, colorScheme, robot.base, hash);
        await wait(1200);
        await shot(name);
        await close();
      }
    }
  }
} finally {
  await browser.close();
  robot.end();
  Object.values(others).forEach((other) => other.end());
}
