// @ts-check
// Gallery of all picks of a run as crops: sort, select by drag, Shift and keys, accept or reject, and show on the micrograph.

import { html, signal, useEffect, useRef } from "../../vendor/ui.js";
import * as edits from "../edits.js";
import * as gallery from "../gallery_items.js";
import { combo } from "../keys.js";
import * as store from "../store.js";
import { count, formatScore, plural, Segments } from "../widgets.js";
import { openAt, Screen, useArea } from "./screen.js";

const SIZES = /** @type {Record<string, number>} */ ({ small: 72, medium: 104, large: 152 });
const GAP = 6;
const CAPTION = 18;
/** Browsers limit the height of an element; a longer list scrolls proportionally. */
const MAX_HEIGHT = 12e6;
const SETTLE_MS = 90; // crops are loaded when scrolling pauses
const CROP_DIAMETERS = 1.6;

const size = signal("medium");
const scroll = signal(0);
const area = signal({ width: 800, height: 500 });
const band = signal(/** @type {{x0: number, y0: number, x1: number, y1: number} | null} */ (null));

/** Rows and columns at the current size of the window. */
export function layout() {
  const { width, height } = area.value;
  const columns = Math.max(1, Math.floor((width - GAP) / (SIZES[size.value] + GAP)));
  const cell = Math.floor((width - GAP) / columns) - GAP; // the rows fill the window
  const rowHeight = cell + CAPTION + GAP;
  const rows = Math.ceil(gallery.total.value / columns);
  const full = rows * rowHeight + GAP;
  const shown = Math.min(full, MAX_HEIGHT);
  const ratio = shown > height ? (full - height) / (shown - height) : 1;
  const top = scroll.value * ratio;
  const first = Math.max(0, Math.floor(top / rowHeight) - 1);
  const last = Math.min(rows, Math.ceil((top + height) / rowHeight) + 1);
  return { cell, columns, rowHeight, rows, shown, ratio, top, first, last, height };
}

/** @param {{go: (step: string) => void}} props */
export function Gallery({ go }) {
  const q = gallery.query.value;
  const picked = store.runs.value.filter((r) => r.has_picks);
  const source = picked.length ? q.source : "labels";
  useEffect(() => {
    if (!picked.length && q.source === "picks") gallery.setQuery({ source: "labels" });
    else gallery.restart(true);
  }, [store.runId.value]);
  useEffect(() => {
    const timer = setTimeout(() => q.source === "picks" && gallery.restart(true), 250);
    return () => clearTimeout(timer);
  }, [store.threshold.value, store.radiusPx.value]);
  const set = gallery.setQuery;
  const others = picked.filter((r) => r.id !== store.runId.value);
  useEffect(() => {
    if (q.order === "disagreement" && !others.some((r) => r.id === q.other)) set({ order: "score-desc", other: "" }); // it was deleted
  }, [others.length]);
  const compare = () => set({ order: "disagreement", other: q.other && q.other !== store.runId.value ? q.other : others[0]?.id ?? "" });
  const ORDERS = [["score-desc", "Highest score"], ["score-asc", "Lowest score"], ["threshold", "Nearest to threshold"], ...(others.length ? [["disagreement", "Two runs disagree"]] : [])];
  const onSelect = (/** @type {(value: string) => void} */ run) => (/** @type {import("../types.js").FieldEvent} */ e) => run(e.target.value);
  const bar = html`<div class="bar" role="toolbar" aria-label="Gallery">
      ${picked.length > 0 && html`<${Segments} name="Source" value=${source} on=${(/** @type {string} */ source) => set({ source })} choices=${[["picks", "Picks"], ["labels", "Labels"]]} />`}
      ${source === "picks" && html`<label class="unit"><span>Order</span><select aria-label="Order of the crops" value=${q.order} onChange=${onSelect((order) => (order === "disagreement" ? compare() : set({ order })))}>
          ${ORDERS.map(([id, name]) => html`<option value=${id}>${name}</option>`)}</select></label>
        ${q.order === "disagreement" && html`<select aria-label="Other run" value=${q.other} onChange=${onSelect((other) => set({ other }))}>${others.map((r) => html`<option value=${r.id}>${r.title}</option>`)}</select>`}
        ${q.order !== "threshold" && html`<label class="tick"><input type="checkbox" checked=${q.selected} onChange=${() => set({ selected: !q.selected })} /> only at or above ${formatScore(store.threshold.value ?? 0)}</label>`}`}
      <label class="unit"><span>Show</span><select aria-label="Show" value=${q.show} onChange=${onSelect((show) => set({ show }))}>
        ${[["open", source === "picks" ? "Not reviewed" : "All labels"], ["pos", "Accepted"], ["neg", "Rejected"], ...(source === "picks" ? [["all", "All"]] : [])].map(([id, name]) => html`<option value=${id}>${name}</option>`)}</select></label>
      <${Segments} name="Size" value=${size.value} on=${(/** @type {string} */ v) => (size.value = v)} choices=${[["small", "S"], ["medium", "M"], ["large", "L"]]} />
      <span class="spacer"></span>
      <span class="buttons"><span class="num muted" data-test="gallery-total">${plural(gallery.total.value, "crop")}${gallery.selection.value.size ? `, ${count(gallery.selection.value.size)} selected` : ""}</span>
      <button disabled=${store.readOnly.value || !gallery.total.value} title="Y" onClick=${() => gallery.judge("pos")}>Accept <kbd>Y</kbd></button>
      <button disabled=${store.readOnly.value || !gallery.total.value} title="N" onClick=${() => gallery.judge("neg")}>Reject <kbd>N</kbd></button>
      <button disabled=${!gallery.total.value} onClick=${() => show(go)}>Show on micrograph <kbd>Enter</kbd></button></span>
    </div>`;
  return html`<${Screen} name="gallery" title="Gallery" bar=${bar} onKeyDown=${(/** @type {KeyboardEvent} */ e) => key(e, go)}><${Crops} go=${go} /></${Screen}>`;
}

/** @param {{go: (step: string) => void}} props */
function Crops({ go }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  gallery.loaded.value;
  const place = layout();
  useArea(box, area, scroll);
  const [from, to] = [place.first * place.columns, Math.min(gallery.total.value, place.last * place.columns)];
  const side = Math.max(8, Math.round(2 * CROP_DIAMETERS * store.radiusPx.value));
  const cell = Math.min(256, Math.round(place.cell * Math.min(2, window.devicePixelRatio || 1)));
  useEffect(() => {
    const timer = setTimeout(() => void gallery.load(from, to).then(() => gallery.loadCrops(from, to, side, cell)), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [from, to, side, cell, gallery.query.value, gallery.total.value, store.lens.value.lowpass, store.lens.value.view, gallery.loaded.value]);
  useEffect(() => {
    reveal(box.current, gallery.focus.value);
  }, [gallery.focus.value]);
  const cells = [];
  for (let i = from; i < to; i++) cells.push(html`<${Cell} key=${i} index=${i} place=${place} side=${side} cell=${cell} />`);
  const drag = band.value;
  return html`<div class="crops-scroll" ref=${box} tabindex="0" autofocus role="listbox" aria-multiselectable="true" aria-label="Crops" aria-activedescendant=${gallery.total.value ? `crop-${gallery.focus.value}` : undefined} data-test="crops"
      style=${store.lens.value.invert ? { "--crop-filter": "invert(1)" } : {}}
      onScroll=${(/** @type {import("../types.js").FieldEvent} */ e) => (scroll.value = e.currentTarget.scrollTop)}
      onPointerDown=${press} onPointerMove=${move} onPointerUp=${release} onPointerCancel=${release} onDblClick=${() => show(go)}>
    <div role="presentation" style=${{ height: `${place.shown}px`, position: "relative" }}>
      <div role="presentation" style=${{ position: "absolute", inset: 0, top: `${scroll.value - place.top}px` }}>${cells}
        ${drag && html`<div class="band" style=${{ left: `${Math.min(drag.x0, drag.x1)}px`, top: `${Math.min(drag.y0, drag.y1)}px`, width: `${Math.abs(drag.x1 - drag.x0)}px`, height: `${Math.abs(drag.y1 - drag.y0)}px` }}></div>`}</div></div>
    ${!gallery.total.value && html`<p class="empty">${gallery.busy.value ? "Loading…" : "There are no crops here."}</p>`}
  </div>`;
}

const MARKS = ["", "accepted", "rejected"];

/** @param {{index: number, place: ReturnType<typeof layout>, side: number, cell: number}} props */
function Cell({ index, place, side, cell }) {
  const item = gallery.itemAt(index);
  const crop = item && gallery.cropOf(index, side, cell);
  const [row, column] = [Math.floor(index / place.columns), index % place.columns];
  const chosen = gallery.selection.value.has(index);
  const style = { left: `${GAP + column * (place.cell + GAP)}px`, top: `${GAP + row * place.rowHeight}px`, width: `${place.cell}px`, height: `${place.cell + CAPTION}px` };
  const image = crop
    ? { backgroundImage: `url("${crop.url}")`, backgroundSize: `${gallery.SHEET_COLUMNS * place.cell}px auto`, backgroundPosition: `-${crop.column * place.cell}px -${crop.row * place.cell}px` }
    : {};
  const text = !item ? "" : item.score === null && item.other !== null ? `only other ${formatScore(item.other)}` : item.score === null ? "" : `${formatScore(item.score)}${gallery.query.value.order === "disagreement" ? ` / ${item.other === null ? "–" : formatScore(item.other)}` : ""}`;
  const name = item ? `${text || "label"}${MARKS[item.mark] && `, ${MARKS[item.mark]}`}, x ${Math.round(item.x)}, y ${Math.round(item.y)}` : "loading";
  return html`<div class=${`crop ${MARKS[item?.mark ?? 0]} ${index === gallery.focus.value ? "at" : ""}`} id=${`crop-${index}`} role="option" aria-selected=${chosen} aria-label=${name} style=${style}>
    <div class="picture" style=${{ ...image, height: `${place.cell}px` }}></div><span class="num cut">${text}</span></div>`;
}

/** Position in the list, px. @param {PointerEvent} event @returns {[number, number]} */
function listPosition(event) {
  const root = /** @type {HTMLElement} */ (event.currentTarget);
  const box = root.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top + layout().top];
}

/** @param {number} x @param {number} y @returns {number} index of the item at a position, or -1 */
function indexAt(x, y) {
  const { cell, columns, rowHeight } = layout();
  const [column, row] = [Math.floor((x - GAP) / (cell + GAP)), Math.floor((y - GAP) / rowHeight)];
  if (column < 0 || column >= columns || row < 0) return -1;
  const index = row * columns + column;
  return index < gallery.total.value ? index : -1;
}

/** @type {{x: number, y: number, index: number, keep: boolean, before: Set<number>} | null} */
let pressed = null;

/** @param {PointerEvent} event */
function press(event) {
  const root = /** @type {HTMLElement} */ (event.currentTarget);
  if (event.button !== 0 || event.clientX > root.getBoundingClientRect().left + root.clientWidth) return;
  const [x, y] = listPosition(event);
  const keep = event.ctrlKey || event.metaKey;
  pressed = { x, y, index: indexAt(x, y), keep, before: new Set(keep ? gallery.selection.value : []) };
  root.setPointerCapture(event.pointerId);
}

/** @param {PointerEvent} event */
function move(event) {
  if (!pressed) return;
  const [x, y] = listPosition(event);
  if (!band.value && Math.hypot(x - pressed.x, y - pressed.y) < 6) return;
  band.value = { x0: pressed.x, y0: pressed.y, x1: x, y1: y };
  const { cell, columns, rowHeight } = layout();
  const next = new Set(pressed.before);
  const column = (/** @type {number} */ v) => Math.floor((v - GAP) / (cell + GAP));
  const row = (/** @type {number} */ v) => Math.floor((v - GAP) / rowHeight);
  for (let r = Math.max(0, row(Math.min(pressed.y, y))); r <= row(Math.max(pressed.y, y)); r++)
    for (let c = Math.max(0, column(Math.min(pressed.x, x))); c <= Math.min(columns - 1, column(Math.max(pressed.x, x))); c++)
      if (r * columns + c < gallery.total.value) next.add(r * columns + c);
  gallery.selection.value = next;
}

/** @param {PointerEvent} event */
function release(event) {
  if (!pressed) return;
  const { index, keep } = pressed;
  pressed = null;
  if (band.value) return void (band.value = null);
  if (index < 0) return void (gallery.selection.value = new Set());
  if (event.shiftKey) gallery.selectRange(gallery.anchor.at, index, keep);
  else {
    if (keep) gallery.toggle(index);
    else gallery.selection.value = new Set([index]);
    gallery.anchor.at = index;
  }
  gallery.focus.value = index;
}

/** @param {HTMLElement | null} root @param {number} index */
function reveal(root, index) {
  const { columns, rowHeight, top, height, ratio } = layout();
  const y = Math.floor(index / columns) * rowHeight;
  if (!root || (y >= top && y + rowHeight <= top + height)) return;
  root.scrollTop = (y < top ? y : y + rowHeight - height + GAP) / ratio;
}

/** @param {(step: string) => void} go */
function show(go) {
  const item = gallery.itemAt(gallery.focus.value);
  if (item) openAt(item.mid, item.x, item.y, go);
}

/** @param {KeyboardEvent} event @param {(step: string) => void} go */
function key(event, go) {
  if (/^(SELECT|INPUT)$/.test(/** @type {HTMLElement} */ (event.target).tagName)) return;
  const pressedKeys = combo(event);
  const onButton = /** @type {HTMLElement} */ (event.target).tagName === "BUTTON";
  const { columns, height, rowHeight } = layout();
  const steps = /** @type {Record<string, number>} */ ({
    ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns,
    PageUp: -columns * Math.floor(height / rowHeight), PageDown: columns * Math.floor(height / rowHeight), Home: -Infinity, End: Infinity,
  });
  const step = steps[event.key];
  if (step !== undefined) {
    const next = Math.max(0, Math.min(gallery.total.value - 1, gallery.focus.value + step));
    if (event.shiftKey) gallery.selectRange(gallery.anchor.at, next);
    else {
      gallery.anchor.at = next;
      gallery.selection.value = new Set([next]);
    }
    gallery.focus.value = next;
  } else if (pressedKeys === "Y") gallery.judge("pos");
  else if (pressedKeys === "N" || pressedKeys === "Delete") gallery.judge("neg");
  else if (pressedKeys === "U") gallery.judge(null);
  else if (pressedKeys === "Ctrl+A") gallery.selectRange(0, gallery.total.value - 1);
  else if (pressedKeys === "Ctrl+Z" || pressedKeys === "Ctrl+Shift+Z" || pressedKeys === "Ctrl+Y") undo(pressedKeys !== "Ctrl+Z");
  else if (pressedKeys === " " && !onButton) gallery.toggle(gallery.focus.value);
  else if (pressedKeys === "Enter" && !onButton) show(go);
  else if (pressedKeys === "Escape" && gallery.selection.value.size > 1) gallery.selection.value = new Set();
  else return;
  event.preventDefault();
}

/** @param {boolean} again */
async function undo(again) {
  if (again) edits.redo();
  else edits.undo();
  await gallery.allSaved();
  gallery.restart(true);
}
