// The band at the top: the state in one word, why, and what can be done about it.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { robotWord, shortName } from "../state/robot_word";
import { chooseTheme, isDark, onTheme } from "../state/theme";
import { ConfirmButton } from "./confirm_button";
import { MoodIcon, Moon, Muted, Pad, Question, Sound, Sun, Unlocked } from "./icons";
import { isEngineer, mayDrive, otherDriver, useSession, useShown } from "./seat";

// Long enough that a second tap, meant for what the button said before, does not start the robot.
const settleMs = 1000;

function Primary(): JSX.Element {
  const session = useSession();
  const { state, mine, driver, engineer, linked, phase, other, asking } = useShown((shown) => ({
    state: shown.status?.state, mine: shown.status?.lease.mine ?? false, driver: mayDrive(shown),
    engineer: isEngineer(shown), linked: shown.link === "open", phase: shown.drive.phase,
    other: otherDriver(shown), asking: shown.asking,
  }));
  const meaning = !linked || state === undefined || !driver ? "nothing"
    : state === "ESTOP" || state === "FAULT_HOLD" ? state
    : state === "AUTO" || state === "HANDBACK" ? "hold"
    : other !== "" ? "ask" : "go";
  const meant = useRef({ meaning, since: Number.NEGATIVE_INFINITY });
  if (meant.current.meaning !== meaning) meant.current = { meaning, since: performance.now() };

  switch (meaning) {
    case "nothing":
      return <span class="primary" />;
    case "ESTOP":
      return (
        <ConfirmButton key={meaning} class="primary" again="Press again"
          onConfirm={() => session.resetStop()}>
          Reset STOP
        </ConfirmButton>
      );
    case "FAULT_HOLD":
      return (
        <ConfirmButton key={meaning} class="primary" again="Press again" disabled={!engineer}
          title={engineer ? "" : "An engineer resets faults"} onConfirm={() => session.resetFault()}>
          {engineer ? "Reset fault" : "An engineer resets"}
        </ConfirmButton>
      );
    case "hold":
      return (
        <button key={meaning} type="button" class="button primary" aria-keyshortcuts="H"
          onClick={() => session.hold()}>
          Hold <kbd>H</kbd>
        </button>
      );
    case "ask":
      return (
        <button key={meaning} type="button" class="button primary" aria-keyshortcuts="P" disabled={asking}
          title={`${other} is asked, and passes control with one tap`} onClick={() => session.askToDrive()}>
          {asking ? "Asked" : "Ask to drive"} <kbd>P</kbd>
        </button>
      );
    default:
      return (
        <button key={meaning} type="button" class="button primary go" aria-keyshortcuts="B"
          disabled={phase === "asking"}
          onClick={() => {
            if (performance.now() - meant.current.since > settleMs) session.start();
          }}>
          {mine ? "Hand back" : "Start"} <kbd>B</kbd>
        </button>
      );
  }
}

// The dot beats once a second for as long as the daemon answers.
function LinkChip(): JSX.Element {
  const { ms, jitter, linked } = useShown((state) => ({
    ms: state.roundTripMs === undefined ? undefined : Math.round(state.roundTripMs),
    jitter: Math.round(state.jitterMs), linked: state.link === "open",
  }));
  const quality = !linked || ms === undefined ? "bad" : ms > 300 ? "bad" : ms > 100 ? "fair" : "good";
  const words = { good: "good", fair: "slow", bad: linked ? "bad" : "none" }[quality];
  return (
    <span class={`chip link ${quality}`} title="Round trip to the daemon, and how much it varies">
      <i class="beat" aria-hidden="true" />
      <span class="chip-two">
        <b><span class="digits">{ms === undefined ? "–" : ms}</span> ms <span class="digits vary">±{jitter}</span></b>
        <small>link {words}</small>
      </span>
    </span>
  );
}

function ThemeChip(): JSX.Element {
  const [dark, setDark] = useState(isDark());
  useEffect(() => onTheme(() => setDark(isDark())), []);
  return (
    <button type="button" class="chip theme" title={dark ? "Light colours" : "Dark colours"}
      aria-label={dark ? "Change to light colours" : "Change to dark colours"}
      onClick={() => chooseTheme(dark ? "light" : "dark")}>
      {dark ? <Sun /> : <Moon />}
    </button>
  );
}

function Chips(props: { onHelp: () => void }): JSX.Element {
  const session = useSession();
  const { muted, name, role, viewers, pad } = useShown((state) => ({
    muted: state.muted, name: shortName(state.hello?.you.name ?? ""), role: state.hello?.you.role ?? "",
    viewers: state.status?.viewers ?? 0, pad: state.pad,
  }));
  return (
    <div class="chips">
      {!isSecureContext && (
        <span class="chip insecure" title="Not encrypted: no microphone, no gamepad, and others on this network can read along">
          <Unlocked /><small>not private</small>
        </span>
      )}
      <LinkChip />
      <span class="chip who" title={`${role}; ${viewers} connected`}>
        {pad !== "" && <span class="with-pad" title={pad}><Pad /></span>}
        <span class="chip-two">
          <b>{name || "…"}</b>
          <small>{role}{viewers > 1 && ` · ${viewers} here`}</small>
        </span>
      </span>
      <ThemeChip />
      <button type="button" class="chip" aria-pressed={muted} aria-keyshortcuts="M"
        aria-label={muted ? "Sounds are off" : "Sounds are on"} title="Sounds (M)"
        onClick={() => session.setMuted(!muted)}>
        {muted ? <Muted /> : <Sound />}
      </button>
      <button type="button" class="chip" aria-label="Help, and all keys" title="Help (?)"
        onClick={props.onHelp}>
        <Question />
      </button>
    </div>
  );
}

export function Band(props: { onHelp: () => void }): JSX.Element {
  const { mood, word, line } = useShown((state) => {
    const shown = robotWord(state.status, state.link);
    const detail = state.link === "open" || state.linkDetail === "" ? shown.line : state.linkDetail;
    const busy = state.busy === "" ? "" : `Busy: ${state.busy} drives`;
    return { ...shown, line: busy || detail };
  });
  return (
    <header class="band" data-mood={mood}>
      <div class="state" role="status" aria-live="assertive" aria-atomic="true">
        <MoodIcon mood={mood} />
        <h1>{word}</h1>
        <p>{line}</p>
      </div>
      <Primary />
      <Chips onHelp={props.onHelp} />
    </header>
  );
}
