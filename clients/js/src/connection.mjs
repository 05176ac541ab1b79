import { EventEmitter } from 'node:events';
import WebSocket from 'ws';
import { Backoff, mustStop, refusedForGood, retryAfterMs } from './backoff.mjs';
import { ConnectionClosed } from './errors.mjs';

const kConnectTimeoutMs = 10_000;
const kWelcomeTimeoutMs = 10_000;

/**
 * A WebSocket that comes back: says `hello` on each new socket, hands frames on, and reconnects
 * with jitter unless the close code forbids it. Base of Client and Worker, which say what `hello`
 * holds and take the frames.
 *
 * Events: `connected` (the welcome frame), `disconnected` (code, reason), `waiting` (ms, why),
 * `refused` (the error frame before a close), `unreachable` (why; once per outage, when an attempt
 * to connect has failed), `closed` (ConnectionClosed; final).
 *
 * What nobody listens to and should not pass in silence goes to `warn`, a function of a text;
 * console.warn if none is given.
 */
export class Connection extends EventEmitter {
  #url;
  #protocol;
  #token;
  #backoff;
  #socket = null;
  #live = false;
  #ended = null;
  #timer = null;
  #welcomeTimer = null;
  #askedWaitMs = 0;
  #lastWord = ''; // of the error frame, on this socket
  #firstWelcome;
  #refuse = () => {}; // of #firstWelcome
  #warn;
  #unreachable = false; // said since the last welcome

  constructor({ url, path, protocol, token, backoff, warn }) {
    super();
    this.#warn = warn ?? ((text) => console.warn(text));
    this.#url = socketUrl(url, path);
    this.#protocol = protocol;
    this.#token = typeof token === 'function' ? token : () => token;
    this.#backoff = new Backoff(backoff);
  }

  /** True between a welcome and the end of its socket. */
  get live() {
    return this.#live;
  }

  /** Resolves with the first welcome; rejects with ConnectionClosed if the server refuses. */
  connect() {
    if (!this.#firstWelcome) {
      this.#firstWelcome = new Promise((resolve, reject) => {
        this.once('connected', resolve);
        this.#refuse = reject;
      });
      this.#firstWelcome.catch(() => {});
      this.#open();
    }
    return this.#firstWelcome;
  }

  /** Sends a frame if the socket is live; false otherwise, and the caller sends it again later. */
  push(frame) {
    if (!this.#live) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Drops the socket as if the network had; a new one is opened after the usual wait. */
  reconnect() {
    this.#socket?.terminate();
  }

  /** Ends the connection for good. */
  end(refusal = null) {
    if (this.#ended) return;
    const error = refusal ?? new ConnectionClosed('closed by this side');
    this.#ended = error;
    clearTimeout(this.#timer);
    clearTimeout(this.#welcomeTimer);
    this.#live = false;
    this.#socket?.close(1000);
    this.onEnd(error);
    this.#refuse(error);
    if (refusal === null) this.emit('closed', error); // no news to this side
    else this.tell('closed', `${this.label}: ${error.message}`, error);
  }

  /** Emits the event; if nobody listens to it, the text is a warning. */
  tell(event, text, ...values) {
    if (!this.emit(event, ...values)) this.#warn(text);
  }

  /** Asks the token's source once more. */
  newToken() {
    return this.#token();
  }

  /** What warnings begin with. */
  get label() {
    return 'sluice';
  }

  // What Client and Worker do at these moments.
  onToken() {}
  onDisconnect() {}
  onEnd() {}

  async #open() {
    let token;
    try {
      token = await this.#token();
    } catch (error) {
      this.#couldNot(`no token: ${error.message}`);
      this.#later(`no token: ${error.message}`);
      return;
    }
    if (this.#ended) return;
    this.onToken(token);
    const socket = new WebSocket(this.#url, this.#protocol, {
      handshakeTimeout: kConnectTimeoutMs,
      perMessageDeflate: false,
    });
    this.#socket = socket;
    this.#lastWord = '';
    let refusal = null;
    let broken = '';
    socket.on('open', () => {
      this.#welcomeTimer = setTimeout(() => socket.terminate(), kWelcomeTimeoutMs);
      socket.send(JSON.stringify({ ...this.helloFrame(), token }));
    });
    socket.on('message', (bytes) => this.#receive(socket, bytes));
    socket.on('unexpected-response', (request, response) => {
      this.#askedWaitMs = retryAfterMs(response.headers['retry-after']);
      refusal = response.statusCode;
      response.resume();
      request.destroy();
      this.#over(socket, 1006, `HTTP ${refusal}`, refusedForGood(refusal));
    });
    socket.on('error', (error) => {
      broken = error.message || error.code || String(error);
    });
    socket.on('close', (code, reason) => {
      if (refusal === null) this.#over(socket, code, String(reason) || broken, mustStop(code));
    });
  }

  #receive(socket, bytes) {
    if (socket !== this.#socket || this.#ended) return;
    let frame;
    try {
      frame = JSON.parse(bytes);
    } catch {
      socket.terminate(); // not our server, or a broken way to it: a new socket is the only mend
      return;
    }
    if (frame.t === 'welcome' && !this.#live) {
      clearTimeout(this.#welcomeTimer);
      this.#backoff.reset();
      this.#unreachable = false;
      this.#live = true;
      this.onWelcome(frame);
      this.emit('connected', frame);
      return;
    }
    if (frame.t === 'error') {
      this.#askedWaitMs = frame.retry_after_ms ?? 0;
      this.#lastWord = frame.message ?? '';
      this.emit('refused', frame);
      return;
    }
    this.onFrame(frame);
  }

  #over(socket, code, reason, final) {
    if (socket !== this.#socket || this.#ended) return;
    clearTimeout(this.#welcomeTimer);
    this.#socket = null;
    const wasLive = this.#live;
    this.#live = false;
    if (wasLive) {
      this.onDisconnect(code);
      this.emit('disconnected', code, reason);
    }
    if (final) {
      // The frame before a close says more than its reason.
      const why = this.#lastWord || reason;
      this.end(new ConnectionClosed(`the server ended it: ${code} ${why}`, code));
      return;
    }
    if (!wasLive) this.#couldNot(reason || `closed with ${code}`);
    this.#later(reason);
  }

  /** An attempt to connect has failed; others follow, and are not told one by one. */
  #couldNot(why) {
    if (this.#unreachable || this.#ended) return;
    this.#unreachable = true;
    const text = `${this.label}: cannot reach the engine at ${this.#url}: ${why}; trying on`;
    this.tell('unreachable', text, why);
  }

  #later(reason) {
    if (this.#ended) return;
    const waitMs = this.#backoff.next(this.#askedWaitMs);
    this.#askedWaitMs = 0;
    this.emit('waiting', waitMs, reason);
    this.#timer = setTimeout(() => this.#open(), waitMs);
  }
}

const kSchemes = { 'http:': 'ws:', 'https:': 'wss:', 'ws:': 'ws:', 'wss:': 'wss:' };

function socketUrl(url, path) {
  let base;
  try {
    base = new URL(url);
  } catch {
    // told below
  }
  if (!base || !(base.protocol in kSchemes)) {
    throw new TypeError(`the engine's \`url\` is like http://127.0.0.1:8080, not \`${url}\``);
  }
  const target = new URL(path, base);
  target.protocol = kSchemes[base.protocol];
  return target.toString();
}
