// @ts-check
// Mouse and pen input: the effect depends on the tool, the modifier keys and the object under the pointer.

/** @typedef {import("./stage.js").Stage} Stage */
/** @typedef {object} PointerActions  actions of the pointer; positions in micrograph pixels
 * @property {() => string} tool
 * @property {() => boolean} blocked  there is nothing to click on
 * @property {(x: number, y: number) => string | null} labelAt
 * @property {(x: number, y: number) => void} press  a click with the current tool
 * @property {(id: string) => void} select
 * @property {(id: string, x: number, y: number) => void} drag  move a label temporarily
 * @property {(id: string, x: number, y: number) => void} drop
 * @property {(x: number, y: number) => void} remove
 * @property {(x: number, y: number) => void} brushTo  erase at a position
 * @property {() => void} brushEnd
 * @property {(at: [number, number] | null) => void} hover
 * @property {(from: [number, number], to: [number, number], final: boolean) => void} measure  measure a diameter
 * @property {() => void} closeOutline */

const CLICK_PX = 4;

/** @param {Stage} stage @param {PointerActions} hands @returns {() => void} stops listening */
export function listen(stage, hands) {
  const root = stage.root;
  /** @type {{how: string, id: string | null, from: [number, number], x0: number, y0: number, x: number, y: number, moved: boolean} | null} */
  let press = null;
  let space = false;

  /** @param {PointerEvent} event @param {string | null} id */
  const kindOf = (event, id) => {
    if (event.button === 1 || space || (event.button === 0 && hands.tool() === "hand")) return "pan";
    if (event.button === 2) return "remove";
    if (event.button !== 0) return "";
    if (event.shiftKey) return "sweep";
    if (hands.tool() === "ruler") return "ruler";
    if (hands.tool() === "erase") return "brush";
    if (hands.tool() === "polygon") return "press";
    return id ? "label" : "press";
  };

  /** @param {PointerEvent} event */
  const down = (event) => {
    if (press || hands.blocked() || /** @type {HTMLElement} */ (event.target).closest("[data-chrome]")) return;
    const [x, y] = stage.imageAt(event);
    const id = hands.labelAt(x, y);
    const how = kindOf(event, id);
    if (!how) return;
    root.focus({ preventScroll: true });
    root.setPointerCapture(event.pointerId);
    event.preventDefault();
    press = { how, id, from: [x, y], x0: event.clientX, y0: event.clientY, x: event.clientX, y: event.clientY, moved: false };
    stage.editStarted = how === "pan" ? null : event.timeStamp;
    if (how === "brush") hands.brushTo(x, y);
    if (how === "pan") root.classList.add("grabbing");
  };

  /** @param {PointerEvent} event */
  const move = (event) => {
    const [x, y] = stage.imageAt(event);
    hands.hover([x, y]);
    if (!press) return;
    const far = Math.hypot(event.clientX - press.x0, event.clientY - press.y0) > CLICK_PX;
    const started = far && !press.moved;
    press.moved ||= far;
    if (press.moved) {
      if (started) stage.editStarted = null;
      if (press.how === "pan" || press.how === "press") {
        root.classList.add("grabbing");
        stage.pan(event.clientX - press.x, event.clientY - press.y);
      } else if (press.how === "label" && press.id) hands.drag(press.id, x, y);
      else if (press.how === "ruler") hands.measure(press.from, [x, y], false);
      else if (press.how === "brush" || press.how === "sweep") hands.brushTo(x, y);
    }
    press.x = event.clientX;
    press.y = event.clientY;
  };

  /** @param {PointerEvent} event */
  const up = (event) => {
    if (!press) return;
    const { how, id, from, moved } = press;
    press = null;
    root.classList.remove("grabbing");
    const [x, y] = stage.imageAt(event);
    if (how === "brush" || (how === "sweep" && moved)) hands.brushEnd();
    else if (how === "sweep" || (how === "remove" && !moved)) hands.remove(x, y);
    else if (how === "ruler" && moved) hands.measure(from, [x, y], true);
    else if (how === "label" && id && moved) hands.drop(id, x, y);
    else if (how === "label" && id) hands.select(id);
    else if (how === "press" && !moved) hands.press(x, y);
  };

  const cancel = () => {
    if (press?.how === "brush" || press?.how === "sweep") hands.brushEnd();
    press = null;
    root.classList.remove("grabbing");
  };

  /** @param {WheelEvent} event */
  const wheel = (event) => {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    const [sx, sy] = stage.screenAt(event);
    stage.zoom(Math.exp((-event.deltaY * lines * (event.ctrlKey ? 4 : 1)) / 600), sx, sy);
  };

  /** @param {KeyboardEvent} event */
  const spaceKey = (event) => {
    if (event.code !== "Space") return;
    space = event.type === "keydown";
    root.classList.toggle("grab", space);
    if (event.target === root) event.preventDefault();
  };

  /** @type {[EventTarget, string, (event: never) => unknown, AddEventListenerOptions?][]} */
  const listeners = [
    [root, "pointerdown", down],
    [root, "pointermove", move],
    [root, "pointerup", up],
    [root, "pointercancel", cancel],
    [root, "pointerleave", () => !press && hands.hover(null)],
    [root, "dblclick", () => hands.tool() === "polygon" && hands.closeOutline()],
    [root, "contextmenu", (/** @type {Event} */ e) => e.preventDefault()],
    [root, "wheel", wheel, { passive: false }],
    [root, "keydown", spaceKey],
    [root, "keyup", spaceKey],
    [root, "blur", () => ((space = false), root.classList.remove("grab"))],
  ];
  const on = (/** @type {(event: never) => unknown} */ run) => /** @type {EventListener} */ (run);
  for (const [target, name, run, options] of listeners) target.addEventListener(name, on(run), options);
  return () => {
    for (const [target, name, run, options] of listeners) target.removeEventListener(name, on(run), options);
  };
}
