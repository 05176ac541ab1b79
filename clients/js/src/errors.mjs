/** The connection has ended for good: a code that forbids coming back, or `close()`. */
export class ConnectionClosed extends Error {
  constructor(message, code = 0) {
    super(message);
    this.name = 'ConnectionClosed';
    this.code = code;
  }
}

/**
 * The server refused a frame. When `code` is `invalid`, `errors` holds the places in the data as
 * RFC 6901 pointers.
 */
export class Rejected extends Error {
  constructor(frame) {
    super(frame.message || frame.code);
    this.name = 'Rejected';
    this.code = frame.code;
    this.errors = frame.errors ?? [];
    this.retryAfterMs = frame.retry_after_ms;
  }
}

/** Thrown by a task's function to fail its attempt with a kind that the flow knows. */
export class TaskFailed extends Error {
  constructor(kind, message, { retry = true, retryAfterMs } = {}) {
    super(message);
    this.name = 'TaskFailed';
    this.kind = kind;
    this.retry = retry;
    this.retryAfterMs = retryAfterMs;
  }
}
