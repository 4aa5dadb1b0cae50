// An episode's story on the page: words and what was understood, past episodes, what is learned from,
// and weights. See page.mjs for how to run it. The log needs a past episode with a takeover.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { Robot, Visitor, findDaemon, launch, runTests, until, wait } from "./page.mjs";

const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const daemon = await findDaemon();
const robot = new Robot(daemon);
const browser = await launch();
const visitor = await Visitor.open(browser, daemon, {
  touch: false,
  // What moves about in the panels without anybody having asked for it.
  script: () => {
    window.unasked = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        const moved = entry.sources.map(({ node }) => (node?.nodeType === 1 ? node : node?.parentElement));
        const ours = moved.filter((node) => node?.closest(".side"));
        if (entry.hadRecentInput || ours.length === 0) continue;
        window.unasked.push({ by: entry.value, what: ours.map((node) => node.className).join(", ") });
      }
    }).observe({ type: "layout-shift", buffered: true });
  },
});
const { page } = visitor;
const shot = (name) => visitor.shot(`story-${name}`);
const word = () => visitor.word();

// Lets the policy drive. A computer that is busy with other work may have ended in a fault.
async function start() {
  if (["AUTONOMOUS", "HUMAN"].includes(await word())) return;
  await robot.settle();
  await visitor.says("PAUSED");
  await visitor.press(/Start|Hand back/);
  await until("the policy drives", async () => ["AUTONOMOUS", "HUMAN"].includes(await word()), 15_000, visitor);
}

async function say(text) {
  await page.fill(".words input[type=text]", text);
  await page.keyboard.press("Enter");
  const card = page.locator(".said .newest");
  await until(`an answer to "${text}"`, async () =>
    (await card.locator(".again b").innerText()) === text && (await card.getAttribute("data-state")) !== "sending");
  return card;
}
async function confirm(button, then) {
  await button.click();
  await wait(300);
  await until("the second press counts", async () => {
    if (await then()) return true;
    if (await button.count() > 0) await button.click().catch(() => undefined);
    await wait(400);
    return then();
  });
}
// What of the panels somebody could not use who sees little or nothing.
async function accessible(what) {
  if (!(await page.evaluate(() => "axe" in window))) await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(".side");
    return violations.map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => `${node.target.join(" ")} (${node.any.map((check) => check.message).join("; ")})`).join(", ")}`);
  });
  assert.deepEqual(found, [], `${what} has holes`);
}
const openEpisode = () => page.locator(".past .about").filter({ has: page.locator("b", { hasText: new RegExp(`^Episode ${episode.id}\\b`) }) }).click();
const head = () => page.locator(".timeline-head h2").innerText();
const stepNow = async () => Number(await page.locator(".scrub").getAttribute("aria-valuenow"));
const usesNow = () => page.locator(".uses .use").evaluateAll((all) => all.map((each) => each.dataset.use));

// A past episode with a takeover of some length, which the tests need to split.
let episode;
let span;

const tests = {
  "opens, and there is a past episode with a correction": async () => {
    await visitor.ready();
    const { episodes } = await robot.get("/api/v1/episodes?limit=200");
    const now = (await robot.status()).episode.id;
    for (const row of episodes.filter((each) => each.takeovers > 0 && each.id !== now).reverse()) {
      const full = await robot.get(`/api/v1/episodes/${row.id}`);
      span = full.spans.find((each) => each.kind === "takeover" && each.last_step >= each.first_step + 4);
      if (span === undefined) continue;
      episode = full;
      break;
    }
    assert.ok(episode, "no past episode has a takeover of five steps or more");
  },
  "words that were understood say as what, and can be taken back": async () => {
    await start();
    await page.click("#tab-words");
    const card = await say("a bit lower");
    console.log(`    ${await card.innerText()}`.replaceAll("\n", " | "));
    assert.match(await card.locator(".echo").innerText(), /^Understood as /);
    const undo = card.getByRole("button", { name: /^Undo/ });
    if ((await undo.count()) > 0) {
      await undo.click();
      await until("it is settled", async () => (await card.getAttribute("data-state")) === "undone" || (await undo.count()) === 0);
    }
    const task = await say("lift the red block");
    await task.getByRole("button", { name: /^Undo/ }).click();
    await until("it is taken back", async () => (await task.getAttribute("data-state")) === "undone");
    await shot("words");
  },
  "what opens the gripper waits for a tap": async () => {
    const card = await say("open the gripper");
    await card.getByRole("button", { name: /^Confirm/ }).waitFor();
    await shot("confirm");
    await card.getByRole("button", { name: /^Confirm/ }).click();
    await until("it is confirmed, or refused with a reason", async () =>
      (await card.getByRole("button", { name: /^Confirm/ }).count()) === 0);
    console.log(`    ${await card.innerText()}`.replaceAll("\n", " | "));
  },
  "words that mean nothing to it say so, and what would": async () => {
    const card = await say("turn left 2 cm");
    assert.match(await card.innerText(), /not understood/i);
    assert.match(await card.innerText(), /a bit lower/);
    await accessible("the words");
    await page.keyboard.press("Escape");
  },
  "opens a past episode, with its pictures": async () => {
    await page.click("#tab-episodes");
    await openEpisode();
    await until("its strip is there", async () => (await page.locator(".scrub").count()) === 1);
    assert.match(await head(), new RegExp(`Episode ${episode.id}\\b`));
    if (episode.cameras.length > 0) {
      await until("the pictures of its first step are there", async () =>
        (await page.locator('.pictures figure[data-state="here"]').count()) === episode.cameras.length, 20_000);
    }
    await accessible("the timeline");
  },
  "is moved along with the keyboard and with the pointer": async () => {
    const scrub = page.locator(".scrub");
    await scrub.focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("PageUp");
    await until("it is at step 11", async () => (await stepNow()) === Math.min(11, episode.steps - 1));
    await page.keyboard.press("End");
    await until("it is at the end", async () => (await stepNow()) >= Number(await scrub.getAttribute("aria-valuemax")));
    assert.notEqual(await word(), "YOU DRIVE", "arrow keys on the strip drive no robot");
    const middle = Math.floor((span.first_step + span.last_step) / 2);
    const box = await scrub.boundingBox();
    const steps = 1 + Number(await scrub.getAttribute("aria-valuemax"));
    await page.mouse.move(box.x + 4, box.y + box.height / 2);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * ((middle + 0.5) / steps), box.y + box.height / 2, { steps: 4 });
    await page.mouse.up();
    await until("it is in the correction", async () => (await stepNow()) === middle);
    assert.equal(await page.locator('.facts .now [data-who="human"]').count(), 1);
    assert.match(await page.locator(".motion").innerText(), /wanted/);
    await shot("timeline");
  },
  "plays at the speed at which it happened": async () => {
    await page.locator(".scrub").focus();
    await page.keyboard.press("Home");
    await page.keyboard.press("Enter");
    await until("it moves by itself", async () => (await stepNow()) > 2);
    await page.keyboard.press("Enter");
    const at = await stepNow();
    await wait(400);
    assert.equal(await stepNow(), at);
  },
  "recovery and correction are parted where the person says": async () => {
    const to = span.first_step + 2;
    await page.locator(".go-to").filter({ hasText: `steps ${span.first_step}–` }).click();
    await page.locator(".scrub").focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await until("it is two steps in", async () => (await stepNow()) === to);
    await page.locator('.span-card[data-here="true"] .begins').click();
    await until("the log has it", async () =>
      (await robot.get(`/api/v1/episodes/${episode.id}`)).spans.find((each) => each.id === span.id).correction_from === to);
    await until("the strip shows it", async () => (await usesNow()).includes("recovery"));
    const mark = page.locator(".split-mark").first();
    await mark.focus();
    await page.keyboard.press("ArrowRight");
    await until("the log has the next step", async () =>
      (await robot.get(`/api/v1/episodes/${episode.id}`)).spans.find((each) => each.id === span.id).correction_from === to + 1);
    await visitor.letGo();
    await shot("split");
  },
  "a correction is taken out of training, and put back": async () => {
    const card = page.locator(".span-card").filter({ hasText: `steps ${span.first_step}–` });
    await card.getByRole("button", { name: /: Take out$/ }).click();
    await until("the log has it", async () =>
      (await robot.get(`/api/v1/episodes/${episode.id}`)).spans.find((each) => each.id === span.id).label === "discard");
    await until("the strip shows it", async () => (await usesNow()).includes("taken_out"));
    await card.getByRole("button", { name: /: Put back$/ }).click();
    await until("the log has it again", async () =>
      (await robot.get(`/api/v1/episodes/${episode.id}`)).spans.find((each) => each.id === span.id).label === "none");
    await until("the strip shows it again", async () => !(await usesNow()).includes("taken_out"));
  },
  "the episode is labelled again": async () => {
    const before = episode.outcome;
    const button = page.locator(".below").getByRole("button", { name: "The episode: Failed" });
    const pressed = async () => (await button.getAttribute("aria-pressed")) === "true";
    if (before === "failure") {
      await button.click();
      await until("the label is gone", async () => !(await pressed()));
    }
    await button.click();
    await until("it failed", pressed);
    await until("the log has it", async () => (await robot.get(`/api/v1/episodes/${episode.id}`)).outcome === "failure");
    await button.click();
    await until("it is taken back", async () => !(await pressed()));
  },
  "the episode under way is followed": async () => {
    await page.getByRole("button", { name: "All episodes" }).click();
    await start();
    await page.locator(".under-way").click();
    await until("it follows", async () => (await page.locator('.follow[aria-pressed="true"]').count()) === 1, 15_000);
    const first = await stepNow();
    await until("its newest step moves on, or the next episode has begun", async () =>
      (await stepNow()) > first || !(await head()).includes("under way"), 20_000);
    await shot("live");
    await page.getByRole("button", { name: "All episodes" }).click();
    await accessible("the episodes");
  },
  "learning shows its curves and what it learns from": async () => {
    await page.click("#tab-progress");
    await until("curves are drawn", async () => (await page.locator(".figure canvas").count()) >= 6);
    await page.getByRole("button", { name: "More room for the curves" }).click();
    assert.match(await page.locator(".dataset").innerText(), /correction/);
    await shot("learning");
    await accessible("learning");
    await page.getByRole("button", { name: "More room for the curves" }).click();
  },
  "an engineer promotes a version, and it says where it came from": async () => {
    await page.click("#tab-weights");
    const { live, confirmed, versions } = await robot.get("/api/v1/weights");
    const other = versions.find((each) => each.kind === "full" && each.version !== confirmed && each.state !== "rolled_back");
    if (other === undefined) {
      console.log(`    v${live} acts and is the only one that could`);
      return;
    }
    await page.locator(`.version-line:has(b:text-is("v${other.version}"))`).click();
    await until("its report is there", async () => (await page.locator(".version-more li").count()) > 0);
    console.log(`    ${(await page.locator(".version-more ul").innerText()).replaceAll("\n", " | ")}`);
    await accessible("the weights");
    await confirm(page.getByRole("button", { name: /^(Promote|Again)/ }), async () =>
      (await robot.get("/api/v1/weights")).confirmed === other.version);
    console.log(`    ${await page.locator(".notice").last().innerText().catch(() => "")}`);
    await shot("weights");
  },
  "rolls back in two presses, and says what came of it": async () => {
    await confirm(page.locator(".weights .back"), async () => /stopped acting|still acts|which is confirmed/.test(await page.locator(".result").innerText()));
    console.log(`    ${await page.locator(".result").innerText()}`);
  },
  "STOP works from within the timeline": async () => {
    await page.click("#tab-episodes");
    await openEpisode();
    await page.waitForSelector(".scrub");
    await page.locator(".stop").click();
    await until("it is stopped", async () => (await word()) === "STOPPED");
    await robot.settle();
    await visitor.says("PAUSED");
  },
  "fits a phone": async () => {
    await page.setViewportSize({ width: 390, height: 844 });
    await until("the strip is in sight", async () => {
      const box = await page.locator(".scrub").boundingBox();
      const panel = await page.locator(".panel-box").boundingBox();
      return box !== null && panel !== null && box.x >= 0 && box.x + box.width <= 391 && box.y + box.height <= panel.y + panel.height + 1;
    });
    const wide = await page.evaluate(() => document.querySelector(".panel-box").scrollWidth - document.querySelector(".panel-box").clientWidth);
    assert.ok(wide <= 0, `the panel is ${wide} px too wide`);
    await shot("phone");
    await page.setViewportSize({ width: 1280, height: 800 });
  },
  "targets are large enough for a finger, and text for arm's length": async () => {
    for (const tab of ["progress", "words", "weights", "episodes", "activity"]) {
      await page.click(`#tab-${tab}`);
      await wait(200);
      const small = await page.evaluate(() => {
        const found = [];
        for (const each of document.querySelectorAll(".panel-box *")) {
          const box = each.getBoundingClientRect();
          if (box.width === 0 || each.closest("svg, .unseen") !== null) continue;
          const style = getComputedStyle(each);
          const says = Array.from(each.childNodes).some((node) => node.nodeType === 3 && node.textContent.trim() !== "");
          if (says && each.tagName !== "KBD" && Number.parseFloat(style.fontSize) < 14) found.push(`text ${each.className}: ${style.fontSize}`);
          if (each.matches("button, select, input:not([type=radio]), [role=slider], summary") && (box.height < 43.5 || box.width < 43.5)) {
            found.push(`target ${each.className || each.tagName}: ${Math.round(box.width)} by ${Math.round(box.height)}`);
          }
        }
        return [...new Set(found)];
      });
      assert.deepEqual(small, [], tab);
    }
  },
  "nothing moved about, and the browser had nothing to complain of": async () => {
    const unasked = await page.evaluate(() => window.unasked);
    const by = unasked.reduce((sum, each) => sum + each.by, 0);
    assert.ok(by < 0.05, `layout shift of ${by}: ${JSON.stringify(unasked)}`);
    // The browser itself writes a line for a picture that there is none of.
    assert.deepEqual(visitor.complaints.filter((line) => !/404/.test(line)), []);
  },
};

await runTests(tests, { needed: 1, failed: (count) => shot(`failed-${count}`) });
await browser.close();
await daemon.end();
