// The token comes in the address's fragment, which no server ever sees, and moves into the tab's own
// storage, so that a copied address or a photograph of the screen gives nothing away.

const key = "nudge.token";

export interface TokenPlaces {
  hash: string;
  storage: Pick<Storage, "getItem" | "setItem">;
  cleanAddress: () => void;
}

export function tokenFromHash(hash: string): string | undefined {
  const value = new URLSearchParams(hash.replace(/^#/, "")).get("token");
  return value !== null && isToken(value) ? value : undefined;
}

// What a WebSocket subprotocol may carry (RFC 7230, token).
export function isToken(value: string): boolean {
  return /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,512}$/.test(value);
}

export function takeToken(places: TokenPlaces): string | undefined {
  const given = tokenFromHash(places.hash);
  if (given !== undefined) {
    places.storage.setItem(key, given);
    places.cleanAddress();
    return given;
  }
  return places.storage.getItem(key) ?? undefined;
}
