import { once } from 'node:events';
import { WebSocketServer } from 'ws';

/**
 * The server's side of a socket, in the test's hands: each connection is an object that keeps the
 * frames it got and sends what the test tells it to.
 */
export class FakeEngine {
  static async start(port = 0) {
    const engine = new FakeEngine();
    engine.server = new WebSocketServer({ host: '127.0.0.1', port });
    engine.waiters = [];
    engine.waitingPeers = [];
    engine.server.on('connection', (socket, request) => {
      const peer = new Peer(socket, request);
      const waiter = engine.waiters.shift();
      if (waiter) waiter(peer);
      else engine.waitingPeers.push(peer);
    });
    await once(engine.server, 'listening');
    engine.url = `http://127.0.0.1:${engine.server.address().port}`;
    return engine;
  }

  /** The next connection, welcomed if a frame for that is given. */
  async peer(welcome) {
    const waiting = this.waitingPeers.shift();
    const peer = waiting ?? (await new Promise((resolve) => this.waiters.push(resolve)));
    peer.hello = await peer.next('hello');
    if (welcome) peer.say({ t: 'welcome', ...welcome });
    return peer;
  }

  stop() {
    for (const socket of this.server.clients) socket.terminate();
    this.server.close();
  }
}

class Peer {
  constructor(socket, request) {
    this.socket = socket;
    this.request = request;
    this.frames = [];
    this.waiters = [];
    socket.on('message', (bytes) => {
      this.frames.push(JSON.parse(bytes));
      this.#wake();
    });
    this.closed = once(socket, 'close');
  }

  say(frame) {
    this.socket.send(JSON.stringify(frame));
  }

  /** The next frame of that kind which no call has returned yet. */
  next(kind) {
    return new Promise((resolve) => {
      this.waiters.push({ kind, resolve });
      this.#wake();
    });
  }

  /** Frames of that kind that have come and were not asked for. */
  waiting(kind) {
    return this.frames.filter((frame) => frame.t === kind);
  }

  drop() {
    this.socket.terminate();
  }

  close(code, reason = '') {
    this.socket.close(code, reason);
  }

  #wake() {
    for (let i = 0; i < this.waiters.length; i += 1) {
      const at = this.frames.findIndex((frame) => frame.t === this.waiters[i].kind);
      if (at < 0) continue;
      const [frame] = this.frames.splice(at, 1);
      const [waiter] = this.waiters.splice(i, 1);
      waiter.resolve(frame);
      i -= 1;
    }
  }
}

/** Resolves when `condition()` holds; the test's own time limit bounds it. */
export async function until(condition) {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
