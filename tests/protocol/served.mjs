// A PostgreSQL of the test's own, which it stops and starts as it likes, and a `flowd serve` on it:
// `flowd dev` would start a private one again by itself.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync, chownSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Engine, kill } from '../crash/processes.mjs';

const run = promisify(execFile);
const kVersions = ['17', '16', '15', '14'];
const kReadyMs = 30_000;

function binary(name) {
  const folders = kVersions.map((version) => `/usr/lib/postgresql/${version}/bin`);
  const found = [process.env.SLUICE_PG_BIN, ...folders, '/usr/local/bin', '/usr/bin']
    .filter(Boolean)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
  if (!found) throw new Error(`PostgreSQL's ${name} is not installed`);
  return found;
}

/** PostgreSQL refuses to run as root. */
function serverUser() {
  if (process.getuid() !== 0) return {};
  for (const name of ['postgres', 'nobody']) {
    try {
      const stdio = ['ignore', 'pipe', 'ignore'];
      const id = (flag) => Number(execFileSync('id', [flag, name], { stdio }));
      return { uid: id('-u'), gid: id('-g') };
    } catch {
      // not on this machine
    }
  }
  throw new Error('there is neither a user postgres nor nobody to run PostgreSQL as');
}

export class Cluster {
  #child = null;

  constructor(folder) {
    this.folder = join(folder, 'cluster');
    this.user = serverUser();
    this.url = `host=${this.folder} port=5432 user=sluice dbname=postgres connect_timeout=2`;
  }

  /** Makes the cluster; it does not run yet. */
  async create() {
    mkdirSync(this.folder);
    if (this.user.uid) chownSync(this.folder, this.user.uid, this.user.gid);
    chmodSync(this.folder, 0o755);
    this.data = join(this.folder, 'data');
    const how = ['-A', 'trust', '-U', 'sluice', '--no-sync', '-E', 'UTF8', '--no-locale'];
    await run(binary('initdb'), ['-D', this.data, ...how], { ...this.user, cwd: this.folder });
  }

  async start() {
    const settings = ['listen_addresses=', `unix_socket_directories=${this.folder}`];
    const options = settings.flatMap((setting) => ['-c', setting]);
    const log = openSync(join(this.folder, 'log'), 'a');
    this.#child = spawn(binary('postgres'), ['-D', this.data, ...options], {
      ...this.user, cwd: this.folder, stdio: ['ignore', log, log],
    });
    const until = Date.now() + kReadyMs;
    for (;;) {
      try {
        await run(binary('pg_isready'), ['-q', '-h', this.folder, '-p', '5432']);
        return;
      } catch {
        const over = this.#child.exitCode !== null || Date.now() > until;
        if (over) throw new Error(`PostgreSQL does not start; see ${this.folder}/log`);
        await pause(20);
      }
    }
  }

  /** Holds all of its processes, as a disk that hangs would; what is returned lets them go. */
  hold() {
    const { pid } = this.#child;
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    const all = [pid, ...children.split(/\s+/).map(Number)];
    for (const each of all) kill(each, 'SIGSTOP');
    return () => all.forEach((each) => kill(each, 'SIGCONT'));
  }

  /** Ends it: SIGKILL as a crash does, SIGINT as an operator. */
  async stop(signal) {
    const child = this.#child;
    this.#child = null;
    if (!child || child.exitCode !== null) return;
    const ended = once(child, 'exit');
    kill(child.pid, signal);
    await ended;
  }
}

export class ServedEngine extends Engine {
  constructor({ folder, cluster, settings = {}, ...others }) {
    super({ folder, ...others });
    this.configuration = join(folder, 'flowd.json');
    const auth = { hs256_secret: 'a secret of the tests, longer than 32 bytes' };
    const database = { url: cluster.url, ...settings.database };
    const all = { ...settings, listen: this.listen, engine: { partitions: 8 }, auth, database };
    writeFileSync(this.configuration, JSON.stringify(all));
  }

  get command() {
    return ['serve', '--config', this.configuration];
  }

  get keyOptions() {
    return ['--config', this.configuration];
  }
}
