/** What the server's answers hold; docs/annotate.md describes them. Spatial numbers are voxels of the image turned to RAS. */

export type Triple = [number, number, number];
export type Status = "open" | "later" | "done" | "skip";
export type Verdict = "accepted" | "returned";

export interface LabelClass {
  code: number;
  value: number;
  name: string;
  color: string;
}

export interface Span {
  start: Triple;
  stop: Triple;
}

export interface Unit {
  rank: number;
  annotator: string;
  case: number;
  name: string;
  title: string;
  plane: string;
  axis: 0 | 1 | 2 | null;
  role: "strategy" | "audit";
  score: number | null;
  gain: number | null;
  uncertainty: Record<string, number>;
  prefill: string | boolean | null;
  shape: Triple;
  box: Span;
  slab: Span;
  spacing: Triple;
  version: number;
  status: Status;
  n_unlabelled: number;
  seconds: number;
  comment: string;
  verdict: Verdict | null;
  remark: string;
}

export interface LabelledUnit extends Unit {
  labels: string;
  handed_out: string;
}

export interface Query {
  id: string;
  strategy: string;
  round: number | null;
  me: { name: string; role: "annotator" | "reviewer" };
  annotators: string[];
  classes: LabelClass[];
  ignore_code: number;
  channels: string[];
  is_ct: boolean[];
  idle_seconds: number;
  units: Unit[];
}

export interface Version {
  version: number;
  saved: string;
  by: string;
  status: Status;
  n_unlabelled: number;
}

export interface Save {
  base: number;
  labels: string | null;
  status: Status;
  comment: string;
  seconds_delta: number;
  allow_unlabelled?: boolean;
}

export interface AnnotatorProgress {
  annotator: string;
  units: number;
  done: number;
  later: number;
  skip: number;
  open: number;
  returned: number;
  seconds: number;
}

/** A unit's place in everything the page keeps by unit. */
export function keyOf(unit: Pick<Unit, "rank" | "annotator">): string {
  return `${unit.annotator}/${unit.rank}`;
}

export function sizeOf(span: Span): Triple {
  return [span.stop[0] - span.start[0], span.stop[1] - span.start[1], span.stop[2] - span.start[2]];
}
