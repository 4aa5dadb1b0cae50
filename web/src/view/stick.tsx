// A touch stick: its centre is where the thumb lands, so that a touch alone moves nothing. It is held
// for as long as the pointer that touched it is down, and lifted also when the browser takes the
// touch away.
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Wish } from "../drive/jog";
import { useSession, useShown } from "./seat";

interface Props {
  hand: string;
  label: string;
  marks: { up?: string; down?: string; left?: string; right?: string };
  disabled: boolean;
  wishOf: (x: number, y: number) => Partial<Wish>; // each -1 to 1; y up
}

export function Stick(props: Props): JSX.Element {
  const session = useSession();
  const zone = useRef<HTMLDivElement>(null);
  const ring = useRef<HTMLSpanElement>(null);
  const wishOf = useRef(props.wishOf);
  wishOf.current = props.wishOf;
  const held = useShown((state) => state.drive.hands.split(" ").includes(props.hand));
  const axes = props.marks.left === undefined ? "vertical" : "both";

  useEffect(() => {
    const area = zone.current;
    const drawn = ring.current;
    if (area === null || drawn === null || props.disabled) return undefined;
    const { driver } = session;
    let touch: { pointer: number; x: number; y: number; reach: number } | undefined;

    const draw = (x: number, y: number, knobX: number, knobY: number): void => {
      drawn.style.setProperty("--x", `${x}px`);
      drawn.style.setProperty("--y", `${y}px`);
      drawn.style.setProperty("--knob-x", `${knobX}px`);
      drawn.style.setProperty("--knob-y", `${knobY}px`);
    };
    const lift = (event?: Event): void => {
      if (touch === undefined) return;
      if (event instanceof PointerEvent && event.pointerId !== touch.pointer) return;
      touch = undefined;
      draw(0, 0, 0, 0);
      driver.lift(props.hand);
    };
    const down = (event: PointerEvent): void => {
      if (touch !== undefined || (event.pointerType === "mouse" && event.button !== 0)) return;
      const box = area.getBoundingClientRect();
      touch = { pointer: event.pointerId, x: event.clientX, y: event.clientY, reach: drawn.clientHeight / 2 };
      try {
        area.setPointerCapture(event.pointerId);
      } catch {
        // The pointer has gone already; its end is on the way.
      }
      draw(event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2, 0, 0);
      driver.press(props.hand, wishOf.current(0, 0));
    };
    const move = (event: PointerEvent): void => {
      if (touch === undefined || event.pointerId !== touch.pointer) return;
      const right = axes === "both" ? event.clientX - touch.x : 0;
      const below = event.clientY - touch.y;
      const scale = 1 / Math.max(touch.reach, Math.hypot(right, below));
      const box = area.getBoundingClientRect();
      draw(
        touch.x - box.left - box.width / 2, touch.y - box.top - box.height / 2,
        right * scale * touch.reach, below * scale * touch.reach,
      );
      driver.move(props.hand, wishOf.current(right * scale, -below * scale));
    };
    const ends = ["pointerup", "pointercancel", "lostpointercapture"];
    area.addEventListener("pointerdown", down);
    area.addEventListener("pointermove", move);
    ends.forEach((name) => area.addEventListener(name, lift));
    ends.slice(0, 2).forEach((name) => document.addEventListener(name, lift, true));
    return () => {
      lift();
      area.removeEventListener("pointerdown", down);
      area.removeEventListener("pointermove", move);
      ends.forEach((name) => area.removeEventListener(name, lift));
      ends.slice(0, 2).forEach((name) => document.removeEventListener(name, lift, true));
    };
  }, [session, props.hand, props.disabled, axes]);

  return (
    <div class={`stick ${held ? "held" : ""} ${axes}`} aria-disabled={props.disabled} data-hand={props.hand}
      role="group" aria-label={props.label} onContextMenu={(event) => event.preventDefault()}>
      <span class="ring" aria-hidden="true" ref={ring}><i /></span>
      {(["up", "down", "left", "right"] as const).map((side) => props.marks[side] !== undefined &&
        <span key={side} class={`mark ${side}`} aria-hidden="true">{props.marks[side]}</span>)}
      <div class="zone" ref={zone} />
    </div>
  );
}
