// @ts-check
// Wall of thumbnails of all listed micrographs, with circles, counts and verdicts that follow the threshold.

import { effect, html, signal, useEffect, useRef } from "../../vendor/ui.js";
import { nearestEdge } from "../histogram.js";
import { combo } from "../keys.js";
import { listing, loadRows, rowAt } from "../micrographs.js";
import * as picks from "../picks.js";
import * as store from "../store.js";
import { countParticles, drawThumbnail, images, pickSets } from "../thumbnails.js";
import { greyTable } from "../viewer/lut.js";
import { formatScore, plural, Segments } from "../widgets.js";
import { ListFilter, ListSort, verdictBadge } from "./list_filter.js";
import { openAt, Screen, useArea } from "./screen.js";

const SIZES = /** @type {Record<string, number>} */ ({ small: 170, medium: 250, large: 380 });
const GAP = 10;
const CAPTION = 40;

const size = signal("medium");
const scroll = signal(0);
const area = signal({ width: 800, height: 500 });
const focus = signal(0);
/** Incremented when a thumbnail or its picks arrive. */
const arrivals = signal(0);

function layout() {
  const columns = Math.max(1, Math.floor((area.value.width - GAP) / (SIZES[size.value] + GAP)));
  const width = Math.floor((area.value.width - GAP) / columns) - GAP;
  const first = rowAt(0);
  const aspect = first?.width_px ? Math.min(1.4, Math.max(0.4, first.height_px / first.width_px)) : 1;
  const height = Math.round(width * aspect);
  const rowHeight = height + CAPTION + GAP;
  const rows = Math.ceil(listing.value.total / columns);
  const from = Math.max(0, Math.floor(scroll.value / rowHeight)) * columns;
  const to = Math.min(listing.value.total, Math.ceil((scroll.value + area.value.height) / rowHeight) * columns);
  return { columns, width, height, rowHeight, full: rows * rowHeight + GAP, from, to };
}

/** @param {{go: (step: string) => void}} props */
export function Wall({ go }) {
  const scores = store.scores.value;
  useEffect(() => pickSets.clear(), []); // limits and corrections may have changed
  const bar = html`<div class="bar" role="toolbar" aria-label="Wall">
    ${scores && html`<${ThresholdBar} scores=${scores} />`}
    <${ListSort} /><${ListFilter} />
    <${Segments} name="Size" value=${size.value} on=${(/** @type {string} */ v) => (size.value = v)} choices=${[["small", "S"], ["medium", "M"], ["large", "L"]]} />
    <span class="spacer"></span><span class="num muted">${plural(listing.value.total, "micrograph")}</span></div>`;
  return html`<${Screen} name="wall" title="Wall" bar=${bar} onKeyDown=${(/** @type {KeyboardEvent} */ e) => key(e, go)}><${Thumbnails} go=${go} /></${Screen}>`;
}

/** @param {{scores: import("../types.js").RunScores}} props */
function ThresholdBar({ scores }) {
  const bin = nearestEdge(scores.edges, store.threshold.value ?? 0);
  const set = (/** @type {import("../types.js").FieldEvent} */ e, /** @type {boolean} */ final) => {
    started = e.timeStamp;
    picks.setThreshold(scores.edges[Number(e.target.value)], final);
  };
  return html`<label class="unit"><span>Threshold</span><input type="range" class="wall-threshold" aria-label="Threshold" min="0" max=${scores.edges.length - 1} value=${bin}
      onInput=${(/** @type {import("../types.js").FieldEvent} */ e) => set(e, false)} onChange=${(/** @type {import("../types.js").FieldEvent} */ e) => set(e, true)} />
    <span class="num" data-test="wall-threshold">${formatScore(store.threshold.value ?? 0)}</span></label><strong class="num" data-test="wall-kept">${plural(picks.countSelected(), "particle")}</strong>`;
}

/** Time of the event that moved the threshold, until the wall is painted. @type {number | null} */
let started = null;

/** @param {{go: (step: string) => void}} props */
function Thumbnails({ go }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const place = layout();
  useArea(box, area, scroll);
  useEffect(() => void loadRows(place.from, Math.max(place.to, place.from + 1)), [place.from, place.to, listing.value.version]);
  useEffect(() => paintAll(/** @type {HTMLElement} */ (box.current)), [place.from, place.to, place.width, listing.value]);
  const cells = [];
  for (let i = place.from; i < place.to; i++) cells.push(html`<${Cell} key=${i} index=${i} place=${place} go=${go} />`);
  return html`<div class="wall" ref=${box} tabindex="0" autofocus role="listbox" aria-label="Micrographs" aria-activedescendant=${`wall-${focus.value}`} data-test="wall"
      onScroll=${(/** @type {import("../types.js").FieldEvent} */ e) => (scroll.value = e.currentTarget.scrollTop)}>
    <div role="presentation" style=${{ height: `${place.full}px`, position: "relative" }}>${cells}</div>
    ${!listing.value.total && html`<p class="empty">No micrograph matches.</p>`}</div>`;
}

const STATES = /** @type {Record<string, [string, string]>} */ ({ all: ["good", "✓ all labelled"], skip: ["", "excluded"] });

/** @param {{index: number, place: ReturnType<typeof layout>, go: (step: string) => void}} props */
function Cell({ index, place, go }) {
  const row = rowAt(index);
  const style = { left: `${GAP + (index % place.columns) * (place.width + GAP)}px`, top: `${GAP + Math.floor(index / place.columns) * place.rowHeight}px`, width: `${place.width}px` };
  if (!row) return html`<div class="thumb" style=${style}></div>`;
  const [kind, state] = STATES[row.state] ?? ["", ""];
  return html`<div class=${`thumb ${index === focus.value ? "at" : ""} ${row.state === "skip" ? "out" : ""}`} id=${`wall-${index}`} role="option" aria-selected=${index === focus.value} style=${style} title=${row.path}
      onClick=${() => ((focus.value = index), openAt(row.id, null, null, go))}>
    ${row.problem ? html`<p class="gone" style=${{ height: `${place.height}px` }}>${row.problem}</p>` : html`<canvas data-id=${row.id} aria-hidden="true" style=${{ width: `${place.width}px`, height: `${place.height}px` }}></canvas>`}
    <span class="cut"><bdi>${row.name.replace(/\.\w{2,4}$/, "")}</bdi></span>
    <span class="small num muted cut"><span class="wall-count" data-count=${row.id}></span>${row.pos ? html` · ${plural(row.pos, "label")}` : ""}
      ${row.problem ? html`<span class="badge bad">problem</span>` : state && html`<span class=${`badge ${kind}`}>${state}</span>`}
      ${verdictBadge(row)}</span></div>`;
}

/** Draw all visible thumbnails whenever the threshold, the contrast or the visible part changes.
 * @param {HTMLElement} root @returns {() => void} stops */
function paintAll(root) {
  let frame = 0;
  const arrived = () => (arrivals.value = arrivals.peek() + 1);
  const paint = () => {
    frame = 0;
    const began = performance.now();
    const { black, white, invert, view, lowpass } = store.lens.peek();
    const table = greyTable({ black, white, invert });
    const threshold = store.threshold.peek() === null ? Infinity : store.cut.peek();
    const range = /** @type {[number, number]} */ (store.scores.peek()?.colours ?? [-3, 6]);
    const run = store.runId.peek();
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    let drawn = 0;
    for (const canvas of root.querySelectorAll("canvas")) {
      const id = canvas.dataset.id ?? "";
      const image = images.get(`${id} ${view === "filtered" && lowpass ? `${lowpass} ${store.project.peek().pixel_size_ang}` : 0}`, arrived);
      const set = run === null ? null : pickSets.get(`${run} ${id}`, arrived);
      canvas.classList.toggle("waiting", !image);
      const label = root.querySelector(`[data-count="${id}"]`);
      if (label) label.textContent = set ? plural(countParticles(set, threshold), "pick") : "";
      if (image && canvas.clientWidth) drawn += drawThumbnail(canvas, image, set, { width: Math.round(canvas.clientWidth * ratio), threshold, radius: store.radiusPx.peek(), range, table });
    }
    const ended = performance.now();
    performance.measure("wall", { start: began, end: ended, detail: drawn });
    if (started !== null) performance.measure("wall-threshold", { start: started, end: ended, detail: drawn });
    started = null;
  };
  const stop = effect(() => {
    for (const s of [store.threshold, store.lens, store.radiusPx, store.scores, store.runId, arrivals]) s.value;
    if (!frame) frame = requestAnimationFrame(paint);
  });
  return () => {
    stop();
    cancelAnimationFrame(frame);
  };
}

/** @param {KeyboardEvent} event @param {(step: string) => void} go */
function key(event, go) {
  const target = /** @type {HTMLElement} */ (event.target);
  if (/^(SELECT|INPUT|BUTTON)$/.test(target.tagName)) return;
  const { columns, rowHeight } = layout();
  const steps = /** @type {Record<string, number>} */ ({ ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns, Home: -Infinity, End: Infinity });
  const pressed = combo(event);
  if (steps[pressed] !== undefined) {
    focus.value = Math.max(0, Math.min(listing.value.total - 1, focus.value + steps[pressed]));
    const y = Math.floor(focus.value / columns) * rowHeight;
    if (y < target.scrollTop) target.scrollTop = y;
    if (y + rowHeight > target.scrollTop + target.clientHeight) target.scrollTop = y + rowHeight - target.clientHeight;
  } else if (pressed === "[") picks.step(-16);
  else if (pressed === "]") picks.step(16);
  else if (pressed === "Enter") {
    const row = rowAt(focus.value);
    if (row) openAt(row.id, null, null, go);
  } else return;
  event.preventDefault();
}

