// Words to the robot, and what it made of them.
import type { JSX } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { Meaning } from "../wire/messages";
import { mayDrive, useSession, useShown } from "./seat";

const mostBytes = 1000;
const bytesOf = (text: string): number => new TextEncoder().encode(text).length;
const stateWords = { sending: "sending", stored: "", refused: "not stored" } as const;

export function WordsPanel(props: { active: boolean }): JSX.Element {
  const session = useSession();
  const { words, able } = useShown((state) => ({
    words: state.words, able: mayDrive(state) && state.link === "open",
  }));
  const [text, setText] = useState("");
  const [meant, setMeant] = useState<Meaning>("instruction");
  const field = useRef<HTMLInputElement>(null);
  const bytes = bytesOf(text.trim());

  useEffect(() => {
    // With a touch screen this would bring up the keyboard unasked.
    if (props.active && matchMedia("(pointer: fine)").matches) field.current?.focus();
  }, [props.active]);

  return (
    <div class="panel words">
      <form onSubmit={(event) => {
        event.preventDefault();
        // From the field itself: Enter may come before the last letter has been rendered.
        const said = (field.current?.value ?? "").trim();
        if (!able || said === "" || bytesOf(said) > mostBytes) return;
        session.say(said, meant);
        setText("");
      }}>
        <div class="segmented" role="radiogroup" aria-label="What the words are">
          {(["instruction", "comment"] as const).map((each) => (
            <label key={each} class={meant === each ? "chosen" : ""}>
              <input type="radio" name="meant" checked={meant === each} onChange={() => setMeant(each)} />
              {each === "instruction" ? "Instruction" : "Comment"}
            </label>
          ))}
        </div>
        <div class="row">
          <input ref={field} type="text" autocomplete="off" enterkeyhint="send" value={text}
            aria-label={meant === "instruction" ? "Tell the robot what to do" : "A comment for the log"}
            placeholder={meant === "instruction" ? "Tell the robot what to do" : "A comment for the log"}
            onInput={(event) => setText(event.currentTarget.value)} />
          <button type="submit" class="button go" disabled={!able}>Send</button>
        </div>
        <p class="quiet">
          {bytes > mostBytes ? `Too long: ${bytes} of ${mostBytes} bytes` : "“Stop” makes the robot hold. Esc leaves the text."}
        </p>
      </form>
      <ol class="said" aria-label="The last five">
        {words.map((each) => (
          <li key={each.id} data-state={each.state}>
            <button type="button" class="again" title="Use these words again"
              onClick={() => {
                setText(each.text);
                setMeant(each.meant);
                field.current?.focus();
              }}>
              <b>{each.text}</b>
              <small>{each.who}, {each.meant}{stateWords[each.state] && `, ${stateWords[each.state]}`}</small>
              {each.echo !== "" && <span class="echo">{each.echo}</span>}
            </button>
          </li>
        ))}
        {words.length === 0 && <li class="quiet">Nothing said yet.</li>}
      </ol>
    </div>
  );
}
