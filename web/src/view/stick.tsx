// A touch stick: its centre is where the thumb lands, so that a touch alone moves nothing. nipplejs
// draws it and measures the thumb's way; whether it is held is decided by the pointer itself, also
// when the browser takes the touch away.
import nipplejs from "nipplejs";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Wish } from "../drive/jog";
import { useSession, useShown } from "./seat";

interface Props {
  hand: string;
  label: string;
  marks: { up: string; down: string; left?: string; right?: string };
  disabled: boolean;
  wishOf: (x: number, y: number) => Partial<Wish>;
}

export function Stick(props: Props): JSX.Element {
  const session = useSession();
  const zone = useRef<HTMLDivElement>(null);
  const wishOf = useRef(props.wishOf);
  wishOf.current = props.wishOf;
  const held = useShown((state) => state.drive.hands.split(" ").includes(props.hand));
  const axis = props.marks.left === undefined ? "vertical" : "both";

  useEffect(() => {
    const area = zone.current;
    if (area === null || props.disabled) return undefined;
    const { driver } = session;
    let pointer: number | undefined;
    const size = Math.max(72, Math.min(120, area.clientHeight * 0.7));
    const sticks = nipplejs.create({
      zone: area, mode: "dynamic", size, fadeTime: 0, restOpacity: 0.6, lockY: axis === "vertical",
      color: getComputedStyle(area).getPropertyValue("--stick").trim() || "#888",
    });
    sticks.on("move", (_event, stick) => {
      if (pointer !== undefined) driver.move(props.hand, wishOf.current(stick.vector.x, stick.vector.y));
    });
    const lift = (event?: Event): void => {
      if (pointer === undefined) return;
      if (event instanceof PointerEvent && event.pointerId !== pointer) return;
      pointer = undefined;
      driver.lift(props.hand);
    };
    const down = (event: PointerEvent): void => {
      if (pointer !== undefined || (event.pointerType === "mouse" && event.button !== 0)) return;
      pointer = event.pointerId;
      try {
        area.setPointerCapture(event.pointerId);
      } catch {
        // The pointer has gone already; its end is on the way.
      }
      driver.press(props.hand, wishOf.current(0, 0));
    };
    const ends = ["pointerup", "pointercancel", "lostpointercapture"];
    area.addEventListener("pointerdown", down, true);
    ends.forEach((name) => area.addEventListener(name, lift));
    ends.slice(0, 2).forEach((name) => document.addEventListener(name, lift, true));
    return () => {
      lift();
      area.removeEventListener("pointerdown", down, true);
      ends.forEach((name) => area.removeEventListener(name, lift));
      ends.slice(0, 2).forEach((name) => document.removeEventListener(name, lift, true));
      sticks.destroy();
    };
  }, [session, props.hand, props.disabled, axis]);

  return (
    <div class={`stick ${held ? "held" : ""} ${axis}`} aria-disabled={props.disabled}
      role="group" aria-label={props.label} onContextMenu={(event) => event.preventDefault()}>
      <span class="ring" aria-hidden="true"><i /></span>
      <span class="mark up">{props.marks.up}</span>
      <span class="mark down">{props.marks.down}</span>
      {props.marks.left !== undefined && <span class="mark left">{props.marks.left}</span>}
      {props.marks.right !== undefined && <span class="mark right">{props.marks.right}</span>}
      <div class="zone" ref={zone} />
    </div>
  );
}
