// PostgreSQL is gone for ten seconds under load, and back: what clients see meanwhile, and that
// nothing accepted is lost, nothing doubled, and each client's order holds.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmodSync, copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { faultsOf } from '../crash/checker.mjs';
import { WorkerProcess, freePort } from '../crash/processes.mjs';
import { Random } from '../crash/random.mjs';
import { Asker } from '../crash/workload.mjs';
import { call, openClient, programs } from './engine.mjs';
import { Cluster, ServedEngine } from './served.mjs';

const run = promisify(execFile);
const crash = fileURLToPath(new URL('../crash/', import.meta.url));
const timeout = 150_000;
const kSeed = 1;
const kClients = 8;
const kWindow = 100; // so that clients still send when it has become known that PostgreSQL is gone
const kOutageMs = 10_000;
const kFill = 700; // more events than a batch holds
const kAnswersBefore = 100; // of all clients: then the load is under way

let folder;
let cluster;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sluice-outage-'));
  chmodSync(folder, 0o755); // PostgreSQL's user must be able to pass
  cluster = new Cluster(folder);
  await cluster.create();
});
afterEach(async () => {
  await cluster.stop('SIGINT');
  rmSync(folder, { recursive: true, force: true });
});

async function until(what, holds, ms = 60_000) {
  const late = Date.now() + ms;
  while (!(await holds())) {
    if (Date.now() > late) throw new Error(`not within ${ms} ms: ${what}`);
    await pause(20);
  }
}

async function serve(settings) {
  const port = await freePort();
  return new ServedEngine({ flowd: programs.flowd, folder, port, cluster, settings });
}

async function deploy(engine) {
  const flow = join(folder, 'flow');
  mkdirSync(flow);
  copyFileSync(join(crash, 'crash.flow'), join(flow, 'crash.flow'));
  const token = await engine.token('--tenant', '*', '--scope', 'admin');
  await run(programs.flowc, ['deploy', flow, '--engine', engine.url, '--token', token]);
}

const clientToken = (engine, name) =>
  engine.token('--tenant', 'crash', '--client', name, '--scope', 'client');

async function openAskers(engine) {
  const askers = [];
  for (let i = 0; i < kClients; i += 1) {
    const name = `client-${i + 1}`;
    const token = await clientToken(engine, name);
    const random = new Random(kSeed + i);
    const how = { orderly: i % 2 === 0, ownIds: i % 4 === 1, window: kWindow };
    askers.push(new Asker({ name, token, url: engine.url, random, ...how }));
  }
  return askers;
}

async function openWorkers(engine, charges) {
  const token = await engine.token('--tenant', 'crash', '--scope', 'worker');
  return [1, 2].map((n) => {
    const worker = new WorkerProcess({
      script: join(crash, 'worker.mjs'), args: [engine.url, token, charges],
      log: join(folder, 'workers.log'), name: `worker-${n}`, seed: kSeed + 100 * n,
    });
    worker.start();
    return worker;
  });
}

/** What somebody is told who asks while PostgreSQL is gone. */
async function askMeanwhile(engine, socket, token) {
  const send = { topic: 'jobs', data: { n: 1, text: 'meanwhile' } };
  const next = socket.next('rejected');
  let n = 0;
  // Those that are taken before the outage is noticed are answered when it is over.
  const sending = setInterval(() => socket.say({ t: 'send', id: `x${(n += 1)}`, ...send }), 200);
  const refused = await next.finally(() => clearInterval(sending));
  assert.equal(refused.code, 'unavailable');
  assert.ok(refused.retry_after_ms > 0, JSON.stringify(refused));
  const event = { token, body: send.data };
  const published = await call(engine, 'POST', '/v1/topics/jobs/events', event);
  assert.equal(published.status, 503);
  assert.equal(published.json.code, 'unavailable');
  assert.ok(published.headers.get('retry-after'));
  const ready = await call(engine, 'GET', '/readyz');
  assert.deepEqual([ready.status, ready.json.code], [503, 'unavailable']);
  const runs = await call(engine, 'GET', '/v1/runs', { token });
  assert.deepEqual([runs.status, runs.json.code], [503, 'unavailable']);
  assert.equal((await call(engine, 'GET', '/healthz')).status, 200);
}

test('PostgreSQL gone for 10 s under load, back again', { timeout }, async () => {
  await cluster.start();
  const engine = await serve();
  assert.equal(await engine.start(), true);
  await deploy(engine);
  const charges = join(folder, 'charges');
  const workers = await openWorkers(engine, charges);
  const askers = await openAskers(engine);
  const sum = (pick) => askers.reduce((total, asker) => total + pick(asker), 0);
  try {
    const witness = await clientToken(engine, 'witness');
    const socket = await openClient(engine, witness);
    const work = askers.map((asker) => asker.work());
    await until('load', () => sum((a) => a.answered) >= kAnswersBefore);

    await cluster.stop('SIGKILL');
    const gone = Date.now();
    const acceptedThen = sum((a) => a.accepted);
    await askMeanwhile(engine, socket, witness);
    await pause(kOutageMs - (Date.now() - gone));
    assert.ok(sum((a) => a.postponed) > 0, 'no client was told to come back later');
    await cluster.start();

    await until('accepted again', () => sum((a) => a.accepted) > acceptedThen + kAnswersBefore);
    await until('ready again', async () => (await call(engine, 'GET', '/readyz')).status === 200);
    for (const asker of askers) asker.stop();
    await until('all is answered', () => sum((a) => a.sends.length - a.answered) === 0);
    await Promise.all(work);
    const noted = existsSync(charges) ? readFileSync(charges, 'utf8') : '';
    const began = noted.split('\n').filter(Boolean).map((line) => line.split(' ')[0]);
    assert.deepEqual(faultsOf(askers, began), []);
    socket.end();
  } finally {
    for (const worker of workers) worker.end();
    for (const asker of askers) {
      asker.stop();
      asker.close();
    }
    await engine.stop();
  }
  assert.deepEqual([...engine.faults, ...workers.flatMap((worker) => worker.faults)], []);
});

test('an event that waits for PostgreSQL longer than its ttl expires', { timeout }, async () => {
  await cluster.start();
  const engine = await serve();
  assert.equal(await engine.start(), true);
  await deploy(engine);
  const socket = await openClient(engine, await clientToken(engine, 'hurry'));
  const filler = await openClient(engine, await clientToken(engine, 'filler'));
  const send = { t: 'send', topic: 'jobs', data: { n: 1, text: 'quick' } };
  const release = cluster.hold();
  try {
    // One batch is under way and one is being filled; when no more fit in there, events wait.
    for (let n = 0; n < kFill; n += 1) filler.say({ ...send, id: `f${n}` });
    await filler.handled();
    socket.say({ ...send, id: 'brief', ttl_ms: 1 });
    socket.say({ ...send, id: 'long', ttl_ms: 600_000 });
    await socket.handled();
  } finally {
    release();
  }
  const expired = await socket.next(['accepted', 'rejected'], { id: 'brief' }, 60_000);
  assert.deepEqual([expired.t, expired.code], ['rejected', 'expired'], JSON.stringify(expired));
  await socket.next('accepted', { id: 'long' }, 60_000);
  socket.say({ ...send, id: 'brief', ttl_ms: 600_000 }); // a rejected id stays free
  assert.equal((await socket.next('accepted', { id: 'brief' })).duplicate, false);
  for (const each of [socket, filler]) each.end();
  await engine.stop();
  assert.deepEqual(engine.faults, []);
});

test('a PostgreSQL that is not there at the start is named', { timeout }, async () => {
  const engine = await serve();
  const { code, stderr } = await run(programs.flowd, engine.command).then(
    () => ({ code: 0 }),
    (error) => error,
  );
  assert.equal(code, 3);
  assert.match(stderr, /PostgreSQL|database/);
  assert.match(stderr, /cluster/, 'where it was looked for');
});

test('with `database.wait` flowd serves when PostgreSQL has come', { timeout }, async () => {
  const engine = await serve({ database: { wait: '60s' } });
  const started = engine.start();
  await pause(1000);
  assert.equal(engine.running, true);
  await cluster.start();
  assert.equal(await started, true);
  await deploy(engine);
  const token = await clientToken(engine, 'c');
  const socket = await openClient(engine, token);
  socket.say({ t: 'send', id: 'a', topic: 'jobs', data: { n: 1, text: 't' } });
  await socket.next('accepted', { id: 'a' });
  socket.end();
  await engine.stop();
  assert.deepEqual(engine.faults, []);
});
