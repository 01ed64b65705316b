// Types of uplot.js for the type checker; the browser does not load this file.
export default class uPlot {
  constructor(options: any, data: any, root: HTMLElement);
  setData(data: any): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
}
