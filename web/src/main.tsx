import "uplot/dist/uPlot.min.css";
import "./style.css";
import "./view/panels.css";
import { render } from "preact";
import { PassKeeper, codeFromHash } from "./link/pass";
import { deviceName } from "./state/device_name";
import { Session } from "./state/session";
import { followTheme } from "./state/theme";
import { App } from "./view/app";
import { stayAwake } from "./view/awake";
import { Door } from "./view/door";
import { listenToKeys } from "./view/shortcuts";

followTheme();
const opened = Array.from(crypto.getRandomValues(new Uint8Array(8)),
  (byte) => byte.toString(16).padStart(2, "0")).join("");
const pass = new PassKeeper({
  tab: sessionStorage,
  device: localStorage,
  post: async (path, body, attempt) => {
    const key: Record<string, string> = attempt === undefined ? {} : { "idempotency-key": `page:${opened}:${attempt}` };
    const answer = await fetch(path, {
      method: "POST", headers: { "content-type": "application/json", ...key }, body: JSON.stringify(body),
    });
    return { status: answer.status, body: await answer.json().catch(() => undefined) as unknown };
  },
  alone: async (work) => "locks" in navigator ? await navigator.locks.request("nudge.pass", work) : work(),
  nowMs: () => Date.now(),
});
const code = codeFromHash(location.hash);
const known = pass.take(location.hash, () => history.replaceState(null, "", location.pathname + location.search));
// A new address pasted into this tab changes the fragment only, which loads nothing by itself.
window.addEventListener("hashchange", () => location.reload());

const place = document.getElementById("page");
if (place !== null) {
  if (!known || code !== undefined) {
    render(<Door pass={pass} name={deviceName()} {...(code === undefined ? {} : { code })} />, place);
  } else {
    const session = new Session({ base: location.origin, pass, name: deviceName() });
    listenToKeys(session);
    stayAwake();
    render(<App session={session} pass={pass} />, place);
  }
}
