// Prints a Parquet file as JSON: node read.mjs FILE. Bytes become {"bytes": how many, "sha256"}.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { parquetMetadata, parquetReadObjects } from "hyparquet";

const content = readFileSync(process.argv[2]);
const file = content.buffer.slice(content.byteOffset, content.byteOffset + content.byteLength);
const metadata = parquetMetadata(file);
const rows = await parquetReadObjects({ file, utf8: false });
const plain = (_, value) => {
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) {
    return { bytes: value.length, sha256: createHash("sha256").update(value).digest("hex") };
  }
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  return value;
};
const schema = metadata.schema.map(({ name, type, converted_type, repetition_type }) => ({
  name,
  type,
  converted_type,
  repetition_type,
}));
const keys = Object.fromEntries(
  (metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value]),
);
console.log(JSON.stringify({ schema, keys, groups: metadata.row_groups.length, rows }, plain));
