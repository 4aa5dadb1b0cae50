// Where people drive: two sticks, the gripper, the speed, and the lease.
import type { JSX } from "preact";
import { isDrivable } from "../drive/jog";
import { Turn } from "./icons";
import { Gauge } from "./gauge";
import { mayDrive, useSession, useShown } from "./seat";
import { Stick } from "./stick";

const phaseWords = {
  rest: matchMedia("(pointer: coarse)").matches
    ? "Touch a stick to take over" : "Hold a stick or a key to take over",
  asking: "Asking for control",
  waiting: "Keep holding", driving: "You drive", refused: "Refused: let go",
  spent: "Control ended: let go, then press again",
} as const;

function GripperButton(props: { hand: string; open: number; label: string; keyName: string; disabled: boolean }): JSX.Element {
  const { driver } = useSession();
  const held = useShown((state) => state.drive.hands.split(" ").includes(props.hand));
  const lift = (): void => driver.lift(props.hand);
  return (
    <button type="button" class={`button grip ${held ? "held" : ""}`} disabled={props.disabled}
      aria-keyshortcuts={props.keyName}
      onPointerDown={(event) => {
        if (event.button !== 0) return;
        event.currentTarget.setPointerCapture(event.pointerId);
        driver.press(props.hand, { open: props.open });
      }}
      onPointerUp={lift} onPointerCancel={lift} onLostPointerCapture={lift}
      onContextMenu={(event) => event.preventDefault()}>
      {props.label} <kbd>{props.keyName}</kbd>
    </button>
  );
}

export function Deck(): JSX.Element {
  const session = useSession();
  const { known, driver, drivable, speed, viewpoint, phase, mine, state, linked } = useShown((shown) => ({
    known: shown.hello !== undefined, driver: mayDrive(shown), drivable: isDrivable(shown.hello?.robot.action ?? []),
    speed: shown.speed, viewpoint: shown.viewpoint, phase: shown.drive.phase,
    mine: shown.status?.lease.mine ?? false, state: shown.status?.state,
    linked: shown.link === "open",
  }));
  const metres = useShown((shown) => {
    const channel = shown.hello?.robot.action.find((each) => each.name === "tool_x");
    return channel === undefined ? "" : `${(shown.speed * channel.upper).toFixed(2)} ${channel.unit}`;
  });
  const off = !driver || !drivable;
  const holds = state === "HOLD" || state === "ESTOP" || state === "FAULT_HOLD";
  const words = !known ? "" : !driver ? "You look on; a supervisor drives"
    : !drivable ? "This robot has no channels that this page can drive" : phaseWords[phase];
  return (
    <section class="deck" aria-label="Driving">
      <Stick hand="plane" label="Stick: left and right, near and away. Keys: arrows, or I J K L"
        marks={{ up: "away", down: "near", left: "left", right: "right" }} disabled={off}
        wishOf={(x, y) => ({ right: x, away: y })} />
      <Gauge />
      <div class="lease">
        <p class="phase" data-phase={phase} aria-live="polite">{words}</p>
        <div class="row">
          <button type="button" class="button" aria-keyshortcuts="H" disabled={!linked || holds}
            onClick={() => session.hold()}>
            Hold <kbd>H</kbd>
          </button>
          <button type="button" class="button" aria-keyshortcuts="X" disabled={!linked || !mine}
            title="Give control up; the robot holds" onClick={() => session.release()}>
            Release <kbd>X</kbd>
          </button>
        </div>
      </div>
      <div class="fine">
        <div class="row">
          <GripperButton hand="open" open={1} label="Open" keyName="O" disabled={off} />
          <GripperButton hand="close" open={-1} label="Close" keyName="C" disabled={off} />
        </div>
        <label class="speed">
          <span>Speed <b class="digits">{Math.round(speed * 100)} %</b> <small class="digits">{metres}</small></span>
          <input type="range" min="10" max="100" step="5" value={Math.round(speed * 100)} disabled={off}
            onInput={(event) => session.setSpeed(Number(event.currentTarget.value) / 100)} />
        </label>
        <button type="button" class="button view" aria-keyshortcuts="V" disabled={off}
          title="Where you see the robot from; turns the left stick round"
          onClick={() => session.setViewpoint(viewpoint === "facing" ? "behind" : "facing")}>
          <Turn /> {viewpoint === "facing" ? "View: front" : "View: behind"} <kbd>V</kbd>
        </button>
      </div>
      <Stick hand="lift" label="Stick: up and down. Keys: R and F" marks={{ up: "up", down: "down" }}
        disabled={off} wishOf={(_x, y) => ({ up: y })} />
    </section>
  );
}
