// The icons of an installed page, drawn from public/icon.svg: node dev/icons.mjs. Run it when that
// changes; what it makes is kept in public/.
import { readFile, writeFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const svg = await readFile("public/icon.svg", "utf8");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
try {
  // Systems cut a maskable icon to a shape of their own: its ground fills the square, and what counts
  // stays within the inner four fifths.
  for (const [name, size, share, ground] of [["icon-192", 192, 1, "transparent"], ["icon-512", 512, 1, "transparent"], ["icon-maskable", 512, 0.86, "#0b63b0"]]) {
    const page = await browser.newPage({ viewport: { width: size, height: size } });
    const inner = Math.round(size * share);
    await page.setContent(`<body style="margin:0;background:${ground};display:grid;place-items:center;height:100vh">
      <img width="${inner}" height="${inner}" src="data:image/svg+xml;base64,${Buffer.from(svg).toString("base64")}">`);
    await page.waitForTimeout(200);
    await writeFile(`public/${name}.png`, await page.screenshot({ omitBackground: true }));
    await page.close();
  }
} finally {
  await browser.close();
}
