// What is shown without a token, or with one that the daemon does not know.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { isToken, tokenFromHash } from "../link/token";

export function Door(props: { why?: string }): JSX.Element {
  const [text, setText] = useState("");
  const given = text.includes("#") ? tokenFromHash(text.slice(text.indexOf("#"))) : text.trim();
  const good = given !== undefined && isToken(given);
  return (
    <main class="door">
      <img src="/icon.svg" alt="" width="56" height="56" />
      <h1>Nudge</h1>
      {props.why !== undefined && <p role="alert"><b>{props.why}</b></p>}
      <p>
        This page opens with the address that the program printed when it started. It ends
        in <code>#token=…</code>. Open that address, or paste it here.
      </p>
      <form onSubmit={(event) => {
        event.preventDefault();
        if (good) location.hash = `token=${encodeURIComponent(given)}`;
      }}>
        <label>
          Address or token
          <input type="text" autocomplete="off" spellcheck={false} value={text}
            onInput={(event) => setText(event.currentTarget.value)} />
        </label>
        <button type="submit" class="button go" disabled={!good}>Open</button>
      </form>
    </main>
  );
}
