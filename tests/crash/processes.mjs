// Starts and kills the real programs. Ends only what it started.
import { execFile, spawn } from 'node:child_process';
import { appendFileSync, existsSync, openSync, readFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const kReadyMs = 60_000;
const kLease = '3s'; // short, so that the tasks of a killed worker are soon another's

export async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Where PostgreSQL notes its process below `folder`; null if none runs or has run there. */
function postmasterFile(folder, depth = 4) {
  if (depth === 0 || !existsSync(folder)) return null;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.name === 'postmaster.pid') return path;
    const found = entry.isDirectory() ? postmasterFile(path, depth - 1) : null;
    if (found) return found;
  }
  return null;
}

export function kill(pid, signal = 'SIGKILL') {
  try {
    process.kill(pid, signal);
    return true;
  } catch {
    return false;
  }
}

/** `flowd dev` with its private PostgreSQL, on one data folder and one port for the whole test. */
export class Engine {
  #child = null;
  /** Ends that nobody asked for. */
  faults = [];
  starts = 0;

  constructor({ flowd, folder, port }) {
    this.flowd = flowd;
    this.data = join(folder, 'data');
    this.log = join(folder, 'flowd.log');
    this.url = `http://127.0.0.1:${port}`;
    this.listen = `127.0.0.1:${port}`;
  }

  get running() {
    return this.#child !== null;
  }

  /** How flowd is started, and where `flowd token` finds the key. */
  get command() {
    return ['dev', '--data', this.data, '--listen', this.listen];
  }

  get keyOptions() {
    return ['--data', this.data];
  }

  /** Starts flowd; resolves when it serves (true) or has ended before that (false). */
  start() {
    this.starts += 1;
    appendFileSync(this.log, `--- start ${this.starts}\n`);
    const child = spawn(this.flowd, this.command, {
      stdio: ['ignore', 'pipe', openSync(this.log, 'a')],
      env: { ...process.env, SLUICE_WORKERS_LEASE: kLease },
    });
    this.#child = child;
    child.asked = false;
    return new Promise((resolve) => {
      const late = setTimeout(() => {
        this.faults.push(`flowd did not serve within ${kReadyMs} ms (start ${this.starts})`);
        resolve(false);
      }, kReadyMs);
      child.stdout.on('data', (bytes) => {
        if (!String(bytes).startsWith('ready ')) return;
        clearTimeout(late);
        resolve(true);
      });
      child.on('exit', (code, signal) => {
        clearTimeout(late);
        if (this.#child === child) this.#child = null;
        if (!child.asked) this.faults.push(`flowd ended by itself: code ${code}, signal ${signal}`);
        resolve(false);
      });
    });
  }

  async kill(signal = 'SIGKILL') {
    const child = this.#child;
    if (!child) return;
    child.asked = true;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    kill(child.pid, signal);
    await ended;
  }

  /** Kills PostgreSQL's first process, or one of its others; false if there is none to kill. */
  killPostgres(which) {
    const file = postmasterFile(this.data);
    if (!file) return false;
    const postmaster = Number(readFileSync(file, 'utf8').split('\n')[0]);
    if (!existsSync(`/proc/${postmaster}/task`)) return false;
    if (which === 'postmaster') return kill(postmaster);
    const children = readFileSync(`/proc/${postmaster}/task/${postmaster}/children`, 'utf8');
    const pids = children.trim().split(/\s+/).filter(Boolean).map(Number);
    return pids.length > 0 && kill(pids.at(-1));
  }

  async token(...options) {
    const { stdout } = await run(this.flowd, ['token', ...this.keyOptions, ...options]);
    return stdout.trim();
  }

  async get(path, token) {
    const headers = { authorization: `Bearer ${token}` };
    const response = await fetch(this.url + path, { headers });
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  /** Stops flowd as an operator would, and what is left of PostgreSQL. */
  async stop() {
    const late = setTimeout(() => {
      this.faults.push('flowd did not stop within 20 s of SIGTERM');
      this.kill();
    }, 20_000);
    await this.kill('SIGTERM');
    clearTimeout(late);
    const file = postmasterFile(this.data);
    if (file) kill(Number(readFileSync(file, 'utf8').split('\n')[0]), 'SIGINT');
  }
}

/** A worker process that is started again whenever it is killed. */
export class WorkerProcess {
  #child = null;
  #ending = false;
  starts = 0;
  faults = [];

  constructor({ script, args, log, name, seed }) {
    Object.assign(this, { script, args, log, name, seed });
  }

  start() {
    this.starts += 1;
    const [url, token, charges] = this.args;
    const args = [this.script, url, token, this.name, charges, String(this.seed + this.starts)];
    const stdio = ['ignore', 'ignore', openSync(this.log, 'a')];
    const child = spawn(process.execPath, args, { stdio });
    this.#child = child;
    child.on('exit', async (code, signal) => {
      if (this.#ending) return;
      if (signal !== 'SIGKILL') this.faults.push(`${this.name} ended by itself: code ${code}`);
      await pause(100);
      if (!this.#ending) this.start();
    });
  }

  kill() {
    return kill(this.#child.pid);
  }

  end() {
    this.#ending = true;
    kill(this.#child.pid, 'SIGKILL');
  }
}
