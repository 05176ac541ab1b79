import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import { RawSocket, call, openClient, openWorker, startEngine } from './engine.mjs';

const timeout = 60_000;
let engine;
let client;
let token;
let sends = 0;
let names = 0;

before(async () => {
  engine = await startEngine();
});
after(() => engine?.end());
beforeEach(async () => {
  token = await engine.clientToken(`w${(names += 1)}`);
  client = await openClient(engine, token);
});
afterEach(() => client?.end());

/** Starts a run; resolves with its id. */
async function start(topic, text) {
  const id = `s${(sends += 1)}`;
  client.say({ t: 'send', id, topic, data: { text } });
  return (await client.next('accepted', { id })).runs[0];
}

const outcome = (run) => client.next('delivery', { run, outcome: true });

test('a task frame says everything, and its report is settled', { timeout }, async () => {
  const worker = await openWorker(engine);
  assert.equal(typeof worker.welcome.lease_ms, 'number');
  const run = await start('asks', 'hello');
  const task = await worker.next('task', { run });
  assert.equal(task.task, 'echo');
  assert.deepEqual(task.args, ['hello']);
  assert.equal(task.attempt, 1);
  assert.equal(task.tenant, 't');
  assert.equal(task.client, `w${names}`);
  for (const name of ['lease', 'key', 'step', 'correlation']) {
    assert.ok(task[name]?.length > 0, `${name} is missing: ${JSON.stringify(task)}`);
  }
  assert.ok(task.deadline_ms > 0 && task.deadline_ms <= 30_000, `deadline_ms ${task.deadline_ms}`);
  worker.say({ t: 'done', lease: task.lease, result: 'hello back' });
  await worker.next('settled', { lease: task.lease });
  assert.deepEqual((await outcome(run)).data, { text: 'hello back' });
  worker.end();
});

test('an unknown lease is stale', { timeout }, async () => {
  const worker = await openWorker(engine);
  worker.say({ t: 'done', lease: 'made-up', result: 'x' });
  await worker.next('stale', { lease: 'made-up' });
  worker.say({ t: 'renew', lease: 'made-up' });
  await worker.next('stale', { lease: 'made-up' });
  worker.end();
});

test('a reclaim that does not hold is stale', { timeout }, async () => {
  const worker = await openWorker(engine, { reclaim: ['made-up'] });
  await worker.next('stale', { lease: 'made-up' });
  worker.end();
});

test('a result of the wrong type is settled and fails as Invalid', { timeout }, async () => {
  const worker = await openWorker(engine);
  const run = await start('asks', 'lie');
  const task = await worker.next('task', { run });
  worker.say({ t: 'done', lease: task.lease, result: { not: 'a string' } });
  await worker.next('settled', { lease: task.lease });
  const { name, data } = await outcome(run);
  assert.equal(name, 'Failed');
  assert.deepEqual(data, { kind: 'Invalid' });
  worker.end();
});

test('a kind of any length is settled, and the socket lives on', { timeout }, async () => {
  const worker = await openWorker(engine);
  for (const length of [128, 150, 5000]) {
    const run = await start('asks', `kind of ${length}`);
    const { lease } = await worker.next('task', { run });
    worker.say({ t: 'failed', lease, kind: 'K'.repeat(length), message: 'm'.repeat(length) });
    await worker.next('settled', { lease });
    assert.deepEqual((await outcome(run)).data, { kind: 'Rejected' });
  }
  const run = await start('asks', 'by post');
  const { lease } = await worker.next('task', { run });
  const failed = await call(engine, 'POST', `/v1/tasks/${encodeURIComponent(lease)}/failed`, {
    token: engine.tokens.worker,
    body: { kind: 'K'.repeat(150) },
  });
  assert.deepEqual([failed.status, failed.json.t], [200, 'settled'], failed.text);
  worker.end();
});

test('a failure that may be retried is, with the same key', { timeout }, async () => {
  const worker = await openWorker(engine);
  const run = await start('orders', 'again');
  const first = await worker.next('task', { run });
  const why = { kind: 'Unavailable', message: 'later', retry: true };
  worker.say({ t: 'failed', lease: first.lease, ...why });
  await worker.next('settled', { lease: first.lease });
  const second = await worker.next('task', { run });
  assert.equal(second.attempt, 2);
  assert.equal(second.key, first.key);
  assert.notEqual(second.lease, first.lease);
  worker.say({ t: 'done', lease: second.lease, result: 'at last' });
  assert.deepEqual((await outcome(run)).data, { text: 'at last' });
  worker.end();
});

test('a late report of an earlier attempt is stale', { timeout }, async () => {
  const worker = await openWorker(engine);
  const run = await start('orders', 'late');
  const first = await worker.next('task', { run });
  worker.say({ t: 'failed', lease: first.lease, kind: 'Unavailable', message: '', retry: true });
  const second = await worker.next('task', { run });
  worker.say({ t: 'done', lease: first.lease, result: 'too late' });
  await worker.next('stale', { lease: first.lease });
  worker.say({ t: 'done', lease: second.lease, result: 'in time' });
  assert.deepEqual((await outcome(run)).data, { text: 'in time' });
  worker.end();
});

test('a lease that is renewed lives, one that is not is lost', { timeout }, async () => {
  const worker = await openWorker(engine);
  const run = await start('asks', 'slow');
  const { lease } = await worker.next('task', { run });
  const leaseMs = worker.welcome.lease_ms;
  for (let n = 0; n < 4; n += 1) {
    await new Promise((resolve) => setTimeout(resolve, leaseMs / 2));
    worker.say({ t: 'renew', lease });
  }
  worker.say({ t: 'done', lease, result: 'at last' });
  await worker.next('settled', { lease });
  const other = await start('asks', 'forgotten');
  const forgotten = await worker.next('task', { run: other });
  assert.deepEqual((await outcome(other)).data, { kind: 'Lost' });
  worker.say({ t: 'done', lease: forgotten.lease, result: 'too late' });
  await worker.next('stale', { lease: forgotten.lease });
  worker.end();
});

test('retry:false is final', { timeout }, async () => {
  const worker = await openWorker(engine);
  const run = await start('orders', 'no');
  const { lease } = await worker.next('task', { run });
  worker.say({ t: 'failed', lease, kind: 'Unavailable', message: 'no', retry: false });
  assert.deepEqual((await outcome(run)).data, { kind: 'Unavailable' });
  worker.end();
});

test('a kind that nobody declared becomes Rejected', { timeout }, async () => {
  const worker = await openWorker(engine);
  const run = await start('orders', 'odd');
  const { lease } = await worker.next('task', { run });
  worker.say({ t: 'failed', lease, kind: 'Gremlins', message: 'odd', retry: true });
  assert.deepEqual((await outcome(run)).data, { kind: 'Rejected' });
  worker.end();
});

test('no more tasks than credit', { timeout }, async () => {
  const worker = await openWorker(engine, { credit: 1 });
  const runs = [await start('asks', 'one'), await start('asks', 'two')];
  const first = await worker.next('task');
  worker.say({ t: 'done', lease: first.lease, result: '1' });
  await worker.next('settled');
  assert.equal(worker.unread.filter((frame) => frame.t === 'task').length, 0);
  worker.say({ t: 'credit', n: 1 });
  const second = await worker.next('task');
  assert.deepEqual(new Set([first.run, second.run]), new Set(runs));
  worker.say({ t: 'done', lease: second.lease, result: '2' });
  await outcome(second.run);
  worker.end();
});

test('work is kept over a reconnect, and reported on the new socket', { timeout }, async () => {
  const first = await openWorker(engine);
  const run = await start('asks', 'moving');
  const { lease } = await first.next('task', { run });
  first.end();
  const second = await openWorker(engine, { reclaim: [lease] });
  second.say({ t: 'done', lease, result: 'moved' });
  await second.next('settled', { lease });
  assert.deepEqual((await outcome(run)).data, { text: 'moved' });
  second.end();
});

test('what a worker that says bye has not begun goes to another', { timeout }, async () => {
  const leaving = await openWorker(engine, { credit: 1 });
  const run = await start('asks', 'handed over');
  await leaving.next('task', { run });
  leaving.say({ t: 'bye' });
  await start('asks', 'later');
  const staying = await openWorker(engine);
  const { lease } = await staying.next('task');
  staying.say({ t: 'done', lease, result: 'done' });
  await staying.next('settled', { lease });
  leaving.end();
  staying.end();
});

test('cancelling a run tells its worker, and its report is stale', { timeout }, async () => {
  const worker = await openWorker(engine);
  const run = await start('asks', 'stop me');
  const { lease } = await worker.next('task', { run });
  const admin = { token: engine.tokens.admin };
  const cancelled = await call(engine, 'POST', `/v1/runs/${run}/cancel`, admin);
  assert.ok(cancelled.status < 300, cancelled.text);
  await worker.next('cancel', { lease });
  worker.say({ t: 'done', lease, result: 'too late' });
  await worker.next('stale', { lease });
  worker.end();
});

test('a client\'s token is no worker\'s', { timeout }, async () => {
  const socket = await RawSocket.open(engine, '/v1/worker', 'sluice.worker.v1.json');
  socket.say({ t: 'hello', token, worker: 'w', tasks: ['echo'], credit: 1 });
  assert.ok([4401, 4403].includes(await socket.closed));
});

test('a worker without a socket polls, renews and reports', { timeout }, async () => {
  const run = await start('asks', 'by post');
  const post = (at, content) =>
    call(engine, 'POST', at, { token: engine.tokens.worker, body: content });
  const body = { worker: 'poller', tasks: ['echo'], n: 50, wait_ms: 5000 };
  const polled = await post('/v1/tasks/poll', body);
  assert.equal(polled.status, 200, polled.text);
  const task = polled.json.items.find((each) => each.run === run);
  const path = `/v1/tasks/${encodeURIComponent(task.lease)}`;
  const renewed = await post(`${path}/renew`, {});
  assert.equal(renewed.status, 200, renewed.text);
  assert.equal(renewed.json.t, 'settled');
  const done = await post(`${path}/done`, { result: 'ok' });
  assert.equal(done.status, 200, done.text);
  assert.equal(done.json.t, 'settled');
  assert.deepEqual((await outcome(run)).data, { text: 'ok' });
  for (const [at, content] of [['made-up/done', { result: 1 }], ['made-up/renew', {}]]) {
    const unknown = await post(`/v1/tasks/${at}`, content);
    assert.deepEqual([unknown.status, unknown.json.code], [409, 'stale']);
  }
  const late = await post(`${path}/renew`, {});
  assert.deepEqual([late.status, late.json?.code], [409, 'stale'], late.text);
});
