// @ts-check
// Lookup tables from 8-bit grey values to screen colours.

/** The 256 colours of a contrast setting, for a little-endian RGBA buffer.
 * @param {{black: number, white: number, invert: boolean}} contrast  black and white in 0..255
 * @returns {Uint32Array} */
export function greyTable({ black, white, invert }) {
  const table = new Uint32Array(256);
  const span = Math.max(1, white - black);
  for (let value = 0; value < 256; value++) {
    let grey = Math.round((255 * (value - black)) / span);
    grey = Math.min(255, Math.max(0, grey));
    if (invert) grey = 255 - grey;
    table[value] = (0xff000000 | (grey << 16) | (grey << 8) | grey) >>> 0;
  }
  return table;
}

/** @param {Uint8Array} bytes @param {Uint32Array} table @param {Uint32Array} out */
export function paintBytes(bytes, table, out) {
  for (let i = 0; i < bytes.length; i++) out[i] = table[bytes[i]];
}

// Cividis at nine even steps, which colour-blind people can distinguish; low values are dark.
const CIVIDIS = [
  [0, 34, 78], [26, 56, 111], [66, 78, 108], [96, 100, 112], [124, 123, 120],
  [156, 147, 119], [190, 173, 107], [225, 201, 85], [254, 232, 56],
];

/** @param {number} t 0..1 @returns {[number, number, number]} */
export function cividis(t) {
  const at = Math.min(1, Math.max(0, Number.isFinite(t) ? t : 0)) * (CIVIDIS.length - 1);
  const low = Math.min(CIVIDIS.length - 2, Math.floor(at));
  const mix = (/** @type {number} */ k) =>
    Math.round(CIVIDIS[low][k] + (CIVIDIS[low + 1][k] - CIVIDIS[low][k]) * (at - low));
  return [mix(0), mix(1), mix(2)];
}

/** The 256 colours of a score map. @returns {Uint32Array} */
export function scoreTable() {
  const table = new Uint32Array(256);
  for (let value = 0; value < 256; value++) {
    const [r, g, b] = cividis(value / 255);
    table[value] = (0xff000000 | (b << 16) | (g << 8) | r) >>> 0;
  }
  return table;
}

/** Histogram of the 256 values. @param {Uint8Array} bytes @returns {Uint32Array} */
export function byteCounts(bytes) {
  const counts = new Uint32Array(256);
  for (let i = 0; i < bytes.length; i++) counts[bytes[i]]++;
  return counts;
}
