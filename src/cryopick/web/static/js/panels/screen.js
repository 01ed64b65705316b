// @ts-check
// A view that fills the window above the page, and the way from it to a micrograph and back.

import { batch, html, signal, useLayoutEffect, useRef } from "../../vendor/ui.js";
import { keyFor } from "../keys.js";
import * as session from "../session.js";
import * as store from "../store.js";
import { stage } from "../viewer/viewer.js";
import { useModal } from "../widgets.js";

/** The view from which a micrograph was opened: gallery, wall or none. @type {import("../../vendor/ui.js").Signal<string | null>} */
const cameFrom = signal(null);
const NAMES = /** @type {Record<string, string>} */ ({ gallery: "the gallery", wall: "the wall" });

/** @param {{name: string, title: string, bar: unknown, children?: unknown, onKeyDown?: (event: KeyboardEvent) => void}} props */
export function Screen({ name, title, bar, children, onKeyDown }) {
  const box = useRef(/** @type {HTMLDialogElement | null} */ (null));
  useModal(box);
  const close = () => (store.dialog.value = null);
  return html`<dialog ref=${box} class="screen" aria-labelledby=${`${name}-title`} onClose=${close} onKeyDown=${onKeyDown}>
    <header><h2 id=${`${name}-title`}>${title}</h2>${bar}
      <button class="plain" aria-label="Close" title="Esc" onClick=${close}>✕</button></header>
    ${children}
  </dialog>`;
}

/** Follow the size of a scrolled list, which is shown again at the place where it was left.
 * @param {{current: HTMLElement | null}} box @param {{value: {width: number, height: number}}} area @param {import("../../vendor/ui.js").Signal<number>} scroll */
export function useArea(box, area, scroll) {
  useLayoutEffect(() => {
    const root = /** @type {HTMLElement} */ (box.current);
    // A dialog that is closing has no size, from which the next one would start.
    const watch = new ResizeObserver(() => root.clientWidth && (area.value = { width: root.clientWidth, height: root.clientHeight }));
    watch.observe(root);
    root.scrollTop = scroll.peek();
    return () => watch.disconnect();
  }, []);
}

/** Open a micrograph at a position, or in full view. @param {number} mid @param {number | null} x @param {number | null} y @param {(step: string) => void} go */
export async function openAt(mid, x, y, go) {
  const from = store.dialog.value;
  batch(() => {
    store.dialog.value = null;
    go(store.run.value ? "inspect" : "label");
  });
  cameFrom.value = from;
  if (store.micrograph.value?.id !== mid) await session.open(mid);
  if (x === null || y === null) return;
  await new Promise(requestAnimationFrame);
  const now = stage.now;
  if (!now) return;
  now.setView({ ...now.view, cx: x, cy: y, zoom: Math.max(now.view.zoom, 60 / store.radiusPx.value) });
  store.cursor.value = [x, y];
  now.root.focus({ preventScroll: true });
}

/** The way back to the gallery or the wall. */
export function Back() {
  const name = cameFrom.value;
  if (!name) return null;
  return html`<button class="primary" data-test="back" title=${keyFor(name)} onClick=${() => {
    cameFrom.value = null;
    store.dialog.value = name;
  }}>◂ Back to ${NAMES[name]}</button>`;
}
