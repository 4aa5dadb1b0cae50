// What waits for an answer of the person at this page: the robot asks for help, or somebody asks to
// drive. Below the pictures, so that none is covered above and nothing moves about.
import type { JSX } from "preact";
import { Raised } from "./icons";
import { HoldButton } from "./hold_button";
import type { PageState } from "../state/page_state";
import { mayDrive, useSession, useShown } from "./seat";

const helpHand = "help";

// The robot's question that this person has not put off; 0: none. Whoever drives is help enough.
export const pleaOf = (state: PageState): number => {
  const id = state.status?.help?.id ?? 0;
  return id === state.declinedHelp || state.status?.lease.holder !== undefined ? 0 : id;
};

function Help(): JSX.Element | null {
  const session = useSession();
  const { id, why, score, held, able } = useShown((state) => ({
    id: pleaOf(state), why: state.status?.help?.why ?? "",
    score: Math.round(100 * (state.status?.help?.score ?? 0)),
    held: state.drive.hands.split(" ").includes(helpHand), able: mayDrive(state),
  }));
  // Stays for as long as its button is held: a button that went would let go of the robot.
  if (!held && id === 0) return null;
  return (
    <section class="question plea" aria-label="The robot asks for help" role="alertdialog">
      <Raised />
      <div class="question-words">
        <h2>The robot asks for help</h2>
        <p>{held ? "Yours. Put the other thumb on a stick, or let go and it holds." : why || "It is unsure what to do."}</p>
        {!held && score > 0 && (
          <meter min="0" max="100" value={score} aria-label="How unsure it is">{score} %</meter>
        )}
      </div>
      {able && (
        <HoldButton hand={helpHand} wish={{}} class="big go" disabled={false}>
          {held ? "You hold it" : "Hold to take over"}
        </HoldButton>
      )}
      {able && (
        <button type="button" class="button big" disabled={held} aria-keyshortcuts="0"
          title="It does not ask again in this episode" onClick={() => session.declineHelp()}>
          Not now <kbd>0</kbd>
        </button>
      )}
    </section>
  );
}

function Asker(): JSX.Element | null {
  const session = useSession();
  const { asker, mine } = useShown((state) => ({
    asker: state.asker, mine: state.status?.lease.mine ?? false,
  }));
  if (asker === "" || !mine) return null;
  return (
    <section class="question" aria-label="Somebody asks to drive" role="alertdialog">
      <Raised />
      <div class="question-words">
        <h2>{asker} asks to drive</h2>
        <p>If you pass control, the robot holds until {asker} takes it.</p>
      </div>
      <button type="button" class="button big go" aria-keyshortcuts="P" onClick={() => session.passControl()}>
        Pass control <kbd>P</kbd>
      </button>
      <button type="button" class="button big" onClick={() => session.keepControl()}>Not now</button>
    </section>
  );
}

export function Questions(): JSX.Element {
  return (
    <div class="questions" aria-live="assertive">
      <Asker />
      <Help />
    </div>
  );
}
