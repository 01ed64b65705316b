// What the page uses of uplot.js, for the type checker; nobody loads this.
export default class uPlot {
  constructor(options: any, data: any, root: HTMLElement);
  setData(data: any): void;
  setSize(size: { width: number; height: number }): void;
  destroy(): void;
}
