import { Connection } from './connection.mjs';
import { Rejected } from './errors.mjs';

const kAckDelayMs = 20;
const kAckEvery = 64;
const kPingEveryMs = 15_000;
const kPongWithinMs = 10_000;
const kHandlerRetryMs = 1000;
const kTimerMostMs = 2 ** 31 - 1; // what setTimeout can hold
// A refusal that only says "later"; the frame goes out again with the same id.
const kPassing = new Set(['busy', 'rate_limited', 'unavailable']);
const kRetryDefaultMs = 250;
const kEarlyMost = 1000; // deliveries to groups whose handler is not known yet
const kStreamEnds = new Set(['complete', 'failed', 'cancelled']);

/**
 * A client of the engine: sends events so that each is accepted once, whatever happens to sockets
 * and servers, and handles each delivery once and in order.
 *
 * Ids are `session:n`, which the server remembers exactly. What was not accepted when a socket
 * ended is sent again on the next one, under the same id. Deliveries are told apart by
 * (epoch, offset).
 *
 * Events besides Connection's: `lost` (deliveries older than retention are gone: reload), `gap`
 * (delivery, last handled offset), `postponed` (the rejection of a send that will be repeated),
 * `handlerFailed` (error, delivery), `run`, `token`, `stream`.
 *
 * Of each stream the pieces come in order, none of an attempt after a newer one began, and one end:
 * if a socket took it along, the run's answer stands for it (`cancelled`, with `lost: true`).
 */
export class Client extends Connection {
  #session;
  #epoch;
  #handled; // offset of the last delivery that the handler has finished, within #epoch
  #nextSend;
  #limits = { pending: 1, frame_bytes: 65536 };
  #handler;
  #queue = []; // waiting for the handler
  #handling = false;
  #acked = 0;
  #ackTimer = null;
  #outbox = []; // sends that wait for the socket, its credit or the end of a pause, oldest first
  #unanswered = new Map(); // id -> send, on the wire
  #pausedUntil = 0;
  #pumpTimer = null;
  #pingTimer = null;
  #pongTimer = null;
  #refreshTimer = null;
  #handlerTimer = null;
  #groups = new Map(); // group -> { handler, offset of its last delivery }
  #earlyOfGroups = [];
  #refreshes;
  #retryPassing;
  #tokenMs;
  #streams = new Map(); // run and step -> stream that has not ended
  #sockets = 0; // so far

  constructor(options) {
    super({ ...options, path: options.path ?? '/v1/ws', protocol: 'sluice.v1.json' });
    this.#session = options.session;
    this.#epoch = options.resume?.epoch;
    this.#handled = options.resume?.offset;
    this.#nextSend = options.nextSend ?? 1;
    this.#handler = options.onDelivery ?? ((delivery) => this.emit('delivery', delivery));
    this.#retryPassing = options.retryPassing ?? true;
    this.#refreshes = typeof options.token === 'function';
    this.#tokenMs = options.tokenMs;
    if (options.onToken) this.on('token', options.onToken);
    if (options.onStream) this.on('stream', options.onStream);
  }

  /** What a new process needs to go on as this client: pass it to the constructor. */
  get state() {
    const known = this.#epoch !== undefined;
    const resume = known ? { epoch: this.#epoch, offset: this.#handled } : undefined;
    return { session: this.#session, resume, nextSend: this.#nextSend };
  }

  get label() {
    return 'sluice client';
  }

  get session() {
    return this.#session;
  }

  /** Sends that are not yet accepted or rejected. */
  get pending() {
    return this.#outbox.length + this.#unanswered.size;
  }

  /**
   * Sends an event. Resolves with the `accepted` frame once it is durable; rejects with Rejected,
   * or with ConnectionClosed if the connection ends for good before the answer is known. `version`
   * is that of the event which `data` is in, the newest if not given.
   */
  send(topic, data, { id, ttlMs, correlation, version } = {}) {
    return this.#submit({ t: 'send', id, topic, data, ttl_ms: ttlMs, correlation, version });
  }

  /** Sends a signal to a run's `receive`. */
  signal(run, event, data, { id } = {}) {
    return this.#submit({ t: 'signal', id, run, event, data });
  }

  /** Cancels a run; accepted like a send. */
  cancel(run, { id } = {}) {
    return this.#submit({ t: 'cancel', id, run });
  }

  /**
   * Deliveries to a group, for which the token has the scope `subscribe:GROUP`: after `offset`, or
   * those that come from now on. The handler gets one at a time as they come; nothing is
   * acknowledged. After a reconnect they go on behind the last one. Resolves once it holds.
   */
  async subscribe(group, handler, { offset } = {}) {
    const frame = await this.#submit({ t: 'subscribe', group, offset });
    this.#groups.set(group, { handler, offset: frame.offset ?? 0 });
    for (const early of this.#earlyOfGroups.splice(0)) this.#ofGroup(early);
    return frame;
  }

  unsubscribe(group) {
    this.#groups.delete(group);
    return this.#submit({ t: 'unsubscribe', group });
  }

  watch(run) {
    return this.push({ t: 'watch', run });
  }

  unwatch(run) {
    return this.push({ t: 'unwatch', run });
  }

  /** Flushes the acknowledgement and ends the connection. */
  close() {
    this.#flushAck();
    this.end();
  }

  helloFrame() {
    const hello = { t: 'hello' };
    if (this.#session !== undefined) hello.session = this.#session;
    if (this.#tokenMs !== undefined) hello.token_ms = this.#tokenMs;
    if (this.#epoch !== undefined) hello.resume = { epoch: this.#epoch, offset: this.#handled };
    return hello;
  }

  onWelcome(frame) {
    this.#session = frame.session;
    this.#sockets += 1;
    if (frame.limits) this.#limits = frame.limits;
    if (frame.epoch !== this.#epoch || this.#handled === undefined) {
      this.#epoch = frame.epoch;
      this.#handled = frame.offset;
    } else if (frame.recovered === false) {
      this.#handled = frame.offset;
    }
    // The last acknowledgement may have died with its socket; one that was known is ignored.
    this.#acked = 0;
    if (this.#handled > 0) this.#ackSoon();
    if (frame.recovered === false) this.emit('lost', { epoch: frame.epoch, offset: frame.offset });
    // What waits for the handler comes again from the server. What was on the wire is sent again,
    // ahead of anything newer.
    this.#queue = [];
    this.#pausedUntil = 0;
    this.#outbox.unshift(...this.#unanswered.values());
    this.#unanswered.clear();
    for (const [group, { offset }] of this.#groups) this.push({ t: 'subscribe', group, offset });
    this.#pump();
    this.#schedulePing();
  }

  onDisconnect() {
    clearTimeout(this.#pingTimer);
    clearTimeout(this.#pongTimer);
    clearTimeout(this.#ackTimer);
    this.#ackTimer = null;
  }

  onEnd(error) {
    this.onDisconnect();
    clearTimeout(this.#pumpTimer);
    clearTimeout(this.#refreshTimer);
    clearTimeout(this.#handlerTimer);
    for (const send of [...this.#unanswered.values(), ...this.#outbox]) send.reject(error);
    this.#unanswered.clear();
    this.#outbox = [];
    this.#queue = [];
  }

  /** A token that comes from a function is renewed on the live socket before it ends. */
  onToken(token) {
    clearTimeout(this.#refreshTimer);
    const leftMs = expiryOf(token) - Date.now();
    if (!this.#refreshes || !Number.isFinite(leftMs)) return;
    this.#refreshTimer = setTimeout(() => this.#refresh(), Math.min(leftMs * 0.8, kTimerMostMs));
    this.#refreshTimer.unref();
  }

  async #refresh() {
    try {
      const token = await this.newToken();
      this.push({ t: 'refresh', token });
      this.onToken(token);
    } catch (error) {
      // The server will close the socket when the old token ends; the next one asks again.
      this.emit('waiting', 0, `no token: ${error.message}`);
    }
  }

  onFrame(frame) {
    switch (frame.t) {
      case 'accepted':
        this.#take(frame.id)?.resolve(frame);
        this.#pump();
        break;
      case 'rejected':
        this.#rejected(frame);
        break;
      case 'delivery':
        if (frame.group !== undefined) {
          this.#ofGroup(frame);
          break;
        }
        if (frame.outcome) this.#endLostStreams(frame.run);
        this.#queue.push({ ...frame, epoch: this.#epoch });
        this.#drain();
        break;
      case 'slow':
        this.#pause(frame.retry_after_ms ?? kRetryDefaultMs);
        break;
      case 'ok':
        this.#pausedUntil = 0;
        this.#pump();
        break;
      case 'pong':
        clearTimeout(this.#pongTimer);
        break;
      case 'token':
        if (this.#streams.get(streamKey(frame))?.attempt === frame.attempt) {
          this.emit('token', frame);
        }
        break;
      case 'stream':
        this.#streamed(frame);
        break;
      case 'run':
        this.emit('run', frame);
        break;
      default: // a later server's: frames are told apart by `t`, and unknown ones are no error
    }
  }

  /** What comes between `accepted` and the promise that it resolves is not lost. */
  #ofGroup(frame) {
    const group = this.#groups.get(frame.group);
    if (!group) {
      this.#earlyOfGroups.push(frame);
      if (this.#earlyOfGroups.length > kEarlyMost) this.#earlyOfGroups.shift();
      return;
    }
    if (frame.offset <= group.offset) return;
    group.offset = frame.offset;
    group.handler(frame);
  }

  #streamed(frame) {
    const key = streamKey(frame);
    const open = this.#streams.get(key);
    if (kStreamEnds.has(frame.status)) {
      if (!this.#streams.delete(key)) return; // its end was told already
    } else {
      if (open && frame.attempt < open.attempt) return;
      const { run, step, attempt } = frame;
      this.#streams.set(key, { run, step, attempt, sockets: this.#sockets });
    }
    this.emit('stream', frame);
  }

  /** Streams of an earlier socket that this one was not told of ended in between. */
  #endLostStreams(of) {
    for (const [key, { run, step, attempt, sockets }] of this.#streams) {
      if (run !== of || sockets === this.#sockets) continue;
      this.#streams.delete(key);
      this.emit('stream', { t: 'stream', run, step, attempt, status: 'cancelled', lost: true });
    }
  }

  #submit(frame) {
    return new Promise((resolve, reject) => {
      this.#outbox.push({ frame, resolve, reject });
      this.#pump();
    });
  }

  #take(id) {
    const send = this.#unanswered.get(id);
    this.#unanswered.delete(id);
    return send;
  }

  #rejected(frame) {
    const send = this.#take(frame.id);
    if (!send) return;
    if (this.#retryPassing && kPassing.has(frame.code)) {
      // A rejected id stays free, so the same one goes out again, ahead of what was sent later.
      this.emit('postponed', frame);
      this.#outbox.unshift(send);
      this.#pause(frame.retry_after_ms ?? kRetryDefaultMs);
    } else {
      send.reject(new Rejected(frame));
      this.#pump();
    }
  }

  #pause(ms) {
    this.#pausedUntil = Math.max(this.#pausedUntil, Date.now() + ms * (1 + Math.random() / 4));
    this.#pump();
  }

  /** Puts on the wire what the connection's credit allows. */
  #pump() {
    if (!this.live) return;
    const waitMs = this.#pausedUntil - Date.now();
    if (waitMs > 0) {
      clearTimeout(this.#pumpTimer);
      this.#pumpTimer = setTimeout(() => this.#pump(), waitMs);
      return;
    }
    while (this.#outbox.length > 0 && this.#unanswered.size < this.#limits.pending) {
      const send = this.#outbox.shift();
      send.frame.id ??= `${this.#session}:${this.#nextSend++}`;
      this.#unanswered.set(send.frame.id, send);
      this.push(send.frame);
    }
  }

  /** Hands deliveries to the handler one at a time, dropping those it has had. */
  async #drain() {
    if (this.#handling) return;
    this.#handling = true;
    while (this.#queue.length > 0) {
      const delivery = this.#queue.shift();
      if (delivery.epoch !== this.#epoch || delivery.offset <= this.#handled) continue;
      if (delivery.offset !== this.#handled + 1) this.emit('gap', delivery, this.#handled);
      try {
        await this.#handler(delivery);
      } catch (error) {
        // Not handled, so not acknowledged, and nothing later may pass it.
        this.#queue.unshift(delivery);
        const text = `${this.label}: the handler of deliveries failed, and is tried again: `;
        this.tell('handlerFailed', text + (error?.stack ?? error), error, delivery);
        this.#handlerTimer = setTimeout(() => this.#drain(), kHandlerRetryMs);
        break;
      }
      if (delivery.epoch !== this.#epoch) continue;
      this.#handled = delivery.offset;
      this.#ackSoon();
    }
    this.#handling = false;
  }

  #ackSoon() {
    if (this.#handled - this.#acked >= kAckEvery) this.#flushAck();
    else this.#ackTimer ??= setTimeout(() => this.#flushAck(), kAckDelayMs);
  }

  #flushAck() {
    clearTimeout(this.#ackTimer);
    this.#ackTimer = null;
    if (this.#handled > this.#acked && this.push({ t: 'ack', offset: this.#handled })) {
      this.#acked = this.#handled;
    }
  }

  #schedulePing() {
    clearTimeout(this.#pingTimer);
    this.#pingTimer = setTimeout(() => {
      this.push({ t: 'ping' });
      this.#pongTimer = setTimeout(() => this.reconnect(), kPongWithinMs);
      this.#schedulePing();
    }, kPingEveryMs);
    this.#pingTimer.unref();
  }
}

function streamKey({ run, step }) {
  return `${run} ${step}`;
}

/** When a JWT ends, in milliseconds since 1970; Infinity where it does not say. */
function expiryOf(token) {
  try {
    const { exp } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    return typeof exp === 'number' ? exp * 1000 : Infinity;
  } catch {
    return Infinity;
  }
}
