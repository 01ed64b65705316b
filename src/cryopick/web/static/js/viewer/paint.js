// @ts-check
// Drawing of the two layers: the micrograph, and labels and picks above it.

import { hatching, MARKS, scoreColour, stamp } from "./stamps.js";
import { rasterPicks } from "./raster.js";
import { smooths } from "./tiles.js";
import { scaleBar, toScreen } from "./view.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {{points: [number, number][], kind: string}} Region */
/** @typedef {{n: number, x: Float32Array, y: Float32Array, score: Float32Array}} PickSet */
/** @typedef {object} Scene
 * @property {{id: string, x: number, y: number, kind: string}[]} labels
 * @property {Iterable<Region>} regions
 * @property {PickSet | null} picks
 * @property {(i: number) => boolean} shown  whether a pick is selected
 * @property {[number, number]} scoreRange
 * @property {number} radius  of a particle, micrograph px
 * @property {string | null} selected
 * @property {{x: number, y: number} | null} candidate  to accept or reject
 * @property {[number, number] | null} cursor
 * @property {[number, number][] | null} outline  of the region being drawn
 * @property {{x: number, y: number, radius: number} | null} brush
 * @property {[[number, number], [number, number]] | null} ruler  across a particle
 * @property {boolean} hidden
 * @property {number} box  side of the boxes to draw, micrograph px, or 0
 * @property {number} angPerPx */

const MANY = 5000;

/** @param {CanvasRenderingContext2D} pen @param {HTMLCanvasElement | null} picture
 * @param {{x: number, y: number, width: number, height: number}} extent micrograph px of the picture's edges
 * @param {View} view @param {number} ratio */
export function paintImage(pen, picture, extent, view, ratio) {
  const { width, height } = pen.canvas;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.fillStyle = "#0b0d10";
  pen.fillRect(0, 0, width, height);
  if (!picture) return;
  const size = { width: width / ratio, height: height / ratio };
  const [sx, sy] = toScreen(view, size, extent.x, extent.y);
  const w = extent.width * view.zoom * ratio;
  pen.imageSmoothingEnabled = smooths(w / picture.width);
  pen.drawImage(picture, sx * ratio, sy * ratio, w, extent.height * view.zoom * ratio);
}

/** Blend an image over the micrograph. @param {CanvasRenderingContext2D} pen @param {{picture: HTMLCanvasElement, extent: {x: number, y: number, width: number, height: number}}} layer
 * @param {number} opacity @param {View} view @param {number} ratio */
export function paintOver(pen, { picture, extent }, opacity, view, ratio) {
  const size = { width: pen.canvas.width / ratio, height: pen.canvas.height / ratio };
  const [sx, sy] = toScreen(view, size, extent.x, extent.y).map((v) => v * ratio);
  pen.imageSmoothingEnabled = true;
  pen.globalAlpha = opacity;
  pen.drawImage(picture, sx, sy, extent.width * view.zoom * ratio, extent.height * view.zoom * ratio);
  pen.globalAlpha = 1;
}

/** @param {CanvasRenderingContext2D} pen @param {Scene} scene @param {View} view @param {number} ratio */
export function paintMarks(pen, scene, view, ratio) {
  const { width, height } = pen.canvas;
  const size = { width: width / ratio, height: height / ratio };
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, width, height);
  const radius = scene.radius * view.zoom * ratio;
  if (!scene.hidden) {
    if (scene.picks) paintPicks(pen, scene, view, size, ratio, radius);
    for (const region of scene.regions) paintRegion(pen, region.points, true, view, size, ratio);
    for (const label of scene.labels) {
      const mark = MARKS[label.kind] ?? MARKS.pos;
      put(pen, stamp(mark, radius, ratio), label, view, size, ratio);
      if (label.id === scene.selected)
        put(pen, stamp(MARKS.selected, radius + 4 * ratio, ratio), label, view, size, ratio);
    }
  }
  if (scene.box && !scene.hidden) paintBoxes(pen, scene, view, size, ratio);
  if (scene.candidate) {
    put(pen, stamp(MARKS.selected, radius + 4 * ratio, ratio), scene.candidate, view, size, ratio);
    put(pen, stamp(MARKS.selected, radius + 9 * ratio, ratio), scene.candidate, view, size, ratio);
  }
  if (scene.outline) paintRegion(pen, scene.outline, false, view, size, ratio);
  if (scene.ruler) paintRuler(pen, scene.ruler, view, size, ratio);
  if (scene.brush) paintBrush(pen, scene.brush, view, size, ratio);
  if (scene.cursor) paintCursor(pen, scene.cursor, view, size, ratio);
  paintScaleBar(pen, scene.angPerPx, view, size, ratio);
}

/** Boxes of the particles that an export contains. @param {CanvasRenderingContext2D} pen @param {Scene} scene @param {View} view
 * @param {{width: number, height: number}} size @param {number} ratio */
function paintBoxes(pen, scene, view, size, ratio) {
  const side = scene.box * view.zoom * ratio;
  pen.beginPath();
  const add = (/** @type {number} */ x, /** @type {number} */ y) => {
    const [sx, sy] = toScreen(view, size, x, y).map((v) => v * ratio);
    if (sx > -side && sy > -side && sx < pen.canvas.width + side && sy < pen.canvas.height + side) pen.rect(sx - side / 2, sy - side / 2, side, side);
  };
  const { picks } = scene;
  if (picks && picks.n <= MANY) for (let i = 0; i < picks.n; i++) if (scene.shown(i)) add(picks.x[i], picks.y[i]);
  for (const label of scene.labels) if (label.kind === "pos") add(label.x, label.y);
  pen.lineWidth = 2.4 * ratio;
  pen.strokeStyle = "rgba(0,0,0,.5)";
  pen.stroke();
  pen.lineWidth = ratio;
  pen.strokeStyle = "#fff";
  pen.stroke();
}

/** @param {CanvasRenderingContext2D} pen @param {HTMLCanvasElement} mark @param {{x: number, y: number}} at
 * @param {View} view @param {{width: number, height: number}} size @param {number} ratio */
function put(pen, mark, at, view, size, ratio) {
  const [sx, sy] = toScreen(view, size, at.x, at.y);
  const half = mark.width / 2;
  const px = sx * ratio - half;
  const py = sy * ratio - half;
  if (px > -mark.width && py > -mark.width && px < pen.canvas.width && py < pen.canvas.height)
    pen.drawImage(mark, Math.round(px), Math.round(py));
}

/** @param {CanvasRenderingContext2D} pen @param {Scene} scene @param {View} view
 * @param {{width: number, height: number}} size @param {number} ratio @param {number} radius */
function paintPicks(pen, scene, view, size, ratio, radius) {
  const picks = /** @type {PickSet} */ (scene.picks);
  const [low, high] = scene.scoreRange;
  const span = high - low || 1;
  const scale = view.zoom * ratio;
  const left = (size.width / 2 - view.cx * view.zoom) * ratio;
  const top = (size.height / 2 - view.cy * view.zoom) * ratio;
  const { width, height } = pen.canvas;
  if (picks.n > MANY) return rasterPicks(pen, picks, scene.shown, { scale, left, top, radius, ratio, low, high });
  for (let i = 0; i < picks.n; i++) {
    const sx = left + picks.x[i] * scale;
    const sy = top + picks.y[i] * scale;
    if (sx < -radius || sy < -radius || sx > width + radius || sy > height + radius) continue;
    if (!scene.shown(i)) continue;
    const colour = scoreColour((picks.score[i] - low) / span);
    const mark = stamp({ ...MARKS.pick, colour }, radius, ratio);
    pen.drawImage(mark, Math.round(sx - mark.width / 2), Math.round(sy - mark.height / 2));
  }
}

/** @param {CanvasRenderingContext2D} pen @param {[number, number][]} points @param {boolean} closed
 * @param {View} view @param {{width: number, height: number}} size @param {number} ratio */
function paintRegion(pen, points, closed, view, size, ratio) {
  if (!points.length) return;
  pen.beginPath();
  points.forEach(([x, y], k) => {
    const [sx, sy] = toScreen(view, size, x, y);
    if (k) pen.lineTo(sx * ratio, sy * ratio);
    else pen.moveTo(sx * ratio, sy * ratio);
  });
  if (closed) {
    pen.closePath();
    pen.fillStyle = hatching(pen) ?? "rgba(233,84,170,0.25)";
    pen.fill();
  }
  for (const [width, colour] of /** @type {[number, string][]} */ ([[4, "rgba(0,0,0,.5)"], [1.8, "#ff78c4"]])) {
    pen.lineWidth = width * ratio;
    pen.strokeStyle = colour;
    pen.stroke();
  }
  if (closed) return;
  pen.fillStyle = "#ff78c4";
  for (const [x, y] of points) {
    const [sx, sy] = toScreen(view, size, x, y);
    pen.fillRect((sx - 3) * ratio, (sy - 3) * ratio, 6 * ratio, 6 * ratio);
  }
}

/** @param {CanvasRenderingContext2D} pen @param {{x: number, y: number, radius: number}} brush
 * @param {View} view @param {{width: number, height: number}} size @param {number} ratio */
function paintBrush(pen, brush, view, size, ratio) {
  const [sx, sy] = toScreen(view, size, brush.x, brush.y);
  pen.beginPath();
  pen.arc(sx * ratio, sy * ratio, brush.radius * view.zoom * ratio, 0, 2 * Math.PI);
  pen.fillStyle = "rgba(255,255,255,.1)";
  pen.fill();
  pen.lineWidth = 3.5 * ratio;
  pen.strokeStyle = "rgba(0,0,0,.55)";
  pen.stroke();
  pen.lineWidth = 1.5 * ratio;
  pen.strokeStyle = "#fff";
  pen.stroke();
}

/** A line across a particle, and the circle of that diameter. @param {CanvasRenderingContext2D} pen
 * @param {[[number, number], [number, number]]} ruler @param {View} view @param {{width: number, height: number}} size @param {number} ratio */
function paintRuler(pen, [from, to], view, size, ratio) {
  const [x0, y0] = toScreen(view, size, ...from).map((v) => v * ratio);
  const [x1, y1] = toScreen(view, size, ...to).map((v) => v * ratio);
  pen.beginPath();
  pen.moveTo(x0, y0);
  pen.lineTo(x1, y1);
  pen.moveTo(x1, y1);
  pen.arc((x0 + x1) / 2, (y0 + y1) / 2, Math.hypot(x1 - x0, y1 - y0) / 2, Math.atan2(y1 - y0, x1 - x0), Math.atan2(y1 - y0, x1 - x0) + 2 * Math.PI);
  for (const [width, colour] of /** @type {[number, string][]} */ ([[4, "rgba(0,0,0,.6)"], [1.6, "#ffd84d"]])) {
    pen.lineWidth = width * ratio;
    pen.strokeStyle = colour;
    pen.stroke();
  }
}

/** @param {CanvasRenderingContext2D} pen @param {[number, number]} at @param {View} view
 * @param {{width: number, height: number}} size @param {number} ratio */
function paintCursor(pen, at, view, size, ratio) {
  const [sx, sy] = toScreen(view, size, at[0], at[1]).map((v) => Math.round(v * ratio));
  const arm = 14 * ratio;
  const gap = 4 * ratio;
  pen.beginPath();
  for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
    pen.moveTo(sx + dx * gap, sy + dy * gap);
    pen.lineTo(sx + dx * arm, sy + dy * arm);
  }
  for (const [width, colour] of /** @type {[number, string][]} */ ([[5, "rgba(0,0,0,.6)"], [2, "#fff"]])) {
    pen.lineWidth = width * ratio;
    pen.strokeStyle = colour;
    pen.stroke();
  }
}

/** @param {CanvasRenderingContext2D} pen @param {number} angPerPx @param {View} view
 * @param {{width: number, height: number}} size @param {number} ratio */
function paintScaleBar(pen, angPerPx, view, size, ratio) {
  if (!(angPerPx > 0)) return;
  const bar = scaleBar(angPerPx / view.zoom, Math.min(180, size.width / 3));
  const x = 18 * ratio;
  const y = (size.height - 22) * ratio;
  pen.font = `600 ${12.5 * ratio}px system-ui, sans-serif`;
  const text = pen.measureText(bar.text).width;
  const wide = Math.max(bar.width * ratio, text);
  pen.fillStyle = "rgba(8,10,13,.66)";
  pen.beginPath();
  pen.roundRect(x - 9 * ratio, y - 24 * ratio, wide + 18 * ratio, 34 * ratio, 6 * ratio);
  pen.fill();
  pen.fillStyle = "#fff";
  pen.fillRect(x, y, bar.width * ratio, 3 * ratio);
  pen.fillText(bar.text, x, y - 8 * ratio);
}
