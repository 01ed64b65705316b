// @ts-check
// Spatial index of points, to find those near the pointer.

export class Grid {
  /** @param {{length: number, x: (i: number) => number, y: (i: number) => number}} points @param {number} cell px */
  constructor(points, cell) {
    this.points = points;
    this.cell = Math.max(1, cell);
    /** @type {Map<string, number[]>} */
    this.cells = new Map();
    for (let i = 0; i < points.length; i++) {
      const key = this.key(points.x(i), points.y(i));
      const indices = this.cells.get(key);
      if (indices) indices.push(i);
      else this.cells.set(key, [i]);
    }
  }

  /** @param {number} x @param {number} y */
  key(x, y) {
    return `${Math.floor(x / this.cell)},${Math.floor(y / this.cell)}`;
  }

  /** Indices within `radius` of a position, the nearest first. @param {number} x @param {number} y @param {number} radius
   * @param {(i: number) => boolean} [keep] @returns {number[]} */
  within(x, y, radius, keep) {
    /** @type {[number, number][]} */
    const pairs = [];
    const c = this.cell;
    for (let gx = Math.floor((x - radius) / c); gx <= Math.floor((x + radius) / c); gx++) {
      for (let gy = Math.floor((y - radius) / c); gy <= Math.floor((y + radius) / c); gy++) {
        for (const i of this.cells.get(`${gx},${gy}`) ?? []) {
          const d = Math.hypot(this.points.x(i) - x, this.points.y(i) - y);
          if (d <= radius && (!keep || keep(i))) pairs.push([d, i]);
        }
      }
    }
    return pairs.sort((a, b) => a[0] - b[0]).map((pair) => pair[1]);
  }
}
