import { Connection } from './connection.mjs';
import { TaskFailed } from './errors.mjs';

const kDefaultCredit = 8;
const kLeaseDefaultMs = 10_000;
const kStreamChars = 1 << 20; // what the engine keeps of one attempt's stream

/**
 * A worker: takes tasks within its credit, renews their leases while they run, and reports each
 * outcome until the engine says that it is durable (`settled`) or no longer wanted (`stale`).
 *
 * `tasks` maps a task's name to `async (args, context) => result`. What a function throws fails the
 * attempt: a TaskFailed with its kind, anything else as `Fault`, which is not tried again.
 *
 * Events besides Connection's: `settled` (lease), `forgotten` (lease, why), `taskFailed` (task,
 * error). Of what is no TaskFailed, and so a fault of the function, there is a warning if nobody
 * listens.
 */
export class Worker extends Connection {
  #name;
  #tasks;
  #capacity;
  #leaseMs = kLeaseDefaultMs;
  #held = new Map(); // lease -> attempt that waits or runs here
  #waiting = []; // attempts beyond the capacity, oldest first
  #running = 0;
  #granted = 0; // tasks that the server may still send
  #reports = new Map(); // lease -> report that is not yet settled
  #stopping = null;

  constructor(options) {
    super({ ...options, path: options.path ?? '/v1/worker', protocol: 'sluice.worker.v1.json' });
    this.#name = options.name;
    this.#tasks = options.tasks;
    this.#capacity = options.credit ?? kDefaultCredit;
  }

  get label() {
    return `sluice worker ${this.#name}`;
  }

  /** Attempts that wait or run here, and reports that are not yet durable. */
  get load() {
    return { running: this.#held.size, unsettled: this.#reports.size };
  }

  /** Takes nothing more, finishes what it has, and closes when every report is durable. */
  async stop({ withinMs = 30_000 } = {}) {
    if (!this.#stopping) {
      this.#granted = 0;
      this.push({ t: 'bye' });
      this.#stopping = new Promise((resolve) => {
        const timer = setTimeout(resolve, withinMs);
        this.once('idle', () => {
          clearTimeout(timer);
          resolve();
        });
      });
      this.#noteIdle();
    }
    await this.#stopping;
    this.end();
  }

  helloFrame() {
    this.#granted = this.#stopping ? 0 : Math.max(0, this.#capacity - this.#held.size);
    const tasks = Object.keys(this.#tasks);
    const hello = { t: 'hello', worker: this.#name, tasks, credit: this.#granted };
    if (this.#held.size > 0) hello.reclaim = [...this.#held.keys()];
    return hello;
  }

  onWelcome(frame) {
    this.#leaseMs = frame.lease_ms ?? kLeaseDefaultMs;
    // The engine drops the pieces that it has had, by their numbers.
    for (const attempt of this.#held.values()) {
      for (const piece of attempt.pieces) this.push(piece);
    }
    for (const report of this.#reports.values()) this.push(report);
    this.#askForMore();
  }

  onEnd() {
    for (const attempt of this.#held.values()) this.#drop(attempt, 'the worker has ended');
  }

  onFrame(frame) {
    switch (frame.t) {
      case 'task':
        this.#take(frame);
        break;
      case 'settled':
        this.#reports.delete(frame.lease);
        this.emit('settled', frame.lease);
        this.#noteIdle();
        break;
      case 'stale':
        this.#forget(frame.lease, 'stale');
        break;
      case 'cancel':
        this.#forget(frame.lease, frame.why ?? 'cancelled');
        break;
      default: // a later server's; unknown frames are no error
    }
  }

  #take(task) {
    this.#granted = Math.max(0, this.#granted - 1);
    const attempt = { task, abort: new AbortController(), renewal: null, over: false };
    attempt.pieces = []; // of its stream, to be sent again on a new socket
    attempt.chars = 0;
    attempt.renewal = setInterval(
      () => this.push({ t: 'renew', lease: task.lease }),
      Math.max(50, (task.lease_ms ?? this.#leaseMs) / 3),
    );
    this.#held.set(task.lease, attempt);
    this.#waiting.push(attempt);
    this.#startNext();
  }

  #startNext() {
    while (this.#running < this.#capacity && this.#waiting.length > 0) {
      const attempt = this.#waiting.shift();
      if (attempt.over) continue;
      this.#running += 1;
      this.#run(attempt).finally(() => {
        this.#running -= 1;
        this.#startNext();
        this.#askForMore();
        this.#noteIdle();
      });
    }
  }

  async #run(attempt) {
    const { task } = attempt;
    let report;
    try {
      const work = this.#tasks[task.task];
      if (!work) throw new TaskFailed('Rejected', `unknown task ${task.task}`, { retry: false });
      const result = await work(task.args, this.#contextOf(attempt));
      report = { t: 'done', lease: task.lease, result: result ?? null };
    } catch (error) {
      report = failure(task.lease, error);
      const text = `${this.label}: ${task.task} failed: ${error?.stack ?? error}`;
      if (error instanceof TaskFailed) this.emit('taskFailed', task, error);
      else this.tell('taskFailed', text, task, error);
    }
    if (attempt.over) return;
    this.#drop(attempt, null);
    this.#reports.set(task.lease, report);
    this.push(report);
  }

  #contextOf(attempt) {
    const { task } = attempt;
    return {
      ...task,
      signal: attempt.abort.signal,
      progress: (progress) => this.push({ t: 'renew', lease: task.lease, progress }),
      stream: (data) => this.#stream(attempt, data),
    };
  }

  /** A piece for the client; false once the attempt is over, or beyond what is shown of one. */
  #stream(attempt, data) {
    if (typeof data !== 'string') throw new TypeError('a piece of a stream is a string');
    if (attempt.over || attempt.chars + data.length > kStreamChars) return false;
    attempt.chars += data.length;
    const piece = { t: 'stream', lease: attempt.task.lease, n: attempt.pieces.length, data };
    attempt.pieces.push(piece);
    this.push(piece);
    return true;
  }

  /** The attempt is not this worker's any more, and neither is its report wanted. */
  #forget(lease, why) {
    this.#reports.delete(lease);
    const attempt = this.#held.get(lease);
    if (attempt) this.#drop(attempt, why);
    this.emit('forgotten', lease, why);
    this.#askForMore();
    this.#noteIdle();
  }

  #drop(attempt, why) {
    attempt.over = true;
    clearInterval(attempt.renewal);
    this.#held.delete(attempt.task.lease);
    if (why !== null) attempt.abort.abort(new Error(why));
  }

  /** `credit` sets how many more may come: what is free, less what waits here. */
  #askForMore() {
    if (this.#stopping) return;
    const free = Math.max(0, this.#capacity - this.#running - this.#waiting.length);
    if (free > this.#granted && this.push({ t: 'credit', n: free })) this.#granted = free;
  }

  #noteIdle() {
    if (this.#stopping && this.#held.size === 0 && this.#reports.size === 0) this.emit('idle');
  }
}

function failure(lease, error) {
  const message = String(error?.message ?? error);
  const report = { t: 'failed', lease, kind: 'Fault', message, retry: false };
  if (error instanceof TaskFailed) {
    report.kind = error.kind;
    report.retry = error.retry;
    if (error.retryAfterMs !== undefined) report.retry_after_ms = error.retryAfterMs;
  }
  return report;
}
