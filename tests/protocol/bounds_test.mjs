// What bounds a flow, from outside: concurrency, ttl, waiting for an outcome, the clock, and what a
// deployment may not ask for yet.
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { call, openClient, openWorker, startEngine } from './engine.mjs';

const timeout = 60_000;
let engine;
let client;
let worker;
let token;
let names = 0;

before(async () => {
  engine = await startEngine({ flow: 'bounds.flow' });
});
after(() => engine?.end());
beforeEach(async () => {
  token = await engine.clientToken(`b${(names += 1)}`);
  client = await openClient(engine, token);
  worker = await openWorker(engine, { tasks: ['hold'], credit: 100 });
});
afterEach(() => {
  client?.end();
  worker?.end();
});

async function send(topic, id, frame = {}, socket = client) {
  socket.say({ t: 'send', id, topic, data: { text: id }, ...frame });
  return socket.next(['accepted', 'rejected'], { id });
}
async function start(topic, id, frame) {
  const answer = await send(topic, id, frame);
  assert.equal(answer.t, 'accepted', JSON.stringify(answer));
  return answer.runs[0];
}
const task = (run) => worker.next('task', { run });
const finish = ({ lease, args }) => worker.say({ t: 'done', lease, result: args[0] });
const outcome = (run) => client.next('delivery', { run, outcome: true });
const stateOf = async (run) =>
  (await call(engine, 'GET', `/v1/runs/${run}`, { token })).json.state;

function isBusy(answer) {
  assert.deepEqual([answer.t, answer.code], ['rejected', 'busy']);
  assert.ok(answer.retry_after_ms > 0, JSON.stringify(answer));
}

test('queue 1: one goes on, one waits, the next is busy', { timeout }, async () => {
  const first = await start('lines', 'a');
  const held = await task(first);
  const second = await start('lines', 'b');
  isBusy(await send('lines', 'c'));
  const post = (body) => call(engine, 'POST', '/v1/topics/lines/events', { token, body });
  const refused = await post({ text: 'd' });
  assert.deepEqual([refused.status, refused.json.code], [429, 'busy']);
  assert.ok(Number(refused.headers.get('retry-after')) > 0);
  const other = await openClient(engine, await engine.clientToken(`other${names}`));
  const theirs = await send('lines', 'a', {}, other); // another client has a line of its own
  assert.equal(theirs.t, 'accepted');
  finish(await task(theirs.runs[0]));
  other.end();
  assert.equal(await stateOf(second), 'waiting');
  finish(held);
  assert.deepEqual((await outcome(first)).data, { text: 'a' });
  const next = await task(second); // and only now
  const third = await start('lines', 'c'); // what was refused may be sent again
  finish(next);
  await outcome(second);
  finish(await task(third));
  assert.deepEqual((await outcome(third)).data, { text: 'c' });
});

test('reject: while one goes on the next is busy', { timeout }, async () => {
  const first = await start('solos', 'a');
  const held = await task(first);
  isBusy(await send('solos', 'b'));
  const again = await send('solos', 'a'); // a repeat is no new run
  assert.deepEqual([again.duplicate, again.runs], [true, [first]]);
  finish(held);
  await outcome(first);
  const second = await start('solos', 'b');
  finish(await task(second));
  assert.deepEqual((await outcome(second)).data, { text: 'b' });
});

test('newest wins: the older run is superseded and says nothing more', { timeout }, async () => {
  const first = await start('turns', 'a');
  const held = await task(first);
  client.say({ t: 'watch', id: 'w', run: first });
  await client.next('accepted', { id: 'w' });
  const second = await start('turns', 'b');
  await worker.next('cancel', { lease: held.lease });
  await client.next('run', { run: first, state: 'superseded' });
  finish(held);
  await worker.next('stale', { lease: held.lease });
  finish(await task(second));
  assert.deepEqual((await outcome(second)).data, { text: 'b' });
  assert.equal(await stateOf(first), 'superseded');
  await client.handled();
  const said = client.unread.filter((frame) => frame.t === 'delivery' && frame.run === first);
  assert.deepEqual(said, []);
});

test('an event that waited longer than its ttl does not begin', { timeout }, async () => {
  const first = await start('patient', 'a');
  const held = await task(first);
  const second = await start('patient', 'b', { ttl_ms: 50 });
  const { name, data } = await outcome(second); // nobody has finished the first
  assert.deepEqual([name, data], ['Failed', { kind: 'TimedOut' }]);
  finish(held);
  assert.deepEqual((await outcome(first)).data, { text: 'a' });
  assert.deepEqual(worker.unread.filter((frame) => frame.t === 'task'), []);
});

test('?wait: the outcome, also of a failure; 202 when the time is up', { timeout }, async () => {
  const startFlow = (wait, text, key) =>
    call(engine, 'POST', `/v1/flows/direct/runs?wait=${wait}`, {
      token, body: { text }, headers: { 'idempotency-key': key },
    });
  const answered = startFlow('30s', 'hello', 'k1');
  finish(await worker.next('task'));
  const { status, json } = await answered;
  assert.equal(status, 200);
  assert.deepEqual(json.outcome, { name: 'Answer', data: { text: 'hello' } });
  assert.equal(json.state, 'completed');

  const again = await startFlow('30s', 'hello', 'k1'); // the same run, long ended
  assert.deepEqual([again.status, again.json.run], [200, json.run]);
  assert.deepEqual(again.json.outcome, json.outcome);

  const failing = startFlow('30s', 'no', 'k2');
  const { lease } = await worker.next('task');
  worker.say({ t: 'failed', lease, kind: 'Rejected', message: 'no', retry: false });
  const failed = await failing;
  assert.deepEqual([failed.status, failed.json.state], [200, 'failed']);
  assert.deepEqual(failed.json.outcome, { name: 'Failed', data: { kind: 'Rejected' } });

  const late = await startFlow('50ms', 'slow', 'k3');
  assert.equal(late.status, 202, late.text);
  assert.equal(await stateOf(late.json.run), 'running');
  const waiting = startFlow('30s', 'slow', 'k3');
  finish(await task(late.json.run));
  assert.deepEqual((await waiting).json.outcome, { name: 'Answer', data: { text: 'slow' } });

  const bad = await startFlow('61s', 'x', 'k4');
  assert.deepEqual([bad.status, bad.json.code], [400, 'bad_request']);
});

// What a program asks for -> the code by which its deployment is refused.
const kTopic = 'event Say { text: string }\ntopic says of Say { order by client }\n';
const kTask = 'task think() -> string { timeout 1s  idempotent ';
const kFlow = 'flow f(text: string) timeout 1m { step think() }\n';
const kNotYet = {
  'a breaker': [`${kTask} breaker 50% of 20 within 30s cooldown 10s }\n${kFlow}`, 'E0622'],
  'a priority': [`${kTask} priority high }\n${kFlow}`, 'E0623'],
  'a rate limit': [kTopic.replace('client }', 'client  limit 5/s per tenant }'), 'E0627'],
  'slots of a pool': [`pool gpu { slots 4 }\n${kTask} pool gpu }\n${kFlow}`, 'E0630'],
  'a migration': [
    `${kTask} }\n${kFlow}migrate f at think to think (old) { text: old.text }\n`, 'E0618',
  ],
};
for (const [what, [source, code]] of Object.entries(kNotYet)) {
  test(`refused by a deployment: ${what}`, { timeout }, async () => {
    const path = '/v1/deployments';
    const body = { 'later.flow': `module later\n${source}` };
    const answer = await call(engine, 'POST', path, { token: engine.tokens.root, body });
    assert.deepEqual([answer.status, answer.json.code], [422, 'compile'], answer.text);
    const errors = answer.json.diagnostics.filter((each) => each.severity === 'error');
    assert.deepEqual([...new Set(errors.map((each) => each.code))], [code], answer.text);
    assert.match(errors[0].message, /the engine does not execute/);
  });
}

test('the clock starts a run every minute, once, over a crash', { timeout: 150_000 }, async () => {
  const root = await engine.token('--tenant', '*', '--scope', 'worker');
  const hello = { token: root, tasks: ['beat'], credit: 100 };
  let clock = await openWorker(engine, hello);
  const minuteOf = ({ args }) => Date.parse(args[0]) - (Date.parse(args[0]) % 60_000);
  const first = await clock.next('task', {}, 70_000);
  assert.equal(first.tenant, 'dev'); // the tenant of schedules
  assert.equal(first.client ?? '', '');
  await engine.kill();
  await engine.start();
  clock = await openWorker(engine, hello);
  const again = await clock.next('task', { run: first.run }); // the same, offered anew
  assert.deepEqual([again.key, minuteOf(again)], [first.key, minuteOf(first)]);
  clock.say({ t: 'done', lease: again.lease, result: 'tick' });
  await clock.next('settled', { lease: again.lease });
  const second = await clock.next('task', {}, 70_000);
  clock.say({ t: 'done', lease: second.lease, result: 'tock' });
  await clock.next('settled', { lease: second.lease });
  assert.notEqual(second.run, first.run);
  assert.equal(minuteOf(second), minuteOf(first) + 60_000);
  const path = '/v1/runs?flow=tick&tenant=dev';
  const { json } = await call(engine, 'GET', path, { token: engine.tokens.root });
  const runs = json.items.map(({ id, state }) => `${id} ${state}`);
  assert.deepEqual(runs, [`${second.run} completed`, `${first.run} completed`]);
  clock.end();
});
