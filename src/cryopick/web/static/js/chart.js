// @ts-check
// Training curves, updated during training.

import { html, useEffect, useRef } from "../vendor/ui.js";
import uPlot from "../vendor/uplot.js";

/** @param {string} name */
const colour = (name) => {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
};

/** @param {{title: string, x: string, y: string, data: (number | null)[][], names: string[], theme: string}} props  data[0] is x */
export function Chart({ title, x, y, data, names, theme }) {
  const box = useRef(/** @type {HTMLElement | null} */ (null));
  const plot = useRef(/** @type {uPlot | null} */ (null));
  useEffect(() => {
    const root = /** @type {HTMLElement} */ (box.current);
    const [text, line] = [colour("--muted"), colour("--line")];
    const strokes = [colour("--accent"), colour("--warn")];
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: "12px system-ui", labelFont: "12px system-ui", labelSize: 22 };
    const chart = new uPlot(
      {
        width: root.clientWidth || 300,
        height: 190,
        legend: { show: false },
        cursor: { points: { size: 6 } },
        scales: { x: { time: false } },
        axes: [{ ...axis, label: x, size: 38 }, { ...axis, ...(y ? { label: y } : {}), size: y ? 52 : 44 }],
        series: [{}, ...names.map((name, k) => ({ label: name, stroke: strokes[k % 2], width: 2, spanGaps: true, points: { show: data[0].length < 30, size: 5 } }))],
      },
      data,
      root,
    );
    plot.current = chart;
    const watch = new ResizeObserver(() => chart.setSize({ width: root.clientWidth || 300, height: 190 }));
    watch.observe(root);
    return () => {
      watch.disconnect();
      chart.destroy();
    };
  }, [theme, names.join()]);
  useEffect(() => plot.current?.setData(data), [data]);
  const last = names.map((name, k) => `${name} ${format(data[k + 1].at(-1))}`).join(", ");
  return html`<figure class="chart" aria-label=${`${title}: ${last || "no points yet"}`} role="img">
    <div class="plot" ref=${box}></div>
  </figure>`;
}

/** @param {number | null | undefined} value */
const format = (value) => (value == null ? "–" : Number(value).toPrecision(3));
