// @ts-check
// The list of micrographs; only visible rows are rendered, so that long lists scroll smoothly.

import { html, signal, useEffect, useRef } from "../../vendor/ui.js";
import { keyFor } from "../keys.js";
import * as store from "../store.js";
import { plural } from "../widgets.js";
import { changeQuery, listing, loadRows, rowAt } from "../micrographs.js";
import { ListFilter, ListSort, verdictBadge } from "./list_filter.js";

const ROW = 46;
const scroll = signal(0);
const height = signal(400);

/** @param {{open: (id: number) => void}} props */
export function MicrographList({ open }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const { total } = listing.value;
  const first = Math.max(0, Math.floor(scroll.value / ROW) - 4);
  const last = Math.min(total, Math.ceil((scroll.value + height.value) / ROW) + 4);
  useEffect(() => void loadRows(first, last), [first, last, listing.value.version]);
  useEffect(() => {
    const root = /** @type {HTMLElement} */ (box.current);
    const watch = new ResizeObserver(() => (height.value = root.clientHeight));
    watch.observe(root);
    return () => watch.disconnect();
  }, []);
  const { filter, sort, state, verdict, ranges } = listing.value;
  useEffect(() => {
    scroll.value = 0;
  }, [filter, sort, state, verdict, ranges]);
  const at = listing.value.index;
  useEffect(() => {
    const root = box.current;
    if (!root || at < 0) return;
    if (at * ROW < root.scrollTop) root.scrollTop = at * ROW;
    if ((at + 1) * ROW > root.scrollTop + root.clientHeight) root.scrollTop = (at + 1) * ROW - root.clientHeight;
  }, [at]);
  const rows = [];
  const tabStop = at >= first && at < last ? at : first;
  for (let i = first; i < last; i++) rows.push(html`<${Row} key=${i} index=${i} isTabStop=${i === tabStop} open=${open} />`);
  return html`<section class="list" aria-label="Micrographs">
    <div class="seek">
      <input type="search" aria-label="Find a micrograph" placeholder=${`Search ${total.toLocaleString("en")}…`}
        value=${listing.value.filter} onInput=${(/** @type {import("../types.js").FieldEvent} */ e) => changeQuery({ filter: e.target.value })} />
      <div>
        <${ListSort} /><${ListFilter} />
      </div>
    </div>
    <div class="rows" ref=${box} role="listbox" aria-label="Micrographs" onScroll=${(/** @type {import("../types.js").FieldEvent} */ e) => (scroll.value = e.currentTarget.scrollTop)}>
      <div style=${{ height: `${total * ROW}px` }} role="presentation">${rows}</div>
      ${!total && html`<p class="empty small">${store.project.value.n_micrographs ? "No micrograph matches." : "No micrographs yet."}</p>`}
    </div>
  </section>`;
}

/** @param {{index: number, isTabStop: boolean, open: (id: number) => void}} props */
function Row({ index, isTabStop, open }) {
  const row = rowAt(index);
  const position = { top: `${index * ROW}px` };
  if (!row) return html`<div class="row" style=${position}><span class="summary">…</span></div>`;
  const chosen = store.micrograph.value?.id === row.id;
  return html`<button class="row" role="option" style=${position} aria-selected=${chosen} title=${row.path}
      tabindex=${isTabStop ? 0 : -1} onClick=${() => open(row.id)} onKeyDown=${focusNeighbour}>
    <span class="file cut"><bdi>${row.name.replace(/\.\w{2,4}$/, "")}</bdi></span>
    <span class="summary cut">${summarize(row)}</span>${badge(row)}
  </button>`;
}

/** @param {KeyboardEvent} event */
function focusNeighbour(event) {
  const { key, currentTarget } = event;
  if ((key !== "ArrowDown" && key !== "ArrowUp") || !(currentTarget instanceof HTMLElement)) return;
  event.preventDefault();
  const sibling = key === "ArrowDown" ? currentTarget.nextElementSibling : currentTarget.previousElementSibling;
  if (sibling instanceof HTMLElement) sibling.focus();
}

const UNITS = /** @type {Record<string, string>} */ ({ ctf_resolution_ang: "Å", defocus_um: "µm", ice: "ice", motion_ang: "Å motion" });

/** @param {import("../types.js").MicrographRow} row */
function summarize(row) {
  if (row.problem) return row.problem;
  const parts = [plural(row.pos, "label")];
  if (row.neg) parts.push(`${row.neg} negative`);
  if (row.picks != null) parts.push(plural(row.picks, "pick"));
  for (const [name, value] of Object.entries(row.values ?? {})) parts.push(`${Number(value.toPrecision(3))} ${UNITS[name] ?? ""}`);
  return parts.join(" · ");
}

/** @param {import("../types.js").MicrographRow} row */
function badge(row) {
  if (row.problem) return html`<span class="badge bad">problem</span>`;
  if (row.state === "all") return html`<span class="badge good" title=${`All particles are labelled (${keyFor("all")})`}>✓ all</span>`;
  if (row.suggested && row.suggested <= 5 && !row.pos && listing.value.sort === "suggested") return html`<span class="badge on">suggested</span>`;
  if (row.state === "skip") return html`<span class="badge">excluded</span>`;
  return row.verdict === "probably empty" ? verdictBadge(row) : null; // "unclear" would hide the numbers
}
