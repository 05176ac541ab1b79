// How long to wait before the next attempt to connect, and which ends of a connection allow one.

/** Waits grow from `firstMs` to `mostMs`, drawn from the upper half so that clients spread out. */
export class Backoff {
  #failures = 0;

  constructor({ firstMs = 100, mostMs = 5000, random = Math.random } = {}) {
    this.firstMs = firstMs;
    this.mostMs = mostMs;
    this.random = random;
  }

  /** The wait before the next attempt; `atLeastMs` is what the server asked for. */
  next(atLeastMs = 0) {
    const full = Math.min(this.mostMs, this.firstMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    // What the server asked for is spread too: it told all clients the same.
    return Math.max(full * (0.5 + this.random() / 2), atLeastMs * (1 + this.random() / 4));
  }

  reset() {
    this.#failures = 0;
  }
}

/** Close codes after which a client must not come back by itself. */
export function mustStop(code) {
  if (code >= 4400 && code <= 4999) return true;
  return code === 1002 || code === 1003 || code === 1007;
}

/** Answers to the upgrade that another attempt will not change. */
export function refusedForGood(status) {
  return status >= 400 && status < 500 && status !== 408 && status !== 425 && status !== 429;
}

/** Milliseconds of a Retry-After header in seconds; 0 if there is none. */
export function retryAfterMs(header) {
  const seconds = Number(header);
  return Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : 0;
}
