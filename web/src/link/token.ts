// The token comes in the address's fragment, which no server ever sees, and moves into the tab's own
// storage (link/pass), so that a copied address or a photograph of the screen gives nothing away.

export function tokenFromHash(hash: string): string | undefined {
  const value = new URLSearchParams(hash.replace(/^#/, "")).get("token");
  return value !== null && isToken(value) ? value : undefined;
}

// What a WebSocket subprotocol may carry (RFC 7230, token).
export function isToken(value: string): boolean {
  return /^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,512}$/.test(value);
}
