// The keyboard, for the whole page.
import { byJoints } from "../drive/jog";
import { chooses, isDriveKey, isStopKey } from "../drive/keys";
import type { Session } from "../state/session";
import { mayDrive } from "./seat";

const showHelp = new Set<() => void>();
export const onHelpKey = (show: () => void): (() => void) => {
  showHelp.add(show);
  return () => showHelp.delete(show);
};

const isText = (target: EventTarget | null): boolean =>
  target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement ||
  (target instanceof HTMLInputElement && target.type !== "range" && target.type !== "radio");

// Parts of the page in which arrow keys have a meaning of their own.
const ownsArrows = (target: EventTarget | null): boolean =>
  target instanceof Element && target.closest("input, [role=tablist], [role=radiogroup], [role=slider]") !== null;

export function listenToKeys(session: Session): void {
  const commands: Record<string, () => void> = {
    KeyB: () => session.startIfHeld(),
    KeyP: () => {
      const { asker, status } = session.store.value;
      if (asker !== "") session.passControl();
      else if (status?.lease.mine === false && mayDrive(session.store.value)) session.askToDrive();
    },
    Digit0: () => session.declineHelp(),
    KeyH: () => session.hold(),
    KeyX: () => session.release(),
    Digit1: () => void session.label(0, "success"),
    Digit2: () => void session.label(0, "failure"),
    Digit3: () => void session.label(0, "discard"),
    KeyU: () => session.undo(session.store.value.undoSeconds),
    KeyM: () => session.setMuted(!session.store.value.muted),
    KeyV: () => session.setViewpoint(session.store.value.viewpoint === "facing" ? "behind" : "facing"),
    BracketLeft: () => session.setSpeed(session.store.value.speed - 0.1),
    BracketRight: () => session.setSpeed(session.store.value.speed + 0.1),
    KeyT: () => document.querySelector<HTMLButtonElement>("#tab-words")?.click(),
  };

  document.addEventListener("keydown", (event) => {
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (isStopKey(event) && (modified || !isText(event.target))) {
      event.preventDefault();
      if (!event.repeat) session.stop();
      return;
    }
    if (isText(event.target)) {
      if (event.key === "Escape") (event.target as HTMLElement).blur();
      return;
    }
    if (modified) {
      // With Command held, macOS reports no key as lifted: a drive key would stick.
      session.driver.dropAll();
      return;
    }
    if (event.key === "?") {
      showHelp.forEach((show) => show());
      return;
    }
    const arrow = event.code.startsWith("Arrow");
    const controls = session.driver.controls();
    if (byJoints(controls) && event.code in chooses && !(arrow && ownsArrows(event.target))) {
      event.preventDefault();
      if (!event.repeat) session.chooseJoint(chooses[event.code] ?? 0);
      return;
    }
    if (isDriveKey(event.code, controls) && !(arrow && ownsArrows(event.target)) && mayDrive(session.store.value)) {
      // Also keeps Space from pressing the button that has the focus: a thumb on the dead-man must
      // never start the robot. Buttons are pressed with Enter.
      event.preventDefault();
      if (!event.repeat) session.driver.pressKey(event.code);
      return;
    }
    const command = commands[event.code];
    if (command !== undefined && !event.repeat && !event.shiftKey) {
      event.preventDefault();
      command();
    }
  }, true);

  document.addEventListener("keyup", (event) => {
    session.driver.liftKey(event.code);
    if (event.code === "Space" && !isText(event.target) && mayDrive(session.store.value)) {
      event.preventDefault();
    }
  }, true);

  // A button that was pressed by hand keeps no focus: the arrow keys that follow are for the robot.
  document.addEventListener("pointerup", () => window.setTimeout(() => {
    const focused = document.activeElement;
    if (focused instanceof HTMLElement && !isText(focused)) focused.blur();
  }), true);

  const wake = (): void => session.chime.wake();
  document.addEventListener("pointerdown", wake, true);
  document.addEventListener("keydown", wake, true);
}
