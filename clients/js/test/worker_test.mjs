import assert from 'node:assert/strict';
import { once } from 'node:events';
import { afterEach, beforeEach, test } from 'node:test';
import { TaskFailed, Worker } from '../index.mjs';
import { FakeEngine, until } from './fake_engine.mjs';

const welcome = { worker: 'w', lease_ms: 300 };
const timeout = 10_000;
let engine;
let worker;

beforeEach(async () => {
  engine = await FakeEngine.start();
});
afterEach(() => {
  worker?.end();
  engine.stop();
});

async function connected(tasks, options = {}) {
  const backoff = { firstMs: 5, mostMs: 20 };
  const defaults = { url: engine.url, token: 'T', name: 'w', credit: 2, backoff };
  worker = new Worker({ ...defaults, tasks, ...options });
  worker.connect();
  return engine.peer(welcome);
}

const task = (lease, name = 'work', args = []) => ({
  t: 'task', lease, task: name, args, attempt: 1, deadline_ms: 1000, key: `k${lease}`, tenant: 't',
  client: 'c', run: 'r', step: 's', correlation: 'x', traceparent: '', priority: 'normal',
});

/** A task's function that ends when the test says so. */
function held() {
  const calls = [];
  const work = (args, context) =>
    new Promise((resolve, reject) => calls.push({ args, context, resolve, reject }));
  return { calls, work };
}

test('a task is done and forgotten when it is settled', { timeout }, async () => {
  const peer = await connected({ work: async ([a, b]) => ({ sum: a + b }) });
  assert.deepEqual(peer.hello, { t: 'hello', worker: 'w', tasks: ['work'], credit: 2, token: 'T' });
  assert.equal(peer.request.headers['sec-websocket-protocol'], 'sluice.worker.v1.json');
  peer.say(task('l1', 'work', [2, 3]));
  assert.deepEqual(await peer.next('done'), { t: 'done', lease: 'l1', result: { sum: 5 } });
  assert.equal(worker.load.unsettled, 1);
  peer.say({ t: 'settled', lease: 'l1' });
  await until(() => worker.load.unsettled === 0);
});

test('a report that is not settled is made again on the next socket', { timeout }, async () => {
  const first = await connected({ work: async () => 'result' });
  first.say(task('l1'));
  await first.next('done');
  first.drop();
  const second = await engine.peer(welcome);
  assert.equal(second.hello.reclaim, undefined);
  assert.deepEqual(await second.next('done'), { t: 'done', lease: 'l1', result: 'result' });
  second.say({ t: 'settled', lease: 'l1' });
  await until(() => worker.load.unsettled === 0);
  second.drop();
  const third = await engine.peer(welcome);
  third.say(task('l2'));
  assert.equal((await third.next('done')).lease, 'l2');
  assert.equal(third.waiting('done').length, 0);
});

test('work under way is reclaimed and reported on the new socket', { timeout }, async () => {
  const { calls, work } = held();
  const first = await connected({ work });
  first.say(task('l1'));
  await until(() => calls.length === 1);
  first.drop();
  const second = await engine.peer(welcome);
  assert.deepEqual(second.hello.reclaim, ['l1']);
  assert.equal(second.hello.credit, 1);
  calls[0].resolve(7);
  assert.deepEqual(await second.next('done'), { t: 'done', lease: 'l1', result: 7 });
});

test('a lease is renewed while its task waits or runs, and not after', { timeout }, async () => {
  const { calls, work } = held();
  const peer = await connected({ work }, { credit: 1 });
  peer.say(task('l1'));
  peer.say(task('l2')); // beyond the credit: waits, but its lease must live
  const leases = new Set();
  while (leases.size < 2) leases.add((await peer.next('renew')).lease);
  assert.equal(calls.length, 1);
  calls[0].resolve(null);
  await peer.next('done');
  await until(() => calls.length === 2);
  calls[1].resolve(null);
  await peer.next('done');
  peer.frames = [];
  await new Promise((resolve) => setTimeout(resolve, 250));
  assert.equal(peer.waiting('renew').length, 0);
});

test('pieces of a stream are sent again on the next socket', { timeout }, async () => {
  const { calls, work } = held();
  const peer = await connected({ work });
  peer.say(task('l1'));
  await until(() => calls.length === 1);
  const { stream } = calls[0].context;
  assert.equal(stream('a'), true);
  assert.deepEqual(await peer.next('stream'), { t: 'stream', lease: 'l1', n: 0, data: 'a' });
  peer.drop();
  await once(worker, 'disconnected');
  assert.equal(stream('b'), true); // said while there is no socket
  const second = await engine.peer(welcome);
  assert.deepEqual(second.hello.reclaim, ['l1']);
  assert.deepEqual(await second.next('stream'), { t: 'stream', lease: 'l1', n: 0, data: 'a' });
  assert.deepEqual(await second.next('stream'), { t: 'stream', lease: 'l1', n: 1, data: 'b' });
  assert.throws(() => stream({ no: 'string' }), TypeError);
  assert.equal(stream('x'.repeat(1 << 20)), false); // more than is shown
  calls[0].resolve('ab');
  await second.next('done');
  assert.equal(stream('c'), false);
});

test('a cancelled task is aborted and makes no report', { timeout }, async () => {
  const { calls, work } = held();
  const peer = await connected({ work, quick: async () => 1 });
  peer.say(task('l1'));
  await until(() => calls.length === 1);
  peer.say({ t: 'cancel', lease: 'l1', why: 'the run was cancelled' });
  await until(() => calls[0].context.signal.aborted);
  calls[0].resolve('too late');
  peer.say(task('l2', 'quick'));
  assert.equal((await peer.next('done')).lease, 'l2');
  assert.equal(peer.waiting('done').length, 0);
});

test('stale after a reconnect drops the work', { timeout }, async () => {
  const { calls, work } = held();
  const first = await connected({ work });
  first.say(task('l1'));
  await until(() => calls.length === 1);
  first.drop();
  const second = await engine.peer(welcome);
  second.say({ t: 'stale', lease: 'l1' });
  await until(() => calls[0].context.signal.aborted);
  assert.equal(worker.load.running, 0);
});

test('a stale report is forgotten', { timeout }, async () => {
  const peer = await connected({ work: async () => 1 });
  peer.say(task('l1'));
  await peer.next('done');
  peer.say({ t: 'stale', lease: 'l1' });
  await until(() => worker.load.unsettled === 0);
});

test('failures carry their kind; a thrown error is a fault', { timeout }, async () => {
  const peer = await connected({
    busy: async () => {
      throw new TaskFailed('Busy', 'later', { retryAfterMs: 500 });
    },
    broken: async () => null.field,
  });
  peer.say(task('l1', 'busy'));
  assert.deepEqual(await peer.next('failed'), {
    t: 'failed', lease: 'l1', kind: 'Busy', message: 'later', retry: true, retry_after_ms: 500,
  });
  peer.say(task('l2', 'broken'));
  const fault = await peer.next('failed');
  assert.equal(fault.kind, 'Fault');
  assert.equal(fault.retry, false);
  peer.say(task('l3', 'unheard_of'));
  assert.equal((await peer.next('failed')).kind, 'Rejected');
});

test('credit comes back as tasks end, and no more than it run at once', { timeout }, async () => {
  let running = 0;
  let most = 0;
  const work = async () => {
    most = Math.max(most, (running += 1));
    await new Promise((resolve) => setTimeout(resolve, 5));
    running -= 1;
  };
  const peer = await connected({ work });
  let credit = peer.hello.credit;
  let done = 0;
  let offered = 0;
  while (done < 20) {
    for (; credit > 0 && offered < 20; credit -= 1) peer.say(task(`l${(offered += 1)}`));
    peer.say({ t: 'settled', lease: (await peer.next('done')).lease });
    done += 1;
    if (offered < 20) credit = (await peer.next('credit')).n;
  }
  assert.equal(most, 2);
});

test('stop says bye, finishes its work, and closes when all is settled', { timeout }, async () => {
  const { calls, work } = held();
  const peer = await connected({ work });
  peer.say(task('l1'));
  await until(() => calls.length === 1);
  const stopped = worker.stop();
  await peer.next('bye');
  calls[0].resolve(1);
  await peer.next('done');
  peer.say({ t: 'settled', lease: 'l1' });
  await stopped;
  await peer.closed;
  assert.equal(peer.waiting('credit').length, 0);
});

test('what nobody listens to is a warning', { timeout }, async () => {
  const warnings = [];
  const warn = (text) => warnings.push(text);
  const broken = async () => null.field;
  const busy = async () => {
    throw new TaskFailed('Busy', 'later');
  };
  const peer = await connected({ broken, busy }, { warn });
  peer.say(task('l1', 'busy')); // meant, and said to the engine
  await peer.next('failed');
  peer.say(task('l2', 'broken'));
  await peer.next('failed');
  assert.equal(warnings.length, 1);
  assert.match(warnings[0], /^sluice worker w: broken failed: TypeError.*\n.*worker_test\.mjs/);
  const heard = [];
  worker.on('taskFailed', (failed, error) => heard.push([failed.task, error.name]));
  peer.say(task('l3', 'broken'));
  await peer.next('failed');
  assert.deepEqual(heard, [['broken', 'TypeError']]);
  assert.equal(warnings.length, 1);
});

test('an engine that cannot be reached is told once per outage', { timeout }, async () => {
  const warnings = [];
  const warn = (text) => warnings.push(text);
  const waits = [];
  const port = new URL(engine.url).port;
  engine.stop();
  const backoff = { firstMs: 5, mostMs: 20 };
  worker = new Worker({ url: engine.url, token: 'T', name: 'w', tasks: {}, warn, backoff });
  worker.on('waiting', (ms) => waits.push(ms));
  worker.connect();
  await until(() => waits.length === 3);
  assert.equal(warnings.length, 1);
  assert.match(warnings[0], new RegExp(`^sluice worker w: cannot reach the engine at .*${port}`));
  assert.match(warnings[0], /ECONNREFUSED/);

  engine = await FakeEngine.start(Number(port));
  (await engine.peer(welcome)).drop(); // a socket that is lost is no outage yet
  const peer = await engine.peer(welcome);
  await until(() => worker.live);
  assert.equal(warnings.length, 1);
  engine.stop();
  await peer.closed;
  await until(() => warnings.length === 2);
});

test('an end for good is told', { timeout }, async () => {
  const warnings = [];
  const peer = await connected({}, { warn: (text) => warnings.push(text) });
  peer.say({ t: 'error', code: 'taken_over', message: 'a newer socket has come' });
  peer.close(4409, 'taken over');
  await until(() => warnings.length === 1);
  assert.equal(warnings[0], 'sluice worker w: the server ended it: 4409 a newer socket has come');
});

test('a URL that is none is told at once', { timeout }, () => {
  for (const url of [undefined, '', 'localhost:8080', '/v1', 'ftp://a']) {
    const make = () => new Worker({ url, token: 'T', name: 'w', tasks: {} });
    assert.throws(make, /the engine's `url` is like http:/);
  }
});

test('a refused token is final', { timeout }, async () => {
  worker = new Worker({ url: engine.url, token: 'bad', name: 'w', tasks: {} });
  const connecting = worker.connect();
  const peer = await engine.peer();
  peer.close(4401, 'bad token');
  await assert.rejects(connecting, (error) => error.code === 4401);
});
