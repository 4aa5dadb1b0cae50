// What a person set on this device; a page that may not store anything works all the same.

export function preference(key: string): string | undefined {
  try {
    return localStorage.getItem(`nudge.${key}`) ?? undefined;
  } catch {
    return undefined;
  }
}

export function setPreference(key: string, value: string): void {
  try {
    localStorage.setItem(`nudge.${key}`, value);
  } catch {
    // Private windows may refuse; the setting then lasts as long as the page.
  }
}
