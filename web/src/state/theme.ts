// Light or dark: as the device is set, unless a person has chosen. Written on the document, so that
// one rule of the style sheet decides.
import { preference, setPreference } from "./preferences";

export const themes = ["auto", "light", "dark"] as const;
export type Theme = (typeof themes)[number];

const device = matchMedia("(prefers-color-scheme: dark)");
const watchers = new Set<() => void>();

export function chosenTheme(): Theme {
  const chosen = preference("theme");
  return themes.find((theme) => theme === chosen) ?? "auto";
}

export const isDark = (): boolean => {
  const chosen = chosenTheme();
  return chosen === "auto" ? device.matches : chosen === "dark";
};

function apply(): void {
  document.documentElement.dataset["theme"] = isDark() ? "dark" : "light";
  watchers.forEach((watcher) => watcher());
}

export function chooseTheme(theme: Theme): void {
  setPreference("theme", theme);
  apply();
}

// Called after each change; returns how to end that.
export function onTheme(watcher: () => void): () => void {
  watchers.add(watcher);
  return () => void watchers.delete(watcher);
}

export function followTheme(): void {
  device.addEventListener("change", apply);
  apply();
}
