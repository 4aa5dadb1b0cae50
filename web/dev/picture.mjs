// A moving picture for work on the page: a counter, an arm, a block.
import jpeg from "jpeg-js";

const size = 256;

function box(pixels, x0, y0, x1, y1, [r, g, b]) {
  for (let y = Math.max(0, y0 | 0); y < Math.min(size, y1 | 0); y += 1) {
    for (let x = Math.max(0, x0 | 0); x < Math.min(size, x1 | 0); x += 1) {
      const at = 4 * (y * size + x);
      pixels[at] = r;
      pixels[at + 1] = g;
      pixels[at + 2] = b;
    }
  }
}

// `tool` and `block` in metres, in the robot's frame: x towards the front camera, y to its right.
export function picture(camera, tool, block, open) {
  const pixels = Buffer.alloc(4 * size * size, 255);
  const across = (y) => size / 2 + y * 330;
  const down = (x, z) => 150 + (x - 0.4) * 330 - z * 300;
  box(pixels, 0, 0, size, size, [186, 148, 104]);
  if (camera === 0) {
    box(pixels, 0, 0, size, 96, [126, 158, 154]);
    for (let line = 0; line < size; line += 32) box(pixels, line, 0, line + 2, 96, [164, 189, 184]);
    for (let line = 0; line < 96; line += 32) box(pixels, 0, line, size, line + 2, [164, 189, 184]);
    box(pixels, 30, 140, 226, 236, [201, 172, 127]);
    const bx = across(block.y);
    const by = down(block.x, block.z);
    box(pixels, bx - 10, by - 10, bx + 10, by + 10, [196, 38, 30]);
    const tx = across(tool.y);
    const ty = down(tool.x, tool.z);
    box(pixels, tx - 9, 0, tx + 9, ty - 40, [221, 221, 219]);
    box(pixels, tx - 26, ty - 44, tx + 26, ty - 22, [47, 54, 66]);
    const gap = 9 + 130 * open;
    box(pixels, tx - gap - 5, ty - 22, tx - gap, ty + 4, [34, 40, 50]);
    box(pixels, tx + gap, ty - 22, tx + gap + 5, ty + 4, [34, 40, 50]);
  } else {
    const scale = 900;
    const bx = size / 2 + (block.y - tool.y) * scale;
    const by = size / 2 - (tool.x - block.x) * scale;
    const half = 24 + Math.max(0, 0.3 - (tool.z - block.z)) * 60;
    box(pixels, 0, 0, size, size, [201, 172, 127]);
    box(pixels, bx - half, by - half, bx + half, by + half, [196, 38, 30]);
    const gap = 40 + 600 * open;
    box(pixels, size / 2 - gap - 26, 190, size / 2 - gap, size, [34, 40, 50]);
    box(pixels, size / 2 + gap, 190, size / 2 + gap + 26, size, [34, 40, 50]);
  }
  return jpeg.encode({ data: pixels, width: size, height: size }, 80).data;
}
