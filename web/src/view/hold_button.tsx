// A button that drives for as long as it is held: by a pointer, or by Enter where it has the focus.
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { Wish } from "../drive/jog";
import { useSession, useShown } from "./seat";

interface Props {
  hand: string; // its name among the hands; no spaces
  wish: Partial<Wish>;
  class?: string;
  disabled: boolean;
  label?: string; // where the children do not say it
  keyName?: string;
  children: ComponentChildren;
}

export function HoldButton(props: Props): JSX.Element {
  const { driver } = useSession();
  const held = useShown((state) => state.drive.hands.split(" ").includes(props.hand));
  const byKey = useRef(false);
  const lift = (): void => {
    byKey.current = false;
    driver.lift(props.hand);
  };
  useEffect(() => () => driver.lift(props.hand), [driver, props.hand]);
  return (
    <button type="button" class={`button hold ${props.class ?? ""} ${held ? "held" : ""}`}
      disabled={props.disabled} aria-pressed={held}
      {...(props.label === undefined ? {} : { "aria-label": props.label })}
      {...(props.keyName === undefined ? {} : { "aria-keyshortcuts": props.keyName })}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        try {
          event.currentTarget.setPointerCapture(event.pointerId);
        } catch {
          // The pointer has gone already; its end is on the way.
        }
        driver.press(props.hand, props.wish);
      }}
      onPointerUp={lift} onPointerCancel={lift} onLostPointerCapture={lift}
      onKeyDown={(event) => {
        if (event.code !== "Enter" || event.repeat) return;
        byKey.current = true;
        driver.press(props.hand, props.wish);
      }}
      onKeyUp={(event) => {
        if (event.code === "Enter" && byKey.current) lift();
      }}
      onBlur={() => {
        if (byKey.current) lift();
      }}
      onContextMenu={(event) => event.preventDefault()}>
      {props.children}
    </button>
  );
}
