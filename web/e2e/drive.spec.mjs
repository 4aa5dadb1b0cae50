// Driving and letting go, in every way there is: each time the daemon itself says that the robot moves,
// and that it holds. See page.mjs for how to run it.
import assert from "node:assert/strict";
import { Robot, Visitor, findDaemon, launch, runTests, until, wait } from "./page.mjs";

const daemon = await findDaemon();
const robot = new Robot(daemon);
const browser = await launch();

// A gamepad that a test holds in its hand.
const fakePad = () => {
  const pads = [null, null, null, null];
  window.pad = {
    plug: (down = []) => {
      pads[0] = {
        id: "Test pad (STANDARD GAMEPAD)", index: 0, connected: true, mapping: "standard", timestamp: 0, axes: [0, 0, 0, 0],
        buttons: Array.from({ length: 17 }, (_, at) => ({ pressed: down.includes(at), touched: false, value: down.includes(at) ? 1 : 0 })),
      };
      window.dispatchEvent(new Event("gamepadconnected"));
    },
    unplug: () => {
      pads[0] = null;
      window.dispatchEvent(new Event("gamepaddisconnected"));
    },
    button: (at, pressed) => Object.assign(pads[0].buttons[at], { pressed, value: pressed ? 1 : 0 }),
    axes: (...values) => (pads[0].axes = values),
  };
  Object.defineProperty(navigator, "getGamepads", { value: () => pads });
  Object.defineProperty(document, "visibilityState", { get: () => (window.pretendHidden ? "hidden" : "visible") });
};

const visitor = await Visitor.open(browser, daemon, { script: fakePad });
const { page } = visitor;
await visitor.ready();

async function holds() {
  await until("the robot holds", () => robot.holds(), undefined, visitor);
  await visitor.says("PAUSED");
}
// The robot goes on holding, whatever is still pressed.
async function staysHeld() {
  for (let look = 0; look < 6; look += 1) {
    await wait(100);
    assert.ok(await robot.holds(), JSON.stringify(await robot.status()));
  }
}
const pad = (what, ...values) => page.evaluate(([name, given]) => window.pad[name](...given), [what, values]);
const padDrives = () => visitor.drive(robot, async () => {
  await pad("button", 5, true);
  await pad("axes", 1, 0, 0, 0);
}, () => pad("button", 5, false));
async function thumbDrives() {
  const [x, y] = await visitor.centre('[data-hand="plane"] .zone');
  await visitor.drive(robot, async () => {
    await visitor.touch("touchStart", [[x, y, 1]]);
    await visitor.touch("touchMove", [[x + 60, y, 1]]);
  }, () => visitor.touch("touchEnd", []));
  return [x, y];
}
async function keyDrives(key, moving) {
  await visitor.letGo();
  await visitor.drive(robot, () => page.keyboard.down(key), () => page.keyboard.up(key), moving);
}

await runTests({
  "a thumb on a stick drives, and holds when it is lifted": async () => {
    await thumbDrives();
    await visitor.shot("driven-by-thumb");
    await visitor.touch("touchEnd", []);
    await holds();
  },
  "a touch alone moves nothing: the stick's centre is where the thumb lands": async () => {
    const box = await page.locator('[data-hand="plane"] .zone').boundingBox();
    await visitor.drive(robot, () => visitor.touch("touchStart", [[box.x + 12, box.y + 12, 1]]),
      () => visitor.touch("touchEnd", []), async () => (await robot.status()).source === "human");
    await wait(300);
    assert.ok((await robot.status()).executed.every((value) => Math.abs(value) < 0.01));
    await visitor.touch("touchEnd", []);
    await holds();
  },
  "lifting one of two thumbs goes on driving, lifting both holds": async () => {
    const [x, y] = await thumbDrives();
    const [upX, upY] = await visitor.centre('[data-hand="lift"] .zone');
    await visitor.touch("touchStart", [[x + 60, y, 1], [upX, upY, 2]]);
    await visitor.touch("touchEnd", [[x + 60, y, 1]]);
    await wait(200);
    assert.equal((await robot.status()).source, "human");
    await visitor.touch("touchEnd", []);
    await holds();
  },
  "a touch that the browser takes away (pointercancel) holds": async () => {
    await thumbDrives();
    await visitor.touch("touchCancel", []);
    await holds();
    await staysHeld();
  },
  "a pointer whose capture is lost holds": async () => {
    const [x, y] = await visitor.centre('[data-hand="plane"] .zone');
    await visitor.drive(robot, async () => {
      await page.mouse.move(x, y);
      await page.mouse.down();
      await page.mouse.move(x + 60, y, { steps: 4 });
    }, () => page.mouse.up());
    await page.locator('[data-hand="plane"] .zone').evaluate((zone) => {
      for (let id = 0; id < 20; id += 1) if (zone.hasPointerCapture(id)) zone.releasePointerCapture(id);
    });
    await page.mouse.move(x + 50, y);
    await holds();
    await page.mouse.up();
  },
  "a window that loses the focus holds, with a key still down": async () => {
    await keyDrives("ArrowUp");
    await page.evaluate(() => window.dispatchEvent(new Event("blur")));
    await holds();
    await staysHeld();
    await page.keyboard.up("ArrowUp");
  },
  "a page that is hidden while it drives holds, and does not go on when it is seen again": async () => {
    await thumbDrives();
    await page.evaluate(() => {
      window.pretendHidden = true;
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await until("the robot holds", () => robot.holds());
    await page.evaluate(() => {
      window.pretendHidden = false;
      document.dispatchEvent(new Event("visibilitychange"));
    });
    await staysHeld();
    await visitor.touch("touchEnd", []);
  },
  "a page that the browser is about to freeze holds": async () => {
    await keyDrives("ArrowLeft");
    await page.evaluate(() => document.dispatchEvent(new Event("freeze")));
    await until("the robot holds", () => robot.holds());
    await staysHeld();
    await page.keyboard.up("ArrowLeft");
    await visitor.says("PAUSED", 15_000);
  },
  "a gamepad's shoulder button and stick drive, and it holds when the button is lifted": async () => {
    await pad("plug");
    await until("the pad is shown", async () => (await page.locator(".with-pad").count()) === 1);
    await padDrives();
    await visitor.shot("driven-by-pad");
    await pad("button", 5, false);
    await holds();
    await staysHeld();
    await pad("axes", 0, 0, 0, 0);
  },
  "a stick of the gamepad without the shoulder button moves nothing": async () => {
    await pad("axes", 1, 1, 1, 1);
    await staysHeld();
    await pad("axes", 0, 0, 0, 0);
  },
  "a gamepad that goes while it drives holds": async () => {
    await padDrives();
    await pad("unplug");
    await holds();
    await until("no pad is shown", async () => (await page.locator(".with-pad").count()) === 0);
  },
  "a gamepad that comes with its buttons down starts nothing": async () => {
    await pad("plug", [4, 5, 9]);
    await pad("axes", 1, 1, 0, 0);
    await staysHeld();
    await pad("unplug");
  },
  "the window's focus is lost with the gamepad's button down: it has to be pressed anew": async () => {
    await pad("plug");
    await wait(100);
    await padDrives();
    await page.evaluate(() => window.dispatchEvent(new Event("blur")));
    await holds();
    await staysHeld();
    await pad("unplug");
  },
  "the gripper opens for as long as its button is held, also by Enter": async () => {
    const open = page.getByRole("button", { name: "Open", exact: true });
    await open.focus();
    const names = (await robot.get("/api/v1/robot")).action.map((each) => each.name);
    await visitor.drive(robot, () => page.keyboard.down("Enter"), () => page.keyboard.up("Enter"),
      async () => ((await robot.status()).requested[names.indexOf("gripper")] ?? 0) > 0.5);
    await page.keyboard.up("Enter");
    await holds();
    await visitor.letGo();
  },
  "keys drive slower when the speed is set down": async () => {
    await visitor.letGo();
    for (let press = 0; press < 10; press += 1) await page.keyboard.press("[");
    await keyDrives("ArrowUp", async () => {
      const largest = Math.max(...(await robot.status()).requested.map(Math.abs), 0);
      assert.ok(largest < 0.2, `asked for ${largest}`);
      return largest > 0.05;
    });
    await page.keyboard.up("ArrowUp");
    await holds();
    for (let press = 0; press < 6; press += 1) await page.keyboard.press("]");
  },
  "what the policy would have done is drawn beside what is done": async () => {
    await thumbDrives();
    await until("both are drawn", async () => (await page.locator(".gauge g.done, .gauge circle.done").count()) === 1 &&
      (await page.locator(".gauge g.wanted, .gauge circle.wanted").count()) === 1);
    assert.match(await page.locator(".gauge figcaption").innerText(), /policy would[\s\S]*you do/);
    await visitor.touch("touchEnd", []);
    await holds();
  },
  "control is handed back by a deliberate act, and never by itself": async () => {
    await staysHeld();
    await visitor.press(/Hand back|Start/);
    await until("the policy drives", async () => (await robot.status()).state === "AUTO");
  },
  "STOP by the gamepad's Select holds, and is latched": async () => {
    await pad("plug");
    await wait(100);
    await pad("button", 8, true);
    await visitor.says("STOPPED");
    assert.equal((await robot.status()).state, "ESTOP");
    await pad("unplug");
    await robot.send("reset_stop");
    await holds();
  },
  "the browser had nothing to complain of": async () => {
    await visitor.calm();
  },
}, { before: () => robot.settle(), failed: async () => {
  await pad("unplug");
  await visitor.rest(robot);
} });

await browser.close();
await daemon.end();
