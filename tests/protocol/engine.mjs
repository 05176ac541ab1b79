// What the protocol tests share: one engine per file, raw sockets, tokens.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Engine, freePort } from '../crash/processes.mjs';

const { WebSocket } = createRequire(new URL('../../clients/js/', import.meta.url))('ws');
const run = promisify(execFile);
const here = fileURLToPath(new URL('.', import.meta.url));
const kFrameMs = 15_000;

export const programs = { flowd: process.env.SLUICE_FLOWD, flowc: process.env.SLUICE_FLOWC };

/** A flowd with that program deployed, and tokens for each scope. */
export async function startEngine({ flow = 'protocol.flow' } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-protocol-'));
  chmodSync(folder, 0o755); // PostgreSQL's user must be able to pass
  const engine = new Engine({ flowd: programs.flowd, folder, port: await freePort() });
  if (!(await engine.start())) throw new Error(`flowd does not start; see ${engine.log}`);
  engine.tokens = {
    root: await engine.token('--tenant', '*', '--scope', 'admin'),
    admin: await engine.token('--tenant', 't', '--scope', 'admin'),
    worker: await engine.token('--tenant', 't', '--scope', 'worker'),
  };
  mkdirSync(join(folder, 'flow'));
  copyFileSync(join(here, flow), join(folder, 'flow', flow));
  const target = ['--engine', engine.url, '--token', engine.tokens.root];
  await run(programs.flowc, ['deploy', join(folder, 'flow'), ...target]);
  engine.clientToken = (name) =>
    engine.token('--tenant', 't', '--client', name, '--scope', 'client');
  engine.end = async () => {
    await engine.stop();
    if (engine.faults.length > 0) throw new Error(engine.faults.join('\n'));
    rmSync(folder, { recursive: true, force: true });
  };
  return engine;
}

/** One socket as the wire sees it. */
export class RawSocket {
  #frames = [];
  #waiters = [];

  static async open(engine, path, protocol, headers = {}) {
    const url = engine.url.replace('http', 'ws') + path;
    const socket = new RawSocket(new WebSocket(url, protocol, { headers }));
    await once(socket.ws, 'open');
    return socket;
  }

  constructor(ws) {
    this.ws = ws;
    ws.on('message', (bytes) => {
      const frame = JSON.parse(bytes);
      const at = this.#waiters.findIndex((waiter) => waiter.matches(frame));
      if (at < 0) this.#frames.push(frame);
      else this.#waiters.splice(at, 1)[0].resolve(frame);
    });
    ws.on('error', () => {});
    this.closed = new Promise((resolve) => {
      ws.on('close', (code) => resolve(code));
    });
  }

  say(frame) {
    this.ws.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** The next frame of that kind, or of one of those, with these members, not yet returned. */
  next(t, members = {}, withinMs = kFrameMs) {
    const kinds = [t].flat();
    const matches = (frame) =>
      kinds.includes(frame.t) &&
      Object.entries(members).every(([name, value]) => frame[name] === value);
    const at = this.#frames.findIndex(matches);
    if (at >= 0) return Promise.resolve(this.#frames.splice(at, 1)[0]);
    return new Promise((resolve, reject) => {
      const late = setTimeout(() => {
        const had = JSON.stringify(this.#frames);
        reject(new Error(`no ${t} ${JSON.stringify(members)}; had ${had}`));
      }, withinMs);
      const taken = (frame) => {
        clearTimeout(late);
        resolve(frame);
      };
      this.#waiters.push({ matches, resolve: taken });
    });
  }

  /** Frames that have come and were not asked for. */
  get unread() {
    return this.#frames;
  }

  /** Sends a ping and waits for its pong: what was sent before it has been handled. */
  async handled() {
    this.say({ t: 'ping' });
    await this.next('pong');
  }

  end() {
    this.ws.terminate();
  }
}

export async function openClient(engine, token, hello = {}) {
  const socket = await RawSocket.open(engine, '/v1/ws', 'sluice.v1.json');
  socket.say({ t: 'hello', token, ...hello });
  socket.welcome = await socket.next('welcome');
  return socket;
}

export async function openWorker(engine, hello = {}) {
  const socket = await RawSocket.open(engine, '/v1/worker', 'sluice.worker.v1.json');
  const { worker: token } = engine.tokens;
  socket.say({ t: 'hello', token, worker: 'w', tasks: ['echo', 'patient'], credit: 8, ...hello });
  socket.welcome = await socket.next('welcome');
  return socket;
}

/** A worker that echoes until it is ended. */
export async function openEchoWorker(engine) {
  const socket = await openWorker(engine, { credit: 1000 });
  const echo = (frame) => {
    if (frame.t === 'task') socket.say({ t: 'done', lease: frame.lease, result: frame.args[0] });
  };
  socket.unread.forEach(echo); // what waited came with the welcome
  socket.ws.on('message', (bytes) => echo(JSON.parse(bytes)));
  return socket;
}

/** An HTTP call; the body is parsed where it is JSON. */
export async function call(engine, method, path, { token, body, headers = {} } = {}) {
  const all = { ...headers };
  if (token) all.authorization = `Bearer ${token}`;
  const isText = body === undefined || typeof body === 'string';
  if (!isText) all['content-type'] ??= 'application/json';
  const response = await fetch(engine.url + path, {
    method,
    headers: all,
    body: isText ? body : JSON.stringify(body),
  });
  const text = await response.text();
  const type = response.headers.get('content-type') ?? '';
  const json = /json/.test(type) && !/ndjson/.test(type) && text ? JSON.parse(text) : undefined;
  return { status: response.status, headers: response.headers, type, text, json };
}
