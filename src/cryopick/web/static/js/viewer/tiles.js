// @ts-check
// Tiles of the micrograph at full resolution, drawn above the overview where it is magnified.

import { address } from "../api.js";
import { greyTable, paintBytes } from "./lut.js";
import { toImage, toScreen } from "./view.js";

/** @typedef {{id: number, width: number, height: number, query: Record<string, unknown>}} Source  micrograph and filters */
/** @typedef {{bytes: Uint8Array | null, canvas: HTMLCanvasElement | null, width: number, height: number, coloured: number, control: AbortController}} Tile */

const SIDE = 512;
const MAX_TILES = 80;
const MAX_LOADING = 4;
const OVERVIEW_PX = 2048;

/** Raw pixels per pixel of the tiles that a zoom needs, or 0 if the overview is as fine.
 * @param {number} width @param {number} height @param {number} scale device px per raw px */
function tileFactor(width, height, scale) {
  const overview = Math.ceil(Math.max(width, height) / OVERVIEW_PX);
  const factor = scale > 0.5 ? 1 : 2;
  return overview > factor && scale * overview > 1.2 ? factor : 0;
}

export class TileLayer {
  /** @param {() => void} redraw */
  constructor(redraw) {
    this.redraw = redraw;
    /** @type {Map<string, Tile>} least recently used first */
    this.tiles = new Map();
    /** @type {Source | null} */
    this.source = null;
    this.name = "";
    this.contrast = { black: 0, white: 255, invert: false };
    this.version = 0;
    /** @type {string[]} visible tiles, by key */
    this.wanted = [];
  }

  /** @param {Source | null} source */
  setSource(source) {
    const name = source ? JSON.stringify([source.id, source.query]) : "";
    if (name === this.name) return;
    for (const tile of this.tiles.values()) tile.control.abort();
    this.tiles.clear();
    [this.source, this.name, this.wanted] = [source, name, []];
  }

  /** @param {{black: number, white: number, invert: boolean}} contrast */
  setContrast(contrast) {
    this.contrast = contrast;
    this.version++;
  }

  /** Load the tiles that are visible. @param {import("./view.js").View} view @param {import("./view.js").Size} size @param {number} ratio */
  want(view, size, ratio) {
    this.wanted = [];
    const source = this.source;
    const factor = source ? tileFactor(source.width, source.height, view.zoom * ratio) : 0;
    if (source && factor) {
      const span = SIDE * factor;
      const [left, top] = toImage(view, size, 0, 0);
      const [right, bottom] = toImage(view, size, size.width, size.height);
      const end = (/** @type {number} */ v, /** @type {number} */ side) => Math.min(Math.ceil(side / span) - 1, Math.floor((v + 0.5) / span));
      for (let row = Math.max(0, Math.floor(top / span)); row <= end(bottom, source.height); row++)
        for (let column = Math.max(0, Math.floor(left / span)); column <= end(right, source.width); column++)
          this.wanted.push(`${factor} ${column * span} ${row * span}`);
    }
    for (const [key, tile] of this.tiles)
      if (!tile.bytes && !this.wanted.includes(key)) {
        tile.control.abort();
        this.tiles.delete(key);
      }
    this.load();
  }

  load() {
    let loading = 0;
    for (const tile of this.tiles.values()) if (!tile.bytes) loading++;
    for (const key of this.wanted) {
      if (loading >= MAX_LOADING) return;
      if (this.tiles.has(key)) continue;
      loading++;
      this.fetch(key);
    }
  }

  /** @param {string} key */
  async fetch(key) {
    const source = /** @type {Source} */ (this.source);
    const [factor, x, y] = key.split(" ").map(Number);
    /** @type {Tile} */
    const tile = { bytes: null, canvas: null, width: 0, height: 0, coloured: -1, control: new AbortController() };
    this.tiles.set(key, tile);
    try {
      const url = address(`micrographs/${source.id}/tile`, { x, y, factor, ...source.query });
      const response = await fetch(url, { credentials: "same-origin", signal: tile.control.signal });
      if (!response.ok) throw new Error("no tile");
      const bitmap = await createImageBitmap(await response.blob());
      const { bytes, width, height } = greysOf(bitmap);
      Object.assign(tile, { bytes, width, height });
      if (this.tiles.get(key) !== tile) return;
      this.makeRoom();
      this.redraw();
    } catch {
      if (this.tiles.get(key) === tile && !tile.control.signal.aborted) tile.bytes = new Uint8Array(0); // the overview stays
    }
    this.load();
  }

  makeRoom() {
    for (const key of this.tiles.keys()) {
      if (this.tiles.size <= MAX_TILES) return;
      if (!this.wanted.includes(key)) this.tiles.delete(key);
    }
  }

  /** Whether all visible tiles are loaded. */
  get complete() {
    return this.wanted.every((key) => this.tiles.get(key)?.bytes);
  }

  /** @param {CanvasRenderingContext2D} pen @param {import("./view.js").View} view @param {import("./view.js").Size} size @param {number} ratio */
  paint(pen, view, size, ratio) {
    const scale = view.zoom * ratio;
    pen.imageSmoothingEnabled = smooths(scale);
    for (const key of this.wanted) {
      const tile = this.tiles.get(key);
      if (!tile?.bytes?.length) continue;
      this.tiles.delete(key);
      this.tiles.set(key, tile);
      if (tile.coloured !== this.version) this.colour(tile);
      const [factor, x, y] = key.split(" ").map(Number);
      const [sx, sy] = toScreen(view, size, x - 0.5, y - 0.5).map((v) => v * ratio);
      if (tile.canvas) pen.drawImage(tile.canvas, sx, sy, tile.width * factor * scale, tile.height * factor * scale);
    }
  }

  /** @param {Tile} tile */
  colour(tile) {
    const pixels = new ImageData(tile.width, tile.height);
    paintBytes(/** @type {Uint8Array} */ (tile.bytes), greyTable(this.contrast), new Uint32Array(pixels.data.buffer));
    tile.canvas ??= Object.assign(document.createElement("canvas"), { width: tile.width, height: tile.height });
    /** @type {CanvasRenderingContext2D} */ (tile.canvas.getContext("2d")).putImageData(pixels, 0, 0);
    tile.coloured = this.version;
  }
}

/** Whether pixels are interpolated: not at 1:1, at other whole factors, and where single pixels are large. @param {number} scale device px per raw px */
export const smooths = (scale) => scale < 4 && Math.abs(scale - Math.round(scale)) > 1e-6;

/** The grey values of an image. @param {ImageBitmap} bitmap @returns {{bytes: Uint8Array, width: number, height: number}} */
export function greysOf(bitmap) {
  const { width, height } = bitmap;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
  pen.drawImage(bitmap, 0, 0);
  bitmap.close();
  const rgba = pen.getImageData(0, 0, width, height).data;
  const bytes = new Uint8Array(width * height);
  for (let i = 0; i < bytes.length; i++) bytes[i] = rgba[4 * i];
  return { bytes, width, height };
}
