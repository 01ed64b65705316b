// @ts-check
// The two canvases, redrawn only after changes.

import { greyTable, paintBytes, scoreTable } from "./lut.js";
import { paintImage, paintMarks, paintOver } from "./paint.js";
import { TileLayer } from "./tiles.js";
import { fit, keepInside, panBy, snap, toImage, toScreen, zoomAt } from "./view.js";

/** @typedef {import("./view.js").View} View */
/** @typedef {{bytes: Uint8Array, counts: Uint32Array, width: number, height: number, extent: {x: number, y: number, width: number, height: number}}} Plane */

/** @param {HTMLElement} root @param {string} name */
function layer(root, name) {
  const canvas = document.createElement("canvas");
  canvas.className = `layer ${name}`;
  canvas.setAttribute("aria-hidden", "true");
  root.append(canvas);
  return canvas;
}

export class Stage {
  /** @param {HTMLElement} root @param {{scene: () => import("./paint.js").Scene, onView: (v: View) => void}} callbacks */
  constructor(root, callbacks) {
    this.root = root;
    this.callbacks = callbacks;
    this.below = layer(root, "below");
    this.above = layer(root, "above");
    /** @type {View} */
    this.view = { cx: 0, cy: 0, zoom: 1 };
    this.fitted = true;
    /** @type {{width: number, height: number}} */
    this.micrograph = { width: 1, height: 1 };
    /** @type {Plane | null} */
    this.plane = null;
    /** @type {HTMLCanvasElement | null} */
    this.picture = null;
    this.contrast = { black: 0, white: 255, invert: false };
    this.tiles = new TileLayer(() => this.redraw("image"));
    /** Score map above the image. @type {{picture: HTMLCanvasElement, extent: Plane["extent"]} | null} */
    this.scores = null;
    this.opacity = 0;
    this.dirty = { picture: false, image: true, marks: true };
    this.frame = 0;
    /** @type {number | null} time of the pointer press of an edit that is not painted yet */
    this.editStarted = null;
    /** @type {number | null} time at which another threshold was requested, until it is painted */
    this.thresholdStarted = null;
    /** @type {number | null} time of the request for a micrograph that is not painted yet */
    this.openStarted = null;
    this.watcher = new ResizeObserver(() => this.resize());
    this.watcher.observe(root);
    this.resize();
  }

  close() {
    this.watcher.disconnect();
    cancelAnimationFrame(this.frame);
    this.below.remove();
    this.above.remove();
  }

  get size() {
    return { width: this.root.clientWidth, height: this.root.clientHeight };
  }

  resize() {
    const ratio = (this.ratio = window.devicePixelRatio || 1);
    const { left, top } = this.root.getBoundingClientRect();
    // Some browsers draw a canvas at whole CSS pixels, which are whole screen pixels at a whole ratio.
    const step = Number.isInteger(ratio) ? 1 : ratio;
    const toPixel = (/** @type {number} */ edge) => Math.round(edge * step) / step - edge;
    for (const canvas of [this.below, this.above]) {
      canvas.width = Math.max(1, Math.round(this.root.clientWidth * this.ratio));
      canvas.height = Math.max(1, Math.round(this.root.clientHeight * this.ratio));
      // Panels above end within a pixel; the canvas covers whole ones, or the browser would blur it.
      const [width, height] = [canvas.width / ratio, canvas.height / ratio];
      Object.assign(canvas.style, { left: `${toPixel(left)}px`, top: `${toPixel(top)}px`, width: `${width}px`, height: `${height}px` });
    }
    if (this.fitted) this.fit();
    else this.setView(this.view); // again on whole pixels, with the tiles that are visible now
    this.redraw("image", "marks");
  }

  /** Open a micrograph in full view. @param {number} width @param {number} height @param {View | null} view
   * @param {number} since time of the request */
  open(width, height, view, since) {
    this.openStarted = since;
    this.micrograph = { width, height };
    this.plane = null;
    this.picture = null;
    this.scores = null;
    this.tiles.setSource(null);
    if (view) this.setView(view, false);
    else this.fit();
  }

  /** @param {Plane} plane */
  show(plane) {
    this.plane = plane;
    this.redraw("picture");
  }

  /** Show nothing in place of the micrograph. */
  blank() {
    this.plane = this.picture = this.scores = null;
    this.tiles.setSource(null);
    this.redraw("image");
  }

  /** @param {Plane | null} plane */
  showScores(plane) {
    this.scores = plane && { picture: coloured(plane, scoreTable()), extent: plane.extent };
    this.redraw("image");
  }

  /** @param {number} opacity 0 to 1 */
  setScoreOpacity(opacity) {
    this.opacity = opacity;
    this.redraw("image");
  }

  /** @param {import("./tiles.js").Source | null} source */
  setTiles(source) {
    this.tiles.setSource(source);
    this.tiles.want(this.view, this.size, this.ratio ?? 1);
  }

  /** @param {{black: number, white: number, invert: boolean}} contrast */
  setContrast(contrast) {
    this.contrast = contrast;
    this.tiles.setContrast(contrast);
    if (this.plane) this.redraw("picture");
  }

  fit() {
    this.fitted = true;
    this.setView(fit(this.micrograph, this.size), true);
  }

  /** @param {View} view @param {boolean} [fitted] */
  setView(view, fitted = false) {
    this.fitted = fitted;
    this.view = snap(keepInside(view, this.micrograph), this.size, this.ratio ?? 1);
    this.tiles?.want(this.view, this.size, this.ratio ?? 1);
    this.callbacks.onView(this.view);
    this.redraw("image", "marks");
  }

  /** @param {number} dx @param {number} dy */
  pan(dx, dy) {
    this.setView(panBy(this.view, dx, dy));
  }

  /** @param {number} factor @param {number} [sx] @param {number} [sy] screen px; default: the centre */
  zoom(factor, sx = this.size.width / 2, sy = this.size.height / 2) {
    this.setView(zoomAt(this.view, this.size, sx, sy, factor));
  }

  /** One screen pixel for each pixel of the micrograph. */
  oneToOne() {
    this.setView({ ...this.view, zoom: 1 / (this.ratio || 1) });
  }

  /** Scroll to a position if it is not visible. @param {number} x @param {number} y */
  reveal(x, y) {
    const [sx, sy] = toScreen(this.view, this.size, x, y);
    const { width, height } = this.size;
    if (sx < 40 || sy < 40 || sx > width - 40 || sy > height - 40)
      this.setView({ ...this.view, cx: x, cy: y });
  }

  /** @param {{clientX: number, clientY: number}} event @returns {[number, number]} screen px within the canvases */
  screenAt(event) {
    const box = this.above.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  /** @param {{clientX: number, clientY: number}} event @returns {[number, number]} micrograph px */
  imageAt(event) {
    const [sx, sy] = this.screenAt(event);
    return /** @type {[number, number]} */ (toImage(this.view, this.size, sx, sy));
  }

  /** @param {...("picture" | "image" | "marks")} parts */
  redraw(...parts) {
    for (const part of parts) this.dirty[part] = true;
    if (!this.frame) this.frame = requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.frame = 0;
    const began = performance.now();
    const { picture, image, marks } = this.dirty;
    this.dirty = { picture: false, image: false, marks: false };
    if (picture && this.plane) this.colour(this.plane);
    if (picture || image) {
      const pen = /** @type {CanvasRenderingContext2D} */ (this.below.getContext("2d", { alpha: false }));
      const extent = this.plane?.extent ?? { x: 0, y: 0, width: 1, height: 1 };
      paintImage(pen, this.picture, extent, this.view, this.ratio ?? 1);
      this.tiles.paint(pen, this.view, this.size, this.ratio ?? 1);
      if (this.scores && this.opacity) paintOver(pen, this.scores, this.opacity, this.view, this.ratio ?? 1);
    }
    if (marks) {
      const pen = /** @type {CanvasRenderingContext2D} */ (this.above.getContext("2d"));
      paintMarks(pen, this.callbacks.scene(), this.view, this.ratio ?? 1);
    }
    const ended = performance.now();
    performance.measure("frame", { start: began, end: ended });
    if (marks && this.editStarted !== null) {
      performance.measure("edit-painted", { start: this.editStarted, end: ended });
      this.editStarted = null;
    }
    if (marks && this.thresholdStarted !== null) {
      performance.measure("threshold-painted", { start: this.thresholdStarted, end: ended });
      this.thresholdStarted = null;
    }
    if (picture && this.plane && this.openStarted !== null) {
      performance.measure("micrograph-painted", { start: this.openStarted, end: ended });
      this.openStarted = null;
    }
    if (performance.getEntriesByType("measure").length > 2000) performance.clearMeasures();
  }

  /** @param {Plane} plane */
  colour(plane) {
    this.picture = coloured(plane, greyTable(this.contrast), this.picture);
  }
}

/** The image of a plane in the colours of a table. @param {Plane} plane @param {Uint32Array} table @param {HTMLCanvasElement | null} [reused]
 * @returns {HTMLCanvasElement} */
function coloured(plane, table, reused = null) {
  const { width, height } = plane;
  const fits = reused?.width === width && reused.height === height;
  const canvas = fits ? reused : Object.assign(document.createElement("canvas"), { width, height });
  const pixels = new ImageData(width, height);
  paintBytes(plane.bytes, table, new Uint32Array(pixels.data.buffer));
  /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d")).putImageData(pixels, 0, 0);
  return canvas;
}
