// @ts-check
// Counting what a threshold keeps: exact, because the threshold always stands on an edge of a bin.

/** @typedef {{edges: number[]|Float64Array, counts: number[]}} Histogram  one more edge than counts, rising */

/** How many scores are at or above each edge. @param {number[]} counts @returns {number[]} */
export function keptFrom(counts) {
  const kept = new Array(counts.length + 1).fill(0);
  for (let i = counts.length - 1; i >= 0; i--) kept[i] = kept[i + 1] + counts[i];
  return kept;
}

/** The edge nearest to a score. @param {ArrayLike<number>} edges @param {number} score @returns {number} its index */
export function nearestEdge(edges, score) {
  let low = 0;
  let high = edges.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (edges[middle] <= score) low = middle;
    else high = middle;
  }
  return Math.abs(edges[low] - score) <= Math.abs(edges[high] - score) ? low : high;
}

/** Fewer, wider bars for a narrow picture; sums are kept. @param {number[]} counts @param {number} bars */
export function wider(counts, bars) {
  const out = new Array(bars).fill(0);
  counts.forEach((n, i) => (out[Math.min(bars - 1, Math.floor((i * bars) / counts.length))] += n));
  return out;
}
