// Words to the robot, and what it made of them.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { mayConfirm, mayUndo, outcomeOfWords, understoodWords } from "../state/words";
import type { SaidWords } from "../state/words";
import type { Meaning } from "../wire/messages";
import { Back, Speech, Tick } from "./icons";
import { whyNoSpeech } from "./listening";
import { mayDrive, useSession, useShown } from "./seat";
import { TalkButton } from "./talk_button";

const mostBytes = 1000;
const bytesOf = (text: string): number => new TextEncoder().encode(text).length;
// Until the daemon has told its own.
const firstPhrases = ["a bit lower", "a bit higher", "to the left", "to the right", "slower", "open the gripper"];
const examples = "It understands small moves (“a bit lower”, “2 cm to the left”), “stop”, “slower”, “faster”, " +
  "“open the gripper”, “let go”, “go back”. Anything that is not about moving now is a new task.";

// The time, each half second while somebody may still confirm.
function useNow(running: boolean): number {
  const [now, setNow] = useState(performance.now());
  useEffect(() => {
    if (!running) return undefined;
    setNow(performance.now());
    const timer = window.setInterval(() => setNow(performance.now()), 500);
    return () => window.clearInterval(timer);
  }, [running]);
  return now;
}

function Said(props: { words: SaidWords; now: number; able: boolean; newest: boolean; onAgain: () => void }): JSX.Element {
  const session = useSession();
  const { words } = props;
  const outcome = outcomeOfWords(words, props.now);
  const confirm = mayConfirm(words, props.now);
  const left = Math.max(0, Math.ceil((words.confirmUntil - props.now) / 1000));
  const lost = words.understood?.use === "not_understood";
  return (
    <li data-state={words.state} data-tone={outcome.tone} class={props.newest ? "newest" : ""}>
      <button type="button" class="again" title="Use these words again" onClick={props.onAgain}>
        <b>{words.text}</b>
        {!words.mine && <small>{words.who}</small>}
      </button>
      <p class="echo">{understoodWords(words)}</p>
      {outcome.text !== "" && <p class="outcome">{outcome.text}</p>}
      {lost && <p class="outcome">{examples}</p>}
      <div class="acts">
        {confirm && (
          <button type="button" class="button go" disabled={!props.able || words.asking !== ""}
            aria-label={`Confirm: ${words.understood?.as || words.text}`} onClick={() => session.confirmWords(words.id)}>
            <Tick />Confirm <span class="digits" aria-hidden="true">{left} s</span>
          </button>
        )}
        {mayUndo(words) && (
          <button type="button" class="button undo" disabled={!props.able || words.asking !== ""}
            aria-label={`Undo: ${words.text}`} onClick={() => session.undoWords(words.id)}>
            <Back />Undo
          </button>
        )}
      </div>
    </li>
  );
}

export function WordsPanel(props: { active: boolean }): JSX.Element {
  const session = useSession();
  const { words, able, phrases } = useShown((state) => ({
    words: state.words, able: mayDrive(state) && state.link === "open", phrases: state.phrases,
  }));
  const [text, setText] = useState("");
  const [meant, setMeant] = useState<Meaning>("instruction");
  const [trouble, setTrouble] = useState("");
  const field = useRef<HTMLInputElement>(null);
  const bytes = bytesOf(text.trim());
  const now = useNow(words.some((each) => each.confirmUntil > 0 && each.state === "stored"));
  const speechless = whyNoSpeech();

  useEffect(() => {
    // With a touch screen this would bring up the keyboard unasked.
    if (props.active && matchMedia("(pointer: fine)").matches) field.current?.focus();
  }, [props.active]);

  const say = (said: string): void => {
    const trimmed = said.trim();
    if (!able || trimmed === "" || bytesOf(trimmed) > mostBytes) return;
    setTrouble("");
    session.say(trimmed, meant);
    setText("");
  };
  const quick = phrases === undefined || phrases.quick.length === 0 ? firstPhrases : phrases.quick;
  const here = new Set(words.map((each) => each.text));
  const earlier = (phrases?.last ?? []).filter((each) => !here.has(each)).slice(0, Math.max(0, 5 - words.length));

  const said = (each: SaidWords): JSX.Element => (
    <Said key={each.id} words={each} now={now} able={able} newest={each === words[0]}
      onAgain={() => {
        setText(each.text);
        setMeant(each.meant);
        field.current?.focus();
      }} />
  );

  return (
    <div class="panel words">
      <form onSubmit={(event) => {
        event.preventDefault();
        // From the field itself: Enter may come before the last letter has been rendered.
        say(field.current?.value ?? "");
      }}>
        <div class="row">
          <input ref={field} type="text" autocomplete="off" enterkeyhint="send" value={text}
            aria-label={meant === "instruction" ? "Tell the robot what to do" : "A comment for the log"}
            placeholder={meant === "instruction" ? "Tell the robot what to do" : "A comment for the log"}
            onInput={(event) => setText(event.currentTarget.value)} />
          {speechless === "" && (
            <TalkButton disabled={!able} onHeard={setText} onSaid={say} onFailed={setTrouble} />
          )}
          <button type="submit" class="button go" disabled={!able}>Send</button>
        </div>
        <div class="phrases" role="group" aria-label="Quick phrases">
          {quick.map((each) => (
            <button key={each} type="button" class="button phrase" disabled={!able} onClick={() => say(each)}>{each}</button>
          ))}
        </div>
      </form>
      <ol class="said" aria-label="What was said last" aria-live="polite">
        {words.slice(0, 1).map(said)}
        {words.length === 0 && (
          <li class="nothing"><Speech /><p><b>Nothing said yet.</b> {examples}</p></li>
        )}
      </ol>
      <div class="meant">
        <div class="segmented" role="radiogroup" aria-label="What the words are">
          {(["instruction", "comment"] as const).map((each) => (
            <label key={each} class={meant === each ? "chosen" : ""}>
              <input type="radio" name="meant" checked={meant === each} onChange={() => setMeant(each)} />
              {each === "instruction" ? "To the robot" : "Comment"}
            </label>
          ))}
        </div>
        <p class="hint" role="status">
          {bytes > mostBytes ? `Too long: ${bytes} of ${mostBytes} bytes` : trouble || speechless || "“Stop” makes the robot hold."}
        </p>
      </div>
      <ol class="said" aria-label="Said before">
        {words.slice(1).map(said)}
        {earlier.map((each) => (
          <li key={`earlier ${each}`} data-state="earlier">
            <button type="button" class="again" title="Use these words again" onClick={() => {
              setText(each);
              field.current?.focus();
            }}><b>{each}</b><small>earlier</small></button>
          </li>
        ))}
      </ol>
    </div>
  );
}
