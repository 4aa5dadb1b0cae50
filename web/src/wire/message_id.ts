// Ids of messages: never used twice, also not by another tab or after a reload.

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

// `random` gives bytes; 62 symbols from a byte are not quite even, which does not matter here.
export function sessionPrefix(random: (bytes: Uint8Array) => void): string {
  const bytes = new Uint8Array(12);
  random(bytes);
  return Array.from(bytes, (byte) => alphabet[byte % alphabet.length]).join("");
}

export class MessageIds {
  #count = 0;

  constructor(private readonly prefix: string) {}

  next(): string {
    this.#count += 1;
    return `page-${this.prefix}-${this.#count}`;
  }
}
