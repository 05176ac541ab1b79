#!/usr/bin/env node
// The crash test: kills flowd, workers and PostgreSQL at random under load, then proves from what
// the clients saw that nothing was lost, doubled or disordered.
//
//   crash.mjs --flowd FILE --flowc FILE [--seconds S] [--seed N]
//
// SLUICE_CRASH_SECONDS (60) and SLUICE_CRASH_SEED (drawn, printed first) stand in for the flags.
import { execFile } from 'node:child_process';
import {
  chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs, promisify } from 'node:util';
import { faultsOf } from './checker.mjs';
import { Engine, WorkerProcess, freePort } from './processes.mjs';
import { Random } from './random.mjs';
import { Asker } from './workload.mjs';

const kClients = 12;
const kWorkers = 2;
const kDrainMs = 120_000;
const kStartsWithinMs = 30_000;
const kLingerMs = 2000; // in which an answer too many would come
const kSampledRuns = 20;

const run = promisify(execFile);
const drawnSeed = String(Date.now() % 2 ** 31);
const here = fileURLToPath(new URL('.', import.meta.url));
const { values: options } = parseArgs({
  options: {
    flowd: { type: 'string' },
    flowc: { type: 'string' },
    seconds: { type: 'string', default: process.env.SLUICE_CRASH_SECONDS ?? '60' },
    seed: { type: 'string', default: process.env.SLUICE_CRASH_SEED ?? drawnSeed },
  },
});
if (!options.flowd || !options.flowc) {
  console.error('usage: crash.mjs --flowd FILE --flowc FILE [--seconds S] [--seed N]');
  process.exit(2);
}

const seed = Number(options.seed);
const random = new Random(seed);
const began = Date.now();
const clock = () => ((Date.now() - began) / 1000).toFixed(1).padStart(6);
const log = (text) => console.log(`${clock()} s  ${text}`);
log(`seed ${seed} (SLUICE_CRASH_SEED=${seed} makes the same choices again)`);

/** What happens to the system, drawn once every one to three seconds. */
class Disasters {
  counts = {};

  constructor(engine, workers, askers) {
    Object.assign(this, { engine, workers, askers });
  }

  async next() {
    const kind = random.pick([
      ['flowd', 24],
      ['flowd while it starts', 8],
      ['worker', 20],
      ['postgres', 14],
      ['postgres backend', 10],
      ['postgres and flowd', 10],
      ['client', 14],
    ]);
    const done = await this.#happen(kind);
    if (!done) return;
    this.counts[kind] = (this.counts[kind] ?? 0) + 1;
    log(`${kind}: ${done}`);
  }

  async #happen(kind) {
    const { engine, workers, askers } = this;
    switch (kind) {
      case 'flowd':
        return this.#restart('killed');
      case 'flowd while it starts': {
        await engine.kill();
        const start = engine.start();
        await pause(random.between(0, 300));
        await engine.kill();
        await start;
        return this.#restart('killed twice');
      }
      case 'worker': {
        const worker = workers[random.between(0, workers.length - 1)];
        return worker.kill() && `${worker.name} killed`;
      }
      case 'postgres':
        return engine.killPostgres('postmaster') && 'killed';
      case 'postgres backend':
        return engine.killPostgres('backend') && 'killed';
      case 'postgres and flowd':
        engine.killPostgres('postmaster');
        return this.#restart('both killed');
      default: {
        const asker = askers[random.between(0, askers.length - 1)];
        return `${asker.name} ${asker.disturb()}`;
      }
    }
  }

  async #restart(what) {
    await this.engine.kill();
    await pause(random.between(0, 400));
    const from = Date.now();
    // A start that fails is a fault already; the test goes on as an operator would.
    while (!(await this.engine.start()) && Date.now() - from < kStartsWithinMs) await pause(500);
    return `${what}, serves again after ${Date.now() - from} ms`;
  }
}

async function deploy(engine, folder) {
  const flow = join(folder, 'flow');
  mkdirSync(flow);
  copyFileSync(join(here, 'crash.flow'), join(flow, 'crash.flow'));
  const token = await engine.token('--tenant', '*', '--scope', 'admin');
  await run(options.flowc, ['deploy', flow, '--engine', engine.url, '--token', token]);
}

async function makeAskers(engine) {
  const askers = [];
  for (let i = 0; i < kClients; i += 1) {
    const name = `client-${i + 1}`;
    const who = ['--tenant', 'crash', '--client', name];
    const token = await engine.token(...who, '--scope', 'client', '--ttl', '1d');
    askers.push(new Asker({
      name, token, url: engine.url, random: new Random(seed + 1000 + i),
      orderly: i % 3 === 0, ownIds: i % 2 === 1,
    }));
  }
  return askers;
}

const sum = (askers, pick) => askers.reduce((total, asker) => total + pick(asker), 0);

function show(askers) {
  const sent = sum(askers, (a) => a.sends.length);
  const accepted = sum(askers, (a) => a.accepted);
  log(`${sent} sent, ${accepted} accepted, ${sum(askers, (a) => a.answered)} answered`);
}

async function drain(askers) {
  const deadline = Date.now() + kDrainMs;
  const open = () => sum(askers, (a) => a.sends.length - a.answered);
  while (open() > 0 && Date.now() < deadline) await pause(50);
  await pause(kLingerMs);
}

/** The engine's own word on some of the runs: ended, and the same outcome as the client heard. */
async function compareWithEngine(engine, askers) {
  const faults = [];
  const token = await engine.token('--tenant', 'crash', '--scope', 'admin');
  const outcomes = askers.flatMap((asker) => asker.deliveries.filter((d) => d.outcome));
  for (let i = 0; i < Math.min(kSampledRuns, outcomes.length); i += 1) {
    const heard = outcomes[random.between(0, outcomes.length - 1)];
    const found = await engine.get(`/v1/runs/${encodeURIComponent(heard.run)}`, token);
    const expected = heard.name === 'Done' ? 'completed' : 'failed';
    if (found.state !== expected) {
      faults.push(`run ${heard.run} is ${found.state}, not ${expected}`);
    }
    if (JSON.stringify(found.outcome?.data) !== JSON.stringify(heard.data)) {
      faults.push(`run ${heard.run}: the engine and the client know different outcomes`);
    }
    const history = await engine.get(`/v1/runs/${encodeURIComponent(heard.run)}/history`, token);
    const seqs = history.items.map((record) => record.seq);
    if (seqs.length === 0 || seqs.some((seq, at) => at > 0 && seq <= seqs[at - 1])) {
      faults.push(`run ${heard.run}: its history is not in order: ${seqs.join(' ')}`);
    }
  }
  return faults;
}

async function loadAndCrash(engine, workers, askers) {
  const disasters = new Disasters(engine, workers, askers);
  const work = askers.map((asker) => asker.work());
  const until = Date.now() + Number(options.seconds) * 1000;
  while (Date.now() < until) {
    await pause(random.between(1000, 3000));
    await disasters.next();
  }
  show(askers);
  log(`disasters: ${JSON.stringify(disasters.counts)}; now everything may finish`);
  for (const asker of askers) asker.stop();
  await drain(askers);
  show(askers);
  // A send that is never answered keeps its client waiting: the checker says so, no hanging test.
  await Promise.race([Promise.all(work), pause(1000)]);
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-crash-'));
chmodSync(folder, 0o755); // PostgreSQL's user must be able to pass
const charges = join(folder, 'charges');
const engine = new Engine({ flowd: options.flowd, folder, port: await freePort() });
const workers = [];
let askers = [];
let faults = [];
try {
  if (!(await engine.start())) throw new Error('flowd does not start');
  await deploy(engine, folder);
  const token = await engine.token('--tenant', 'crash', '--scope', 'worker', '--ttl', '1d');
  for (let i = 0; i < kWorkers; i += 1) {
    workers.push(new WorkerProcess({
      script: join(here, 'worker.mjs'), args: [engine.url, token, charges],
      log: join(folder, 'workers.log'), name: `worker-${i + 1}`, seed: seed + 100 * (i + 1),
    }));
    workers.at(-1).start();
  }
  askers = await makeAskers(engine);
  await loadAndCrash(engine, workers, askers);
  const noted = existsSync(charges) ? readFileSync(charges, 'utf8') : '';
  const lines = noted.split('\n').filter(Boolean);
  faults = faultsOf(askers, lines.map((line) => line.split(' ')[0]));
  faults.push(...(await compareWithEngine(engine, askers)));
  if (sum(askers, (a) => a.answered) === 0) faults.push('nothing was answered, so nothing tested');
} catch (error) {
  faults.push(`the test itself failed: ${error.stack}`);
} finally {
  for (const worker of workers) worker.end();
  for (const asker of askers) asker.close();
  await engine.stop();
}
faults.push(...engine.faults, ...workers.flatMap((worker) => worker.faults));
for (const fault of faults.slice(0, 30)) log(`FAULT ${fault}`);
if (faults.length > 0) {
  log(`${faults.length} faults with seed ${seed}; logs are in ${folder}`);
  if (existsSync(engine.log)) {
    console.log(readFileSync(engine.log, 'utf8').split('\n').slice(-40).join('\n'));
  }
  process.exit(1);
}
rmSync(folder, { recursive: true, force: true });
const postponed = sum(askers, (a) => a.postponed);
log(`flowd started ${engine.starts} times; ${postponed} sends were told to come back later`);
log('no accepted event was lost, none was answered twice, order held');
process.exit(0);
