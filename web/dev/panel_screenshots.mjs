// Pictures of the panels, over the fake daemon: node dev/panel_screenshots.mjs [FOLDER] [SIZE-COLOURS] [PANEL]
import { spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [folder = "shots", only = "", panel = ""] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const daemon = spawn(process.execPath, ["dev/fake_daemon.mjs", "0"], { stdio: ["ignore", "pipe", "inherit"] });
const base = new URL(await new Promise((ready) => daemon.stdout.once("data", (line) => ready(String(line).trim())))).origin;
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const sizes = { tablet: [1280, 800], phone: [390, 844], desktop: [1920, 1080], upright: [820, 1180] };

const panels = {
  timeline: async (page) => {
    await page.click("#tab-episodes");
    await page.locator(".past .about").filter({ hasText: "by hand" }).first().click();
    await page.waitForSelector(".scrub");
    await wait(400);
    const box = await page.locator(".scrub").boundingBox();
    await page.mouse.click(box.x + box.width * 0.56, box.y + box.height / 2);
    await wait(700);
  },
  "timeline-below": async (page) => page.evaluate(() => document.querySelector(".panel-box")?.scrollTo(0, 9999)),
  live: async (page) => {
    await page.getByRole("button", { name: "All episodes" }).click();
    await page.keyboard.press("b");
    await wait(2500);
    await page.locator(".under-way").click();
    await wait(1600);
  },
  episodes: async (page) => page.getByRole("button", { name: "All episodes" }).click(),
  words: async (page) => {
    await page.click("#tab-words");
    for (const text of ["colour me surprised", "lift the red block", "a bit lower", "open the gripper"]) {
      await page.fill(".words input[type=text]", text);
      await page.keyboard.press("Enter");
      await wait(150);
    }
    await page.locator(".undo").last().click();
    await page.evaluate(() => document.querySelector(".panel-box")?.scrollTo(0, 0));
    await wait(300);
  },
  learning: async (page) => page.click("#tab-progress"),
  "learning-roomy": async (page) => (await page.locator(".roomy:visible").count()) > 0 && page.click(".roomy"),
  "learning-below": async (page) => page.evaluate(() => document.querySelector(".panel-box")?.scrollTo(0, 9999)),
  weights: async (page) => {
    await page.click("#tab-weights");
    await wait(200);
    await page.locator(".version-line").nth(2).click();
  },
  activity: async (page) => page.click("#tab-activity"),
};

try {
  for (const [device, [width, height]] of Object.entries(sizes)) {
    for (const colorScheme of ["light", "dark"]) {
      if (!`${device}-${colorScheme}`.startsWith(only)) continue;
      const context = await browser.newContext({ viewport: { width, height }, colorScheme, hasTouch: device !== "desktop" });
      const page = await context.newPage();
      page.on("console", (line) => ["error", "warning"].includes(line.type()) && console.log(device, line.text()));
      page.on("pageerror", (error) => console.log(device, String(error)));
      await page.goto(`${base}/#token=dev`);
      await page.waitForSelector(".camera[data-age=fresh]");
      for (const [name, show] of Object.entries(panels)) {
        await show(page);
        await wait(300);
        if (name.startsWith(panel)) await page.screenshot({ path: join(folder, `${device}-${colorScheme}-${name}.png`) });
      }
      await context.close();
    }
  }
} finally {
  await browser.close();
  daemon.kill();
}
