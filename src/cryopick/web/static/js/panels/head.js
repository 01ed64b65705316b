// @ts-check
// Header, steps, notifications, and announcements for screen readers.

import { html } from "../../vendor/ui.js";
import { keyFor } from "../keys.js";
import * as store from "../store.js";
import { Me } from "./people.js";
import { plural } from "../widgets.js";

const THEMES = { auto: "System", light: "Light", dark: "Dark" };

/** @param {{setTheme: (t: string) => void}} props */
export function Header({ setTheme }) {
  const { value: project } = store.project;
  const { waiting, failed } = store.saving.value;
  const next = { auto: "light", light: "dark", dark: "auto" }[store.theme.value] ?? "auto";
  const saved = failed ? `Not saved: ${plural(waiting, "edit")}` : waiting ? `Saving ${plural(waiting, "edit")}…` : "All saved";
  return html`<header class="head">
    <span class="name"><${Mark} />cryopick</span>
    <strong class="cut" title=${project?.path}>${project?.name}</strong>
    <span class="facts grow"><${PixelSize} /></span>
    ${project?.read_only && html`<span class="badge warn" title="Started with --read-only">Read-only</span>`}
    ${!store.connected.value && html`<span class="badge warn">No connection; reconnecting</span>`}
    ${!project?.read_only && html`<span class=${`saved ${failed ? "bad" : waiting ? "warn" : "good"}`} role="status">${saved}</span>`}
    <${Me} />
    <button class="plain" onClick=${() => (store.dialog.value = "help")}>Shortcuts <kbd>${keyFor("help") || "?"}</kbd></button>
    <button class="plain" title="Switch between light and dark" onClick=${() => setTheme(next)}>
      <${Moon} />${THEMES[/** @type {keyof typeof THEMES} */ (store.theme.value)]}
    </button>
  </header>`;
}

const SOURCES = { file: "from the file", list: "from the list", given: "entered by you" };

function PixelSize() {
  const ang = store.pixelSize.value;
  if (!store.micrograph.value) return null;
  if (!ang) return html`<span class="badge warn">No pixel size; enter it in step 1</span>`;
  if (store.micrograph.value.pixel_size_source === "doubtful")
    return html`<span class="badge warn">The files state 1 Å per pixel; confirm it in step 1</span>`;
  const source = SOURCES[/** @type {keyof typeof SOURCES} */ (store.micrograph.value.pixel_size_source)];
  return html`<span class="num cut">${Number(ang.toPrecision(5))} Å per pixel
    ${source && html` <span class="muted">(${source})</span>`}</span>`;
}

const Mark = () => html`<svg width="20" height="20" viewBox="0 0 20 20" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true">
  <circle cx="7.5" cy="7.5" r="5" /><circle cx="14" cy="14.5" r="3.6" /><circle cx="15.5" cy="4.5" r=".8" fill="currentColor" /></svg>`;
const Moon = () => html`<svg width="16" height="16" viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="6.2" fill="none" stroke="currentColor" stroke-width="1.6" /><path d="M8 1.8a6.2 6.2 0 0 1 0 12.4z" fill="currentColor" /></svg>`;

export const STEPS = [
  ["data", "Micrographs"], ["label", "Label"], ["train", "Train"],
  ["inspect", "Inspect"], ["review", "Review"], ["export", "Export"],
];

/** @param {{counts: Record<string, string>, go: (step: string) => void}} props */
export function Steps({ counts, go }) {
  return html`<nav class="steps" aria-label="Steps">
    ${STEPS.map(([id, name], k) => html`<button key=${id} aria-current=${store.step.value === id ? "step" : undefined}
      onClick=${() => go(id)}><span class="at" aria-hidden="true">${k + 1}</span>${name}
      ${counts[id] && html`<span class="count">${counts[id]}</span>`}</button>`)}
  </nav>`;
}

export function Toasts() {
  return html`<div class="toast">${store.toasts.value.map(
    (t) => html`<div key=${t.id} class=${`note ${t.kind}`} role=${t.kind === "bad" ? "alert" : "status"}>
      <span class="grow">${t.text}</span>
      ${t.button && html`<button onClick=${() => (store.dismiss(t.id), t.button?.run())}>${t.button.label}</button>`}
      <button class="plain" aria-label="Close" onClick=${() => store.dismiss(t.id)}>✕</button></div>`,
  )}</div>`;
}

export const Announcer = () => html`<div class="sr" role="status" aria-live="polite">${store.announcement.value}</div>`;
