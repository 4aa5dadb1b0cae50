// One camera frame: a header of 24 bytes, little-endian, and a JPEG.

export const frameHeaderBytes = 24;

export interface Frame {
  camera: number; // index in the hello's list
  sequence: number; // of the camera; wraps at 2^32
  capturedMs: number; // robot's steady clock
  width: number;
  height: number;
  ageMs: number; // when it was sent
  jpeg: Uint8Array<ArrayBuffer>;
}

// Undefined: too short, or a version of the format that this page does not know.
export function parseFrame(buffer: ArrayBuffer): Frame | undefined {
  if (buffer.byteLength <= frameHeaderBytes) return undefined;
  const view = new DataView(buffer);
  if (view.getUint16(2, true) !== 1) return undefined;
  return {
    camera: view.getUint16(0, true),
    sequence: view.getUint32(4, true),
    capturedMs: Number(view.getBigUint64(8, true)) / 1e6,
    width: view.getUint16(16, true),
    height: view.getUint16(18, true),
    ageMs: view.getUint32(20, true) / 1000,
    jpeg: new Uint8Array(buffer, frameHeaderBytes),
  };
}
