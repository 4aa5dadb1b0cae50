// Where people drive: two sticks, the gripper, the speed, and the lease; or, for a robot without a tool
// to move in space, one row for each joint.
import type { JSX } from "preact";
import { byJoints, controlsOf, isDrivable } from "../drive/jog";
import type { Controls } from "../drive/jog";
import { Gauge } from "./gauge";
import { Clockwise, Down, Turn, Up } from "./icons";
import { HoldButton } from "./hold_button";
import { mayDrive, useSession, useShown } from "./seat";
import { Stick } from "./stick";

const touches = matchMedia("(pointer: coarse)");
const phaseWords = {
  asking: "Asking for control", waiting: "Keep holding", driving: "You drive", refused: "Refused: let go",
  spent: "Control ended: let go, then press again",
} as const;

function restWords(pad: boolean, joints: boolean): string {
  if (pad) return "Hold a shoulder button to take over";
  const what = joints ? "− or +" : "a stick";
  return touches.matches ? `Touch ${what} to take over` : `Hold ${what} or a key to take over`;
}

function Lease(): JSX.Element {
  const session = useSession();
  const { known, driver, drivable, phase, mine, holds, linked, pad, joints, state } = useShown((shown) => ({
    known: shown.hello !== undefined, driver: mayDrive(shown), state: shown.status?.state,
    joints: byJoints(controlsOf(shown.hello?.robot.action ?? [])),
    drivable: isDrivable(shown.hello?.robot.action ?? []), phase: shown.drive.phase,
    mine: shown.status?.lease.mine ?? false, linked: shown.link === "open", pad: shown.pad !== "",
    holds: ["HOLD", "ESTOP", "FAULT_HOLD"].includes(shown.status?.state ?? "HOLD"),
  }));
  const words = !known ? "" : !linked ? "No link" : !driver ? "You look on; a supervisor drives"
    : !drivable ? "This robot has no channels that this page can drive"
    : phase !== "rest" ? phaseWords[phase]
    : state === "ESTOP" ? "Reset STOP before driving" : state === "FAULT_HOLD" ? "Reset the fault before driving"
    : restWords(pad, joints);
  return (
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
  );
}

function Speed(props: { disabled: boolean }): JSX.Element {
  const session = useSession();
  const speed = useShown((shown) => shown.speed);
  const rate = useShown((shown) => {
    const channel = shown.hello?.robot.action[0];
    return channel === undefined ? "" : `${(shown.speed * channel.upper).toFixed(2)} ${channel.unit}`;
  });
  return (
    <label class="speed">
      <span>Speed <b class="digits">{Math.round(speed * 100)} %</b></span>
      <small class="digits">{rate}</small>
      <input type="range" min="10" max="100" step="5" value={Math.round(speed * 100)} disabled={props.disabled}
        aria-valuetext={`${Math.round(speed * 100)} percent, ${rate}`}
        onInput={(event) => session.setSpeed(Number(event.currentTarget.value) / 100)} />
    </label>
  );
}

function View(props: { disabled: boolean }): JSX.Element {
  const session = useSession();
  const viewpoint = useShown((shown) => shown.viewpoint);
  return (
    <button type="button" class="button view" aria-keyshortcuts="V" disabled={props.disabled}
      title="Where you see the robot from; turns the left stick round"
      onClick={() => session.setViewpoint(viewpoint === "facing" ? "behind" : "facing")}>
      <Turn /> {viewpoint === "facing" ? "Seen from front" : "Seen from behind"} <kbd>V</kbd>
    </button>
  );
}

interface Part {
  controls: Controls;
  disabled: boolean;
}

function Gripper(props: Part): JSX.Element | null {
  if (!props.controls.gripper) return null;
  return (
    <div class="row">
      <HoldButton hand="open" wish={{ open: 1 }} keyName="O" class="grip" disabled={props.disabled}>
        Open <kbd>O</kbd>
      </HoldButton>
      <HoldButton hand="close" wish={{ open: -1 }} keyName="C" class="grip" disabled={props.disabled}>
        Close <kbd>C</kbd>
      </HoldButton>
    </div>
  );
}

// Rotations beyond the one that the right stick has.
function Rotations(props: Part): JSX.Element {
  const { controls, disabled } = props;
  return (
    <>
      {controls.tilt && (
        <div class="row">
          <HoldButton hand="tilt-up" wish={{ tilt: 1 }} keyName="Y" class="grip" label="Tilt the tool up" disabled={disabled}>
            <Up /> Tilt
          </HoldButton>
          <HoldButton hand="tilt-down" wish={{ tilt: -1 }} keyName="N" class="grip" label="Tilt the tool down" disabled={disabled}>
            <Down /> Tilt
          </HoldButton>
        </div>
      )}
      {controls.roll && (
        <div class="row">
          <HoldButton hand="roll-left" wish={{ roll: -1 }} keyName="," class="grip mirrored" label="Roll the tool left" disabled={disabled}>
            <Clockwise /> Roll
          </HoldButton>
          <HoldButton hand="roll-right" wish={{ roll: 1 }} keyName="." class="grip" label="Roll the tool right" disabled={disabled}>
            <Clockwise /> Roll
          </HoldButton>
        </div>
      )}
    </>
  );
}

// One channel that has no place on a stick: held backward, held forward, and between them what the
// policy wanted and what was done.
function Joint(props: { name: string; disabled: boolean; chosen: boolean }): JSX.Element {
  const { name } = props;
  const hand = name.replaceAll(/\s/g, "_");
  const { done, wanted } = useShown((shown) => {
    const at = shown.hello?.robot.action.findIndex((channel) => channel.name === name) ?? -1;
    return { done: 50 * (shown.status?.executed[at] ?? 0), wanted: shown.status?.proposed[at] };
  });
  return (
    <div class="joint" role="group" aria-label={name} data-chosen={props.chosen}>
      <HoldButton hand={`${hand}-less`} wish={{ joints: { [name]: -1 } }} class="grip" label={`${name} backward`} disabled={props.disabled}>−</HoldButton>
      <span class="joint-name">
        <b>{name}</b>
        <span class="joint-bar" aria-hidden="true">
          <i class="joint-done" style={{ left: `${50 + Math.min(0, done)}%`, width: `${Math.abs(done)}%` }} />
          {wanted !== undefined && <i class="joint-wanted" style={{ left: `${50 + 50 * wanted}%` }} />}
        </span>
      </span>
      <HoldButton hand={`${hand}-more`} wish={{ joints: { [name]: 1 } }} class="grip" label={`${name} forward`} disabled={props.disabled}>+</HoldButton>
    </div>
  );
}

export function Deck(props: { narrow: boolean }): JSX.Element {
  const off = useShown((shown) => !mayDrive(shown) || !isDrivable(shown.hello?.robot.action ?? []));
  const channels = useShown((shown) => shown.hello?.robot.action);
  const chosen = useShown((shown) => shown.joint);
  const linked = useShown((shown) => shown.link === "open");
  const controls = controlsOf(channels ?? []);
  const joints = (names: readonly string[]): JSX.Element[] => names.map((name) =>
    <Joint key={name} name={name} disabled={off} chosen={byJoints(controls) && name === controls.joints[chosen]} />);
  if (byJoints(controls)) {
    const half = Math.ceil(controls.joints.length / 2);
    return (
      <section class="deck by-joints" data-linked={linked} id="deck" aria-label="Driving">
        <div class="joints">{joints(controls.joints.slice(0, half))}</div>
        <Lease />
        <div class="joints">
          {joints(controls.joints.slice(half))}
          <Gripper controls={controls} disabled={off} />
          <Speed disabled={off} />
        </div>
      </section>
    );
  }
  const many = controls.tilt || controls.roll || controls.joints.length > 0;
  return (
    <section class={`deck ${many ? "many" : ""}`} data-linked={linked} id="deck" aria-label="Driving">
      <Stick hand="plane" label="Stick: left and right, near and away. Keys: arrows, or I J K L"
        marks={{ up: "away", down: "near", left: "left", right: "right" }} disabled={off}
        wishOf={(x, y) => ({ right: x, away: y })} />
      {!props.narrow && <Gauge />}
      <Lease />
      <div class="hands">
        <Gripper controls={controls} disabled={off} />
        <Rotations controls={controls} disabled={off} />
        {joints(controls.joints)}
        <Speed disabled={off} />
        {controls.plane && <View disabled={off} />}
      </div>
      <Stick hand="lift" disabled={off}
        label={controls.turn ? "Stick: up and down, turn. Keys: R and F, Q and E" : "Stick: up and down. Keys: R and F"}
        marks={controls.turn ? { up: "up", down: "down", left: "turn", right: "turn" } : { up: "up", down: "down" }}
        wishOf={(x, y) => ({ up: y, turn: controls.turn ? -x : 0 })} />
    </section>
  );
}
