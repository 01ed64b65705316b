// Types of the server's responses and of shared values, for the type checker; the browser does not load this file.

/** An event of a form control. */
export interface FieldEvent extends Event { target: HTMLInputElement; currentTarget: HTMLInputElement }

/** A row of the list of micrographs. Sizes are null in the JSON only for files with a problem. */
export interface MicrographRow {
  id: number;
  path: string;
  name: string;
  width_px: number;
  height_px: number;
  pixel_size_ang: number | null;
  pixel_size_source: "given" | "list" | "file" | "doubtful" | "unknown";
  problem: string | null;
  state: string;
  note: string;
  pos: number;
  neg: number;
  picks: number | null;
  best: number | null;
  suggested: number | null;
  verdict: string | null;
  values: Record<string, number>;
}

export interface Curves {
  step: number[];
  loss: (number | null)[];
  partner_loss: (number | null)[];
  average_precision_step: number[];
  average_precision: number[];
}

export interface RunProgress { stage?: string; done?: number; total?: number; seconds_left?: number | null }

export interface Run {
  id: string;
  kind: "train" | "pick" | "suggest" | "size" | "import";
  title: string;
  state: "queued" | "running" | "done" | "stopped" | "failed";
  message: string;
  has_picks: boolean;
  can_resume: boolean;
  labels: number | null;
  average_precision: number | null;
  n_picks: number | null;
  seconds: number | null;
  progress: RunProgress;
  /** Progress of all stages together. */
  overall?: { share: number; seconds_left: number } | null;
  notices?: { code: string; message: string }[];
  warm_up_steps?: number;
  curves: Curves;
  log: string[];
}

export interface ProjectState {
  id: string;
  name: string;
  path: string;
  n_micrographs: number;
  n_labels: number;
  seq: number;
  pixel_size_ang: number | null;
  pixel_size_source?: MicrographRow["pixel_size_source"];
  read_only: boolean;
  notes: string[];
  diameter_ang: number | null;
  /** Evidence of particles at each size, relative to the most; empty without an estimate. */
  size_evidence?: { size_ang: number; evidence: number }[];
  box_px: number;
  box_given: boolean;
  n_unread: number;
  values: ValueRange[];
  formats: { id: string; name: string }[];
  match_diameters: number;
  runs: Run[];
  deleted_runs?: { id: string; title: string }[];
}

/** Range of a value that a STAR or .cs file states. */
export interface ValueRange { name: string; title: string; unit: string; low: number; high: number }

/** Settings of a training run, as the form sends them. */
export interface TrainingSettings {
  diameter_ang: number;
  particles_per_micrograph: number | null;
  preset: string;
  pick: boolean;
}

export interface TrainingPlan {
  labels: number;
  micrographs: number;
  negatives: number;
  complete: number;
  all_micrographs: number;
  estimate: number | null;
  /** Particles per micrograph expected from the scores of the last run. */
  expected?: number | null;
  warnings: string[];
  refusal: string | null;
  presets: { id: string; name: string }[];
  defaults: TrainingSettings;
}

/** Threshold, edge margin and minimum distance. */
export interface PickFilter { threshold: number; edge_ang: number; min_distance_ang: number }

export interface Suggestion { name: string; threshold: number; reason: string }

/** An estimate with its 95 % interval. */
export interface Interval { value: number; low: number; high: number }

export interface Metrics {
  /** False if the scores only rank the picks. */
  is_calibrated?: boolean;
  estimated?: { is_capped: boolean; precision?: Interval; recall?: Interval; count?: Interval; per_micrograph?: number } | null;
  recall?: { value: number | null; n: number };
  precision?: { value: number | null; low: number | null; high: number | null; n: number; from: string | null };
  suggestions?: Suggestion[];
}

/** Bins of accepted and rejected picks; `added`: labels without a pick at or above each edge. */
export interface Histogram extends PickFilter {
  edges: number[];
  counts: number[];
  rejected?: number[];
  added?: number[];
  n_micrographs: number;
  colours: [number, number];
}

/** Histogram and metrics of the run whose picks are shown. */
export interface RunScores extends Histogram { totals: number[]; rejections?: number[]; metrics: Metrics; suggestions: Suggestion[] }

export interface Label { id: string; x: number; y: number; kind: string; mid: number; source?: string; batch?: string; author?: string }

export interface Region { id: string; kind: string; points: [number, number][]; mid: number }

/** An edit of labels and regions; the fields depend on `op`. */
export interface Operation {
  op: string;
  id: string;
  cid?: string;
  mid?: number;
  x?: number;
  y?: number;
  kind?: string;
  source?: string;
  points?: [number, number][];
  batch?: string;
  seq?: number;
  author?: string;
  n_labels?: number;
}

/** An operation with its unique name, as it is sent to the server. */
export interface NamedOperation extends Operation { cid: string }

/** Labels and regions of a micrograph. `pending`: operations that the response may not contain yet. */
export interface AnnotationList { labels: Label[]; regions: Region[]; pending: Operation[] }

/** A pick to review. `label`: id of the label that the last answer added. */
export interface ReviewItem {
  on?: { id: string; kind: string } | null;
  pick: number;
  mid: number;
  name: string;
  x: number;
  y: number;
  score: number;
  label?: string;
}

/** A place to accept or reject. */
export interface Candidate { mid: number; name: string; x: number; y: number; score: number }

/** Comparison of runs. `changed`: fraction of the picks that differ from the run before. */
export interface Comparison {
  runs: { id: string; labels: number | null; per_micrograph: number; recall: number | null; left_out: number; changed: number | null }[];
  advice: { labels: number; changed: number; enough: boolean } | null;
}

export interface ReviewQueue {
  run: string;
  sample: string;
  items: ReviewItem[];
  drawn: PickFilter;
  at: number;
  answers: Record<number, string>;
  answered: number[];
}

export interface ExportSummary {
  n: number;
  n_micrographs: number;
  parts?: [string, number][];
  files?: { path: string; exists: boolean }[];
  problem?: string | null;
  command?: string;
}

export interface ImportReport {
  format: string;
  files: number;
  faults: { name: string; reason: string }[];
  n_faults: number;
  batch: string | null;
  run: string | null;
  matched: number;
  n_micrographs: number;
  n_unmatched: number;
  outside: number;
  duplicates: number;
  preview: { mid: number; name: string; width_px: number; height_px: number; xy: [number, number][] } | null;
  warnings: string[];
}

export interface FolderListing {
  dir: string;
  parent: string | null;
  folders: { name: string; path: string }[];
  files: { name: string; path: string; star: boolean }[];
  n_micrographs: number;
}

/** Display settings. `moving`: a slider is being moved. */
export interface Lens {
  view: string;
  lowpass: number;
  highpass: number;
  black: number;
  white: number;
  invert: boolean;
  moving?: boolean;
}

/** Settings of the view that the browser stores for each project. */
export interface StoredView {
  step?: string;
  micrograph?: number;
  lens?: Partial<Lens>;
  scoreOpacity?: number;
  showBoxes?: boolean;
  folded?: { side?: boolean; tools?: boolean };
  overlay?: string;
  training?: Partial<TrainingSettings>;
}
