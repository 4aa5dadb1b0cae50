import "uplot/dist/uPlot.min.css";
import "./style.css";
import "./view/panels.css";
import { render } from "preact";
import { takeToken } from "./link/token";
import { preference } from "./state/preferences";
import { Session } from "./state/session";
import { App } from "./view/app";
import { stayAwake } from "./view/awake";
import { Door } from "./view/door";
import { listenToKeys } from "./view/shortcuts";

function deviceName(): string {
  const chosen = preference("name");
  if (chosen !== undefined && /^[\x21-\x7e][\x20-\x7e]{0,39}$/.test(chosen)) return chosen;
  const touches = matchMedia("(pointer: coarse)").matches;
  if (!touches) return "desktop";
  return Math.min(screen.width, screen.height) < 600 ? "phone" : "tablet";
}

const place = document.getElementById("page");
const token = takeToken({
  hash: location.hash,
  storage: sessionStorage,
  cleanAddress: () => history.replaceState(null, "", location.pathname + location.search),
});
// A new address pasted into this tab changes the fragment only, which loads nothing by itself.
window.addEventListener("hashchange", () => location.reload());

if (place !== null) {
  if (token === undefined) {
    render(<Door />, place);
  } else {
    const session = new Session({ base: location.origin, token, name: deviceName() });
    listenToKeys(session);
    stayAwake();
    render(<App session={session} />, place);
  }
}
