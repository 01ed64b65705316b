// @ts-check
// Conversion between micrograph pixels and screen pixels. Pixel centres are at integers,
// (0, 0) is the first stored row and column, drawn at the top left.

/** @typedef {{cx: number, cy: number, zoom: number}} View  micrograph position at the centre of the view; screen px per micrograph px */
/** @typedef {{width: number, height: number}} Size */

const MIN_ZOOM = 0.01;
const MAX_ZOOM = 16;

/** @param {View} v @param {Size} s @param {number} x @param {number} y */
export const toScreen = (v, s, x, y) => [
  s.width / 2 + (x - v.cx) * v.zoom,
  s.height / 2 + (y - v.cy) * v.zoom,
];

/** @param {View} v @param {Size} s @param {number} sx @param {number} sy */
export const toImage = (v, s, sx, sy) => [
  v.cx + (sx - s.width / 2) / v.zoom,
  v.cy + (sy - s.height / 2) / v.zoom,
];

/** Fit the micrograph into the view with a small margin. @param {Size} image @param {Size} screen @returns {View} */
export function fit(image, screen) {
  const zoom = Math.min(screen.width / image.width, screen.height / image.height) * 0.97;
  return { cx: (image.width - 1) / 2, cy: (image.height - 1) / 2, zoom: clampZoom(zoom) };
}

const clampZoom = (/** @type {number} */ z) =>
  Number.isFinite(z) ? Math.min(MAX_ZOOM, Math.max(MIN_ZOOM, z)) : 1;

/** Zoom by a factor; the micrograph point under (sx, sy) stays there.
 * @param {View} v @param {Size} s @param {number} sx @param {number} sy @param {number} factor @returns {View} */
export function zoomAt(v, s, sx, sy, factor) {
  const zoom = clampZoom(v.zoom * factor);
  const [x, y] = toImage(v, s, sx, sy);
  return { cx: x - (sx - s.width / 2) / zoom, cy: y - (sy - s.height / 2) / zoom, zoom };
}

/** @param {View} v @param {number} dx screen px @param {number} dy screen px @returns {View} */
export const panBy = (v, dx, dy) => ({ ...v, cx: v.cx - dx / v.zoom, cy: v.cy - dy / v.zoom });

/** Move the view by less than a pixel so that raw pixels coincide with screen pixels, where they are as large or a whole
 * number of times larger. @param {View} v @param {Size} s @param {number} ratio device px per CSS px @returns {View} */
export function snap(v, s, ratio) {
  const scale = v.zoom * ratio;
  if (scale < 0.999 || Math.abs(scale - Math.round(scale)) > 1e-6) return v;
  const align = (/** @type {number} */ centre, /** @type {number} */ side) => {
    const edge = (side / 2) * ratio - (centre + 0.5) * scale; // of the first pixel, device px
    return centre + (edge - Math.round(edge)) / scale;
  };
  return { ...v, cx: align(v.cx, s.width), cy: align(v.cy, s.height) };
}

/** Keep a part of the micrograph visible. @param {View} v @param {Size} image @returns {View} */
export const keepInside = (v, image) => ({
  ...v,
  cx: Math.min(image.width, Math.max(0, v.cx)),
  cy: Math.min(image.height, Math.max(0, v.cy)),
});

/** A round length for the scale bar, at most `room` screen pixels wide.
 * @param {number} angPerScreenPx @param {number} room */
export function scaleBar(angPerScreenPx, room) {
  const maximum = angPerScreenPx * room;
  const power = 10 ** Math.floor(Math.log10(maximum));
  const step = [5, 2, 1].find((n) => n * power <= maximum) ?? 1;
  const ang = step * power;
  const text = ang >= 10000 ? `${ang / 10000} µm` : ang >= 100 ? `${ang / 10} nm` : `${ang} Å`;
  return { width: ang / angPerScreenPx, text };
}
