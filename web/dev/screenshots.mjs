// Pictures of the page in its states: node dev/screenshots.mjs FOLDER [BASE]. Starts the fake daemon
// where no base is given.
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const folder = process.argv[2] ?? "shots";
const only = process.argv[3];
const base = "http://127.0.0.1:8091";
mkdirSync(folder, { recursive: true });
const daemon = spawn(process.execPath, ["dev/fake_daemon.mjs", "8091"], { stdio: ["ignore", "pipe", "inherit"] });
await new Promise((ready) => daemon.stdout.once("data", ready));
const set = (query) => fetch(`${base}/dev/set?${query}`);
const wait = (ms) => new Promise((done) => setTimeout(done, ms));

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const sizes = {
  tablet: [1280, 800], phone: [390, 844], desktop: [1920, 1080], upright: [820, 1180], sideways: [844, 390],
};
try {
  for (const [device, [width, height]] of Object.entries(sizes)) {
    for (const colorScheme of ["light", "dark"]) {
      if (only && !`${device}-${colorScheme}`.startsWith(only)) continue;
      const context = await browser.newContext({ viewport: { width, height }, colorScheme, hasTouch: device !== "desktop" });
      const page = await context.newPage();
      page.on("console", (line) => ["error", "warning"].includes(line.type()) && console.log(device, line.text()));
      page.on("pageerror", (error) => console.log(device, String(error)));
      const shot = (name) => page.screenshot({ path: join(folder, `${device}-${colorScheme}-${name}.png`) });
      const tab = (name) => page.click(`#tab-${name}`);
      await set("state=HOLD&why=boot&recording=1&learning=idle&trouble=&freeze=0");
      await page.goto(`${base}/#token=dev`);
      await page.waitForSelector(".camera[data-age=fresh]");
      await wait(600);
      await shot("hold");
      await page.keyboard.press("b");
      await wait(1500);
      await shot("auto");
      await page.keyboard.down("ArrowRight");
      await page.keyboard.down("ArrowUp");
      await wait(900);
      await shot("human");
      await page.keyboard.up("ArrowRight");
      await page.keyboard.up("ArrowUp");
      if (["tablet", "phone", "desktop"].includes(device) && (colorScheme === "dark" || device === "phone")) {
        await tab("words");
        await page.fill(".words input[type=text]", "lift the red block gently");
        await page.keyboard.press("Enter");
        await wait(400);
        await shot("words");
        await set("learning=training");
        await tab("weights");
        await wait(300);
        await shot("weights");
        await tab("episodes");
        await wait(200);
        await shot("episodes");
        await tab("activity");
        await wait(200);
        await shot("activity");
        await tab(device === "phone" ? "drive" : "progress");
        await set("recording=0&learning=paused&freeze=1");
        await wait(700);
        await page.locator(".stop").dispatchEvent("pointerdown", { button: 0, pointerType: "mouse" });
        await wait(300);
        await shot("stopped");
        await page.keyboard.press("Shift+?");
        await wait(200);
        await shot("help");
        await page.keyboard.press("Escape");
        await set("state=FAULT_HOLD&why=robot_stale&recording=1&learning=idle");
        await wait(300);
        await shot("fault");
        await set("silent=1");
        await wait(1000);
        await shot("lost");
        await set("silent=0");
      }
      await context.close();
      if (device === "tablet") {
        const visitor = await browser.newContext({ viewport: { width, height }, colorScheme });
        const stranger = await visitor.newPage();
        await stranger.goto(`${base}/`);
        await wait(400);
        await stranger.screenshot({ path: join(folder, `${device}-${colorScheme}-door.png`) });
        await stranger.goto(`${base}/#token=nobody`);
        await wait(1500);
        await stranger.screenshot({ path: join(folder, `${device}-${colorScheme}-refused.png`) });
        await stranger.goto(`${base}/#token=view`);
        await wait(2500);
        await stranger.screenshot({ path: join(folder, `${device}-${colorScheme}-viewer.png`) });
        await visitor.close();
      }
    }
  }
} finally {
  await browser.close();
  daemon.kill();
}
