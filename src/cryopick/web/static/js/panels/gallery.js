// @ts-check
// Crops of all labels of this micrograph, or of its picks above the threshold; wrong ones are deleted with a click.

import { html, signal, useEffect, useRef } from "../../vendor/ui.js";
import * as edits from "../edits.js";
import * as store from "../store.js";
import { stage } from "../viewer/viewer.js";
import { Dialog, plural, formatScore, Segments } from "../widgets.js";

const MAX_CROPS = 120;
const TILE = 112;
const content = signal("labels");

/** @typedef {{key: string, id?: string, x: number, y: number, kind?: string, score?: number}} Item */

/** @param {{go: (x: number, y: number) => void}} props */
export function Gallery({ go }) {
  const m = store.micrograph.value;
  if (!m) return null;
  const set = store.picks.value;
  const picks = [];
  if (set) for (let i = 0; i < set.n; i++) if (set.score[i] >= (store.threshold.value ?? -Infinity)) picks.push({ key: `p${i}`, x: set.x[i], y: set.y[i], score: set.score[i] });
  picks.sort((a, b) => a.score - b.score);
  const labels = [...store.labels.value.values()].map((l) => ({ key: l.id, ...l }));
  const shown = (content.value === "picks" ? picks : labels).slice(0, MAX_CROPS);
  const all = content.value === "picks" ? picks.length : labels.length;
  const deleteItem = (/** @type {Item} */ item) => (content.value === "picks" ? edits.remove([], [[item.x, item.y]]) : edits.remove([item.key]));
  return html`<${Dialog} name="gallery" title=${`Crops of ${m.name}`} wide>
    <div class="buttons"><${Segments} name="Crops of" value=${content.value} on=${(/** @type {string} */ v) => (content.value = v)} choices=${[["labels", `Labels (${labels.length})`], ["picks", `Picks (${picks.length})`]]} />
      <span class="muted small">${content.value === "picks" ? "Lowest scores first. " : ""}${all > MAX_CROPS ? `The first ${MAX_CROPS} of ${all}. ` : ""}Click a crop to show it on the micrograph.</span></div>
    ${shown.length ? html`<${Sheet} items=${shown} go=${go} deleteItem=${deleteItem} />` : html`<p class="empty">This micrograph has no ${content.value} yet.</p>`}
  </${Dialog}>`;
}

/** @param {{items: Item[], go: (x: number, y: number) => void, deleteItem: (item: Item) => void}} props */
function Sheet({ items, go, deleteItem }) {
  return html`<ul class="sheet">${items.map((item) => html`<li key=${item.key} class=${item.kind ?? "pick"}>
    <button onClick=${() => go(item.x, item.y)} title=${`x ${Math.round(item.x)}, y ${Math.round(item.y)}`}><${Tile} item=${item} /></button>
    <span class="small num muted">${item.score != null ? formatScore(item.score) : item.kind === "neg" ? "not a particle" : ""}</span>
    <button class="plain strike" aria-label="Delete" onClick=${() => deleteItem(item)}>✕</button></li>`)}</ul>`;
}

/** A crop of the displayed image, with its filter and contrast. @param {{item: Item}} props */
function Tile({ item }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  useEffect(() => {
    const now = stage.now;
    if (!canvas.current || !now?.plane || !now.picture) return;
    const { extent } = now.plane;
    const scale = now.picture.width / extent.width;
    const side = Math.max(16, store.radiusPx.value * 2.6);
    const pen = /** @type {CanvasRenderingContext2D} */ (canvas.current.getContext("2d"));
    pen.drawImage(now.picture, (item.x - side / 2 - extent.x) * scale, (item.y - side / 2 - extent.y) * scale, side * scale, side * scale, 0, 0, 2 * TILE, 2 * TILE);
  }, [item.x, item.y]);
  return html`<canvas ref=${canvas} width=${2 * TILE} height=${2 * TILE} role="img" aria-label=${`Crop at ${Math.round(item.x)}, ${Math.round(item.y)}`}></canvas>`;
}
