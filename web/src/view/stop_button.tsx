// STOP: always there, always in the same place, always on top. It acts when it is touched, not when
// the finger lifts.
import type { JSX } from "preact";
import { useRef } from "preact/hooks";
import { useSession, useShown } from "./seat";

const touches = matchMedia("(pointer: coarse)");

export function StopButton(): JSX.Element {
  const session = useSession();
  const { pending, stopped, linked } = useShown((state) => ({
    pending: state.stopPending,
    stopped: state.status?.state === "ESTOP",
    linked: state.link === "open",
  }));
  const pressed = useRef(Number.NEGATIVE_INFINITY);
  const press = (): void => {
    pressed.current = performance.now();
    session.stop();
  };
  const below = pending ? (linked ? "sending" : "sending: no link, trying again")
    : stopped ? "stopped" : touches.matches ? "software stop" : "key S";
  return (
    <button type="button" class={`stop ${pending ? "pending" : ""} ${stopped ? "latched" : ""}`}
      aria-label="STOP the robot" aria-keyshortcuts="S"
      onPointerDown={(event) => {
        if (event.pointerType !== "mouse" || event.button === 0) press();
      }}
      onKeyDown={(event) => {
        if (event.code === "Enter" && !event.repeat) press();
      }}
      // Assistive technology clicks without a pointer or a key.
      onClick={() => {
        if (performance.now() - pressed.current > 700) press();
      }}
      onContextMenu={(event) => event.preventDefault()}>
      <span class="stop-word">STOP</span>
      <span class="stop-below" role="status">{below}</span>
    </button>
  );
}
