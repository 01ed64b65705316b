// Types of ui.js for the type checker; the browser does not load this file.
export interface Signal<T> { value: T; peek(): T }
export function h(type: any, props: any, ...children: any[]): any;
export function render(tree: any, root: Element): void;
export const Fragment: any;
export function html(strings: TemplateStringsArray, ...values: any[]): any;
export function useEffect(run: () => void | (() => void), inputs?: any[]): void;
export function useLayoutEffect(run: () => void | (() => void), inputs?: any[]): void;
export function useRef<T>(value: T): { current: T };
export function useState<T>(value: T): [T, (value: T) => void];
export function useMemo<T>(make: () => T, inputs?: any[]): T;
export function useCallback<T>(run: T, inputs?: any[]): T;
export function signal<T>(value: T): Signal<T>;
export function computed<T>(make: () => T): Signal<T>;
export function effect(run: () => void | (() => void)): () => void;
export function batch<T>(run: () => T): T;
export function untracked<T>(run: () => T): T;
export function useSignal<T>(value: T): Signal<T>;
export function useComputed<T>(make: () => T): Signal<T>;
export function useSignalEffect(run: () => void | (() => void)): void;
