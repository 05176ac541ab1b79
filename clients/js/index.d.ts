import { EventEmitter } from 'node:events';

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

export interface ConnectionOptions {
  /** Of the engine, as `http://127.0.0.1:8080`. */
  url: string;
  /** A JWT, or a function that gives one for each new socket and before the old one ends. */
  token: string | (() => string | Promise<string>);
  backoff?: { firstMs?: number; mostMs?: number };
  /**
   * Gets what nobody listens to and should not pass in silence: that the engine cannot be reached
   * (event `unreachable`) or ended the connection (`closed`), that a task (`taskFailed`) or the
   * handler of deliveries (`handlerFailed`) threw. Default: console.warn.
   */
  warn?: (text: string) => void;
}

export class Connection extends EventEmitter {
  readonly live: boolean;
  connect(): Promise<object>;
  /** Drops the socket as if the network had; a new one follows. */
  reconnect(): void;
}

export interface Delivery {
  epoch: string;
  offset: number;
  name: string;
  data: Json;
  run: string;
  correlation: string;
  causation: string;
  /** Marks the run's answer, of which each run makes exactly one. */
  outcome?: true;
}

export interface Accepted {
  id: string;
  event: string;
  seq: number;
  runs: string[];
  correlation: string;
  duplicate: boolean;
}

export interface ClientState {
  session?: string;
  resume?: { epoch: string; offset: number };
  nextSend?: number;
}

export interface ClientOptions extends ConnectionOptions, ClientState {
  /** Called with one delivery at a time, in order; it is acknowledged when the promise resolves. */
  onDelivery?: (delivery: Delivery) => void | Promise<void>;
  /** Send again what was refused as busy, rate_limited or unavailable. Default: true. */
  retryPassing?: boolean;
  /** Pieces of a stream come at most this often, 0 to 500 ms. Default: 40. */
  tokenMs?: number;
  onToken?: (piece: StreamPiece) => void;
  onStream?: (change: StreamChange) => void;
}

/** A piece of what a step says while it works. */
export interface StreamPiece {
  run: string;
  /** The step's path. */
  step: string;
  attempt: number;
  /** From 0 within the attempt. */
  n: number;
  data: string;
}

export interface StreamChange {
  run: string;
  step: string;
  attempt: number;
  /** `reset`: drop what came of earlier attempts; `snapshot`: all so far is `text`. */
  status: 'open' | 'reset' | 'snapshot' | 'complete' | 'failed' | 'cancelled';
  text?: string;
  /** The end was lost with a socket, and the run has answered since. */
  lost?: true;
}

export class Client extends Connection {
  constructor(options: ClientOptions);
  readonly state: ClientState;
  readonly session?: string;
  readonly pending: number;
  send(
    topic: string,
    data: Json,
    options?: { id?: string; ttlMs?: number; correlation?: string },
  ): Promise<Accepted>;
  signal(run: string, event: string, data: Json, options?: { id?: string }): Promise<Accepted>;
  cancel(run: string, options?: { id?: string }): Promise<Accepted>;
  /** Deliveries to a group: not acknowledged; they go on behind the last after a reconnect. */
  subscribe(
    group: string,
    handler: (delivery: Delivery & { group: string }) => void,
    options?: { offset?: number },
  ): Promise<{ group: string; offset: number }>;
  unsubscribe(group: string): Promise<{ group: string }>;
  watch(run: string): boolean;
  unwatch(run: string): boolean;
  close(): void;
}

export interface TaskContext {
  lease: string;
  task: string;
  attempt: number;
  deadline_ms: number;
  /** The same for every attempt of the step. */
  key: string;
  tenant: string;
  client?: string;
  run: string;
  step: string;
  correlation: string;
  /** Aborted when the engine cancels the attempt, or gives it to another. */
  signal: AbortSignal;
  progress(progress: Json): boolean;
  /** A piece of the answer for the client, of a step that says `stream`. */
  stream(data: string): boolean;
}

export type Task = (args: Json[], context: TaskContext) => Json | void | Promise<Json | void>;

export interface WorkerOptions extends ConnectionOptions {
  name: string;
  tasks: { [task: string]: Task };
  /** How many tasks run at once. Default: 8. */
  credit?: number;
}

export class Worker extends Connection {
  constructor(options: WorkerOptions);
  readonly load: { running: number; unsettled: number };
  /** Takes nothing more, finishes and reports what it has, then closes. */
  stop(options?: { withinMs?: number }): Promise<void>;
}

export class ConnectionClosed extends Error {
  code: number;
}

export class Rejected extends Error {
  code: string;
  errors: { path: string; message: string }[];
  retryAfterMs?: number;
}

export class TaskFailed extends Error {
  constructor(kind: string, message: string, options?: { retry?: boolean; retryAfterMs?: number });
  kind: string;
  retry: boolean;
  retryAfterMs?: number;
}
