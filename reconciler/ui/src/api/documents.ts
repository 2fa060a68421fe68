/**
 * The documents of the HTTP API, field by field as `docs/api.md` and `reconciler/src/api.rs` have
 * them. Knows their JSON form. Refuses to know routes, and adds nothing that the server does not say:
 * what may be missing is optional here, and is drawn as unknown.
 */

export type Role = 'viewer' | 'planner' | 'editor' | 'admin';

export interface Session {
  name: string;
  role: Role;
  expires_at: string;
  csrf: string;
}

export interface About {
  version: string;
  cluster?: string | null;
  login?: string[];
}

export interface Page<T> {
  items: T[];
  next?: string;
}

export interface Location {
  file: string;
  line: number;
  column: number;
  start?: number;
  end?: number;
}

export interface Diagnostic {
  severity: 'error' | 'warning';
  code: string;
  message: string;
  at?: Location;
  help?: string;
  related?: [Location, string][];
}

export interface Problem {
  type: string;
  title: string;
  status: number;
  detail?: string;
  diagnostics?: Diagnostic[];
}

export interface Summary {
  add: number;
  change: number;
  destroy: number;
  moved: number;
  forget: number;
}

export type NodeStatus = 'online' | 'offline' | 'lost';

/** How much of one thing a node has: all of it, kept for the host, given to instances. */
export interface Room {
  whole: number;
  reserved: number;
  placed: number;
}

export interface GpuRoom {
  id: string;
  model: string;
  mem_mb: number;
  placed_mb: number;
  share_milli: number;
}

export interface NodeRow {
  name: string;
  status: NodeStatus;
  ip: string;
  instances: number;
  last_seen: string;
  problem?: string | null;
  cordoned?: boolean;
  drained?: boolean;
  /** The cluster file lets nothing new come to it. */
  shut?: boolean;
  joined_at?: string | null;
  /** It joined, and no agent of it has connected since. */
  never_connected?: boolean;
  zone?: string | null;
  tags?: string[];
  agent?: string | null;
  engines?: { name: string; version?: string | null; available: boolean }[];
  os?: string;
  arch?: string;
  room?: { cpu_milli?: Room; memory_mb?: Room; disk_mb?: Room } | null;
  gpus?: GpuRoom[];
}

export interface Availability {
  version?: string | null;
  available: boolean;
  engine?: string | null;
}

/** A node as the fleet's records have it. */
export interface Node {
  id: string;
  name: string;
  ip: string;
  os: string;
  arch: string;
  cpu_count: number;
  total_memory_mb: number;
  disks: { mount: string; total_mb: number; free_mb: number }[];
  gpus: { id: string; model: string; mem_mb: number }[];
  docker: Availability;
  k8s: Availability;
  process: Availability;
  ports_in_use: number[];
  last_seen: string;
  tags: string[];
  zone: string | null;
  cordoned: boolean;
  status: NodeStatus;
}

export interface FleetSnapshot {
  cluster?: string;
  serial: number;
  taken_at: string;
  nodes: Node[];
}

export type InstanceState = 'running' | 'starting' | 'exited' | 'completed' | 'unknown';
export type HealthState = 'healthy' | 'unhealthy' | 'starting' | 'unknown';

export interface InstanceRow {
  id: string;
  node: string;
  state: InstanceState;
  health: HealthState;
  address?: string | null;
  message?: string | null;
  stranger?: boolean;
  /** It runs an older declaration; this says what it waits for. */
  outdated?: string | boolean | null;
}

export interface ServiceRow {
  name: string;
  desired: number;
  healthy: number;
  instances: InstanceRow[];
  form?: string | null;
  component?: string | null;
  version?: string | null;
  at?: string | null;
  priority?: number | null;
  depends_on?: string[];
  near?: string[];
  apart_from?: string[];
  place?: string[];
  resources?: ServiceResources | null;
  secrets?: string[];
  /** Each instance that should run and has no row. */
  waiting?: Waiting[];
  undeclared?: boolean;
}

export interface ServiceResources {
  cpu_milli?: number;
  memory_mb?: number;
  disk_mb?: number;
  gpus?: number;
  gpu_share_milli?: number;
  gpu_memory_mb?: number;
}

export interface Waiting {
  instance: string;
  node?: string | null;
  reason: string;
  tries?: number | null;
  of?: number | null;
  next_try?: string | null;
}

export type DeploymentState =
  | 'running'
  | 'succeeded'
  | 'incomplete'
  | 'failed'
  | 'cancelled'
  | 'interrupted';

export interface Deployment {
  id: string;
  plan: string;
  revision: string;
  by: string;
  started_at: string;
  ended_at?: string | null;
  state: DeploymentState;
  summary: Summary;
  errors: string[];
}

export type StepReport = { deployment: string; step: string } & (
  | { state: 'running'; message: string }
  | { state: 'succeeded'; message: string }
  | { state: 'failed'; error: string }
);

export type DeploymentLine =
  | { type: 'step'; at: string; instance: string; node: string; report: StepReport }
  | { type: 'end'; deployment: Deployment };

export interface SourceStatus {
  location: string;
  branch: string;
  seen?: string | null;
  applied?: string | null;
  problem?: string | null;
  diagnostics: Diagnostic[];
}

export interface Status {
  cluster?: string | null;
  source?: SourceStatus | null;
  nodes: NodeRow[];
  services: ServiceRow[];
  deployment?: Deployment | null;
  problems?: string[];
  warnings?: Diagnostic[];
  held?: string | null;
  loop?: { state: 'waiting' | 'deploying' | 'held' | 'idle'; deployment?: string | null } | null;
  planned?: string | null;
}

export interface Event {
  seq: number;
  at: string;
  kind: string;
  subject: string;
  message: string;
  by?: string | null;
}

export interface RevisionRow {
  revision: string;
  summary: string;
  author: string;
  committed_at: string;
  seen_at: string;
  applied_at?: string | null;
  problem?: string | null;
}

export interface PlanRow {
  id: string;
  revision: string;
  by: string;
  created_at: string;
  expires_at?: string | null;
  summary: Summary;
  applicable?: boolean;
  errors?: number;
  moves?: number;
  unplaced?: number;
}

/** Text of a unit: plain parts, and references to secrets. Values of secrets are never in it. */
export type TextPart = { plain: string } | { secret: unknown } | Record<string, unknown>;

/** An instance, rendered. Only what pages read of it is written down here. */
export interface InstanceSpec {
  cluster: string;
  id: string;
  node: string;
  workload:
    | { container: { image: string; command?: TextPart[][]; [key: string]: unknown } }
    | { process: { argv: TextPart[][] } };
  env?: Record<string, TextPart[]>;
  files?: Record<string, { content: TextPart[]; mode: number }>;
  ports?: { name: string; container: number; host: number; bind: string; protocol: string }[];
  volumes?: { name: string; path: string; read_only?: boolean }[];
  limits?: { cpu: string; memory: string };
  gpus?: { id: string; share_milli: number; memory?: string }[];
  health?: unknown;
  stop?: unknown;
}

export interface ObservedInstance {
  id: string;
  service: string;
  index: number;
  node: string;
  generation: number;
  digest: string;
  state: InstanceState;
  health: HealthState;
  restarts: number;
  message?: string | null;
  runtime?: string | null;
  spec?: InstanceSpec;
}

export type Action = 'create' | 'update' | 'replace' | 'move' | 'delete' | 'noop' | 'forget';

export interface Change {
  instance: string;
  action: Action;
  node: string;
  from?: string;
  reason: string;
  forces_replacement?: string[];
  diff?: string;
  before?: InstanceSpec;
  after?: InstanceSpec;
}

export interface Drift {
  instance: string;
  node: string;
  what: string;
}

export interface Step {
  id: string;
  instance: string;
  node: string;
  generation: number;
  act: { do: 'prepare' | 'ensure' | 'await-healthy' | 'remove'; spec?: InstanceSpec };
  after: string[];
}

export interface Violation {
  constraint: string;
  need?: number;
  free?: number;
  whole?: number;
  give?: boolean;
  at?: string;
  line?: string;
  text: string;
}

export interface NodeViolations {
  node: string;
  violations: Violation[];
}

/** One change of a remedy, as the planner thinks of it. */
export type Edit = { kind: string } & Record<string, unknown>;

export interface Suggestion {
  text: string;
  cost: number;
  verified: boolean;
  edits: Edit[];
}

export interface Unplaceable {
  service: string;
  at?: string;
  unplaced: number;
  nodes: NodeViolations[];
  suggestions: Suggestion[];
}

export interface PriorityLevel {
  priority: number;
  wanted: number;
  placed: number;
  kept: number;
  waiting_for_data: number;
  waiting_for_service: number;
  bound: number;
  proven: boolean;
  assumes?: string;
}

export interface Assignment {
  instance: string;
  node: string;
  gpus?: { id: string; share_milli: number; memory?: string }[];
  reason: string;
}

export interface PlacementReport {
  status: 'optimal' | 'feasible' | 'infeasible';
  unplaced: number;
  moves: number;
  evicted: number;
  kept: number;
  moves_bound: number;
  restarts: number;
  move_cost: number;
  move_cost_bound: number;
  moves_proven: boolean;
  objective: 'balance' | 'pack';
  cost: number;
  bound: number;
  gap: number;
  score_proven: boolean;
  seconds?: number;
  solve_limit?: number;
  cut_short?: boolean;
  solver: string;
  assignments: Assignment[];
  levels: PriorityLevel[];
  evictions?: { instance: string; node: string; by?: string; reason: string }[];
  infeasible?: Unplaceable[];
  gains?: {
    instance: string;
    from: string;
    to: string;
    gain: number;
    before: number;
    after: number;
  }[];
}

export interface Plan {
  format_version: string;
  id: string;
  cluster: string;
  created_at: string;
  basis: { revision: string; secrets: Record<string, number> };
  changes: Change[];
  unchanged: number;
  drift: Drift[];
  unreached?: Drift[];
  steps: Step[];
  placement: PlacementReport;
  summary: Summary;
  diagnostics: Diagnostic[];
}

export interface StepRow {
  id: string;
  instance: string;
  node: string;
  do: string;
  after: string[];
  state: 'waiting' | 'running' | 'succeeded' | 'failed' | 'not-run' | string;
  blocked_by?: string[];
  began?: string | null;
  ended?: string | null;
  message?: string | null;
  done?: number | null;
  total?: number | null;
}

export interface LogEntry {
  instance: string;
  at?: string;
  stream?: string;
  text?: string;
  continued?: boolean;
  end?: { reason: string; message: string };
  /** The last line of a stream that was ended: `session-ended`. */
  error?: string;
}

export interface SecretRow {
  name: string;
  version: number;
  updated_at: string;
  used_by?: string[];
}

export interface ApiKeyRow {
  id: string;
  name: string;
  role: Role;
  created_at: string;
  last_used_at?: string | null;
  expires_at?: string | null;
}

export interface NewApiKey extends ApiKeyRow {
  key: string;
}

export interface SessionRow {
  id: string;
  name: string;
  role: Role;
  created_at?: string;
  seen_at?: string | null;
  expires_at?: string | null;
  from?: string | null;
  current?: boolean;
}

export interface NewJoinToken {
  id?: string;
  token: string;
  expires_at: string;
  server?: string;
  command?: string;
}

export interface TokenRow {
  id: string;
  expires_at: string;
  created_at?: string;
  node?: string | null;
  replace?: boolean;
  used_at?: string | null;
  used_by?: string | null;
}

export type ParameterKind =
  | 'text'
  | 'boolean'
  | 'size'
  | { integer: { min: number; max: number } }
  | { choice: string[] };

export interface Parameter {
  kind: ParameterKind;
  default?: string | null;
  required: boolean;
  description: string;
}

export interface ComponentSignature {
  name: string;
  description: string;
  versions: string[];
  runtimes: string[];
  parameters: Record<string, Parameter>;
  secrets: Record<string, { required: boolean; description: string }>;
  ports: {
    name: string;
    container: number;
    host?: number | null;
    scope: string;
    protocol: string;
  }[];
  volumes: { name: string; path: string; [key: string]: unknown }[];
  resources: { cpu: string; memory: string; disk: string; gpu: string };
  replicable: boolean;
}

export interface UnitText {
  instance: string;
  node: string;
  compose: string;
}

export interface Config {
  settings: ConfigRow[];
  links?: { grafana?: string | null; docs?: string | null };
}

export interface ConfigRow {
  name: string;
  value: string | null;
  source: string;
}
