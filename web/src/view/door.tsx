// What is shown to a device that may not come in yet: how to, and a field for the pairing code.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { PassKeeper } from "../link/pass";
import { pairingCode } from "../link/pass";
import { isToken, tokenFromHash } from "../link/token";
import { setPreference } from "../state/preferences";
import { isDeviceName } from "../state/device_name";

interface Props {
  pass: PassKeeper;
  name: string;
  code?: string; // from the address
  why?: string; // the door was closed again
}

const onThisMachine = ["127.0.0.1", "localhost", "[::1]"].includes(location.hostname);

const platforms: [string, string][] = [
  ["iPad, iPhone", "Open the file in Safari and allow the profile; then Settings, General, VPN & Device Management: install it; then Settings, General, About, Certificate Trust Settings: switch it on."],
  ["Android", "Settings, Security, More, Encryption & credentials, Install a certificate, CA certificate: choose the file."],
  ["Mac", "Open the file with Keychain Access; open the certificate there, and set Trust to Always Trust."],
  ["Windows", "Open the file, Install Certificate, Current User, place it in Trusted Root Certification Authorities."],
  ["Linux, Chrome", "Settings, Privacy and security, Security, Manage certificates, Authorities: import the file."],
  ["Firefox", "Settings, Privacy & Security, Certificates, View Certificates, Authorities: import the file."],
];

function Pairing(props: Props): JSX.Element {
  const [code, setCode] = useState(props.code ?? "");
  const [name, setName] = useState(props.name);
  const [trouble, setTrouble] = useState("");
  const [busy, setBusy] = useState(false);
  const good = pairingCode(code);
  const named = isDeviceName(name.trim());
  const pair = async (): Promise<void> => {
    if (good === undefined || !named || busy) return;
    setBusy(true);
    setTrouble("");
    setPreference("name", name.trim());
    const told = await props.pass.pair(good, name.trim());
    if (told === "") {
      // Without the code in the address, which is used up.
      history.replaceState(null, "", location.pathname + location.search);
      location.reload();
      return;
    }
    setBusy(false);
    setTrouble(told);
  };
  return (
    <form class="pairing" onSubmit={(event) => {
      event.preventDefault();
      void pair();
    }}>
      <label>
        Pairing code
        <input class="code" type="text" autocomplete="one-time-code" autocapitalize="characters" spellcheck={false}
          placeholder="••••-••••" maxLength={12} value={code} aria-describedby="door-trouble"
          onInput={(event) => setCode(event.currentTarget.value.toUpperCase())} />
      </label>
      <label>
        Name of this device, which others see
        <input type="text" autocomplete="off" maxLength={40} value={name}
          onInput={(event) => setName(event.currentTarget.value)} />
      </label>
      <p id="door-trouble" class="trouble" role="alert">
        {trouble || (!named && name !== "" ? "A name is 1 to 40 plain letters, digits and signs, but no #." : "")}
      </p>
      <button type="submit" class="button go big" disabled={good === undefined || !named || busy}>
        {busy ? "Pairing" : "Pair this device"}
      </button>
    </form>
  );
}

function Address(): JSX.Element {
  const [text, setText] = useState("");
  const given = text.includes("#") ? tokenFromHash(text.slice(text.indexOf("#"))) : text.trim();
  const good = given !== undefined && isToken(given);
  return (
    <form class="row" onSubmit={(event) => {
      event.preventDefault();
      if (good) location.hash = `token=${encodeURIComponent(given)}`;
    }}>
      <input type="text" autocomplete="off" spellcheck={false} value={text} aria-label="Address or token"
        placeholder="http://127.0.0.1:8080/#token=…" onInput={(event) => setText(event.currentTarget.value)} />
      <button type="submit" class="button" disabled={!good}>Open</button>
    </form>
  );
}

export function Door(props: Props): JSX.Element {
  return (
    <main class="door">
      <header>
        <img src="/icon.svg" alt="" width="64" height="64" />
        <div>
          <h1>Nudge</h1>
          <p class="quiet">Watch a robot, take over, and teach it by every correction.</p>
        </div>
      </header>
      {props.why !== undefined && (
        <p class="closed" role="alert">
          <b>{props.why}</b>{" "}
          <button type="button" class="button small" onClick={() => location.reload()}>Try again</button>
        </p>
      )}
      <section class="card" aria-label="Pair this device">
        <h2>Pair this device</h2>
        <p>On the robot's computer run <code>nudge auth pair</code>. Scan the picture that it shows, or type its code here.</p>
        <Pairing {...props} />
      </section>
      <details class="card" open={props.why !== undefined && props.code === undefined}>
        <summary>I have an address that ends in <code>#token=…</code></summary>
        <p>The program printed it when it started. Open it, or paste it here; it lasts as long as this tab.</p>
        <Address />
      </details>
      {!onThisMachine && (
        <details class="card">
          <summary>The browser warns that this address is not private</summary>
          <p>The robot's computer vouches for itself. Get its certificate once, and the browser knows it from then
            on; the microphone and gamepads need that too.</p>
          <p><a class="button" href="/authority.crt" download="nudge-authority.crt">Get the certificate</a></p>
          <dl>
            {platforms.map(([platform, how]) => <div key={platform}><dt>{platform}</dt><dd>{how}</dd></div>)}
          </dl>
        </details>
      )}
    </main>
  );
}
