// Live streams from the worker's socket to the client's.
import assert from 'node:assert/strict';
import { after, before, beforeEach, afterEach, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { RawSocket, openClient, openWorker, startEngine } from './engine.mjs';

const timeout = 60_000;
const kTasks = ['say', 'say_twice', 'say_small'];
let engine;
let client;
let token;
let worker;
let sends = 0;
let names = 0;

before(async () => {
  engine = await startEngine();
});
after(() => engine?.end());
beforeEach(async () => {
  token = await engine.clientToken(`s${(names += 1)}`);
  client = await openClient(engine, token);
  worker = await openWorker(engine, { tasks: kTasks });
});
afterEach(() => {
  client?.end();
  worker?.end();
});

async function start(topic, text) {
  const id = `s${(sends += 1)}`;
  client.say({ t: 'send', id, topic, data: { text } });
  return (await client.next('accepted', { id })).runs[0];
}

const outcome = (run) => client.next('delivery', { run, outcome: true });
const speak = (task, n, data, socket = worker) =>
  socket.say({ t: 'stream', lease: task.lease, n, data });
const finish = (task, result, socket = worker) =>
  socket.say({ t: 'done', lease: task.lease, result });
const frames = (run, socket = client) =>
  socket.unread.filter((frame) => ['token', 'stream'].includes(frame.t) && frame.run === run);

/** What the client puts together of the pieces that are there and to come, until the end. */
async function listen(run, socket = client) {
  let text = '';
  const attempts = [];
  for (;;) {
    const frame = await socket.next(['token', 'stream'], { run });
    if (frame.t === 'token') {
      assert.equal(frame.attempt, attempts.at(-1));
      text += frame.data;
    } else if (['complete', 'failed', 'cancelled'].includes(frame.status)) {
      return { text, attempts, status: frame.status };
    } else {
      attempts.push(frame.attempt);
      text = frame.text ?? '';
    }
  }
}

test('pieces come in order, between open and complete', { timeout }, async () => {
  const run = await start('speeches', 'hello');
  const task = await worker.next('task', { run });
  const open = await client.next('stream', { run });
  assert.deepEqual(open, { t: 'stream', run, step: 'speech/reply', attempt: 1, status: 'open' });
  const words = ['The ', 'quick ', 'brown ', '"fox" ', '\u{1f98a}'];
  words.forEach((word, n) => speak(task, n, word));
  const first = await client.next('token', { run });
  const piece = { t: 'token', run, step: 'speech/reply', attempt: 1, n: 0, data: 'The ' };
  assert.deepEqual(first, piece);
  const second = await client.next('token', { run });
  assert.equal(second.n, 1);
  assert.equal(second.data, words.slice(1).join('')); // gathered
  finish(task, words.join(''));
  const end = await client.next('stream', { run });
  assert.deepEqual(end, { ...open, status: 'complete' });
  assert.deepEqual((await outcome(run)).data, { text: words.join('') });
  assert.deepEqual(frames(run), []);
});

test('the first piece leaves at once, later ones at the pace asked for', { timeout }, async () => {
  const quick = await openClient(engine, token, { token_ms: 0 });
  const slow = await openClient(engine, token, { token_ms: 500 });
  const run = await start('speeches', 'hello');
  const task = await worker.next('task', { run });
  for (let n = 0; n < 10; n += 1) {
    speak(task, n, `${n}`);
    await quick.next('token', { run, data: `${n}` }); // each by itself
  }
  finish(task, 'x');
  for (const socket of [client, slow, quick]) {
    const said = await listen(run, socket);
    assert.equal(said.status, 'complete');
    if (socket !== quick) assert.equal(said.text, '0123456789');
  }
  quick.end();
  slow.end();
});

test('a pace out of range is a bad frame', { timeout }, async () => {
  const socket = await RawSocket.open(engine, '/v1/ws', 'sluice.v1.json');
  socket.say({ t: 'hello', token, token_ms: 501 });
  assert.equal(await socket.closed, 4400);
});

test('who joins late gets all so far, and what follows', { timeout }, async () => {
  const run = await start('speeches', 'hello');
  const task = await worker.next('task', { run });
  speak(task, 0, 'one ');
  await client.next('token', { run });
  const late = await openClient(engine, token);
  const joined = await late.next('stream', { run });
  assert.deepEqual(
    [joined.status, joined.text, joined.attempt, joined.step],
    ['snapshot', 'one ', 1, 'speech/reply'],
  );
  speak(task, 1, 'two');
  assert.equal((await late.next('token', { run })).data, 'two');
  finish(task, 'one two');
  assert.equal((await late.next('stream', { run })).status, 'complete');
  assert.deepEqual(await listen(run), { text: 'two', attempts: [1], status: 'complete' });
  late.end();
});

test('a stream is nobody else\'s', { timeout }, async () => {
  const other = await openClient(engine, await engine.clientToken(`other${names}`));
  const run = await start('speeches', 'hello');
  const task = await worker.next('task', { run });
  speak(task, 0, 'secret');
  await client.next('token', { run });
  finish(task, 'secret');
  await outcome(run);
  await other.handled();
  assert.deepEqual(frames(run, other), []);
  other.end();
});

test('a new attempt resets, and the older one is heard no more', { timeout }, async () => {
  const run = await start('retries', 'hello');
  const first = await worker.next('task', { run });
  speak(first, 0, 'wrong');
  await client.next('token', { run, data: 'wrong' });
  worker.say({ t: 'failed', lease: first.lease, kind: 'Unavailable', message: 'x', retry: true });
  const second = await worker.next('task', { run });
  assert.equal(second.attempt, 2);
  const reset = await client.next('stream', { run, status: 'reset' });
  assert.equal(reset.attempt, 2);
  speak(first, 1, ' and more');
  speak(second, 0, 'right');
  assert.deepEqual(
    await client.next('token', { run }),
    { t: 'token', run, step: 'retry/reply', attempt: 2, n: 0, data: 'right' },
  );
  finish(second, 'right');
  const end = await client.next('stream', { run, status: 'complete' });
  assert.equal(end.attempt, 2);
  await outcome(run);
  assert.equal(frames(run).filter((frame) => frame.t === 'token').length, 0);
});

test('a worker that dies leaves one end', { timeout }, async () => {
  const run = await start('speeches', 'hello'); // heartbeat 1s, one attempt
  const task = await worker.next('task', { run });
  assert.equal(task.lease_ms, 1000);
  speak(task, 0, 'I was about to');
  await client.next('token', { run });
  worker.end();
  assert.equal((await client.next('stream', { run, status: 'failed' })).attempt, 1);
  assert.deepEqual((await outcome(run)).data, { kind: 'Lost' });
  await client.handled();
  assert.deepEqual(frames(run).map((frame) => frame.status), ['open']);
});

test('a worker that comes back goes on where it was', { timeout }, async () => {
  const run = await start('speeches', 'hello');
  const task = await worker.next('task', { run });
  speak(task, 0, 'one ');
  await client.next('token', { run });
  worker.end();
  worker = await openWorker(engine, { tasks: kTasks, reclaim: [task.lease] });
  speak(task, 0, 'one '); // it does not know what was heard
  speak(task, 1, 'two');
  assert.equal((await client.next('token', { run })).data, 'two');
  finish(task, 'one two');
  await client.next('stream', { run, status: 'complete' });
});

test('a cancelled run ends its stream', { timeout }, async () => {
  const run = await start('speeches', 'hello');
  const task = await worker.next('task', { run });
  speak(task, 0, 'one');
  await client.next('token', { run });
  client.say({ t: 'cancel', id: `c${run}`, run });
  await client.next('stream', { run, status: 'cancelled' });
  await worker.next('cancel', { lease: task.lease });
  speak(task, 1, 'two');
  await worker.handled();
  await client.handled();
  assert.equal(frames(run).filter((frame) => frame.t === 'token').length, 0);
});

test('after the engine died the stream begins again and ends once', { timeout }, async () => {
  const run = await start('retries', 'hello');
  const task = await worker.next('task', { run });
  speak(task, 0, 'before ');
  await client.next('token', { run });
  await engine.kill();
  await engine.start();
  client = await openClient(engine, token);
  worker = await openWorker(engine, { tasks: kTasks, reclaim: [task.lease] });
  speak(task, 0, 'before ');
  speak(task, 1, 'after');
  const said = listen(run);
  finish(task, 'before after');
  const { text, status, attempts } = await said;
  assert.equal(status, 'complete');
  assert.deepEqual(attempts.slice(-1), [1]);
  assert.ok('before after'.endsWith(text) || text === 'before after', text);
  assert.deepEqual((await outcome(run)).data, { text: 'before after' });
});

/** The client's next socket, which goes on where the last one was. */
async function comeBack() {
  const { session, epoch, offset } = client.welcome;
  client.end();
  await client.closed;
  client = await openClient(engine, token, { session, resume: { epoch, offset } });
}

test('who comes back is told the end of what it saw begin', { timeout }, async () => {
  const run = await start('speeches', 'hello');
  const task = await worker.next('task', { run });
  speak(task, 0, 'one');
  await client.next('token', { run });
  client.end();
  await client.closed;
  finish(task, 'one');
  await worker.next('settled', { lease: task.lease });
  await comeBack();
  assert.deepEqual((await outcome(run)).data, { text: 'one' });
  await client.handled();
  const ended = { t: 'stream', run, step: 'speech/reply', attempt: 1, status: 'complete' };
  assert.deepEqual(frames(run), [ended]);
});

test('an end is told again if it died with its socket', { timeout }, async () => {
  const run = await start('speeches', 'hello');
  const task = await worker.next('task', { run });
  await client.next('stream', { run, status: 'open' });
  client.ws.pause(); // what comes now is never read
  worker.say({ t: 'failed', lease: task.lease, kind: 'Rejected', message: 'x', retry: false });
  await worker.next('settled', { lease: task.lease });
  await comeBack();
  assert.equal((await client.next('stream', { run })).status, 'failed');
  await outcome(run);
  // The ping behind the end is answered before the first, and that has come with the second.
  await client.handled();
  await client.handled();
  await comeBack();
  await outcome(run); // it was not acknowledged
  await client.handled();
  assert.deepEqual(frames(run), []);
});

test('what is open when one comes back is shown, and ends once', { timeout }, async () => {
  const run = await start('speeches', 'hello');
  const task = await worker.next('task', { run });
  speak(task, 0, 'one ');
  await client.next('token', { run });
  await comeBack();
  speak(task, 1, 'two');
  const said = listen(run);
  finish(task, 'one two');
  assert.deepEqual(await said, { text: 'one two', attempts: [1], status: 'complete' });
  await outcome(run);
  await client.handled();
  assert.deepEqual(frames(run), []);
});

test('of a hedged stream one attempt speaks', { timeout }, async () => {
  const run = await start('hedged', 'hello'); // hedge after 300ms
  const first = await worker.next('task', { run, task: 'say' });
  const second = await worker.next('task', { run, task: 'say_small' });
  assert.equal(second.attempt, 2);
  speak(second, 0, 'small ');
  assert.equal((await client.next('stream', { run, status: 'reset' })).attempt, 2);
  const cancelled = await worker.next('cancel', { lease: first.lease });
  assert.equal(cancelled.why, 'hedged');
  speak(first, 0, 'big ');
  finish(first, 'big');
  await worker.next('stale', { lease: first.lease });
  speak(second, 1, 'talk');
  finish(second, 'small talk');
  await client.next('stream', { run, status: 'complete' });
  assert.deepEqual((await outcome(run)).data, { text: 'small talk' });
  const tokens = frames(run).filter((frame) => frame.t === 'token');
  assert.equal(tokens.map((frame) => frame.data).join(''), 'small talk');
  assert.ok(tokens.every((frame) => frame.attempt === 2));
});

test('a first piece in time keeps the hedge away', { timeout }, async () => {
  const run = await start('hedged', 'hello');
  const task = await worker.next('task', { run });
  speak(task, 0, 'I ');
  assert.equal((await client.next('token', { run })).data, 'I ');
  await pause(500);
  speak(task, 1, 'am');
  finish(task, 'I am');
  await client.next('stream', { run, status: 'complete' });
  assert.deepEqual(worker.unread.filter((frame) => frame.t === 'task'), []);
});

test('a socket that does not read is told all of it later', { timeout }, async () => {
  const run = await start('speeches', 'hello');
  const task = await worker.next('task', { run });
  await client.next('stream', { run });
  client.ws.pause();
  const piece = 'x'.repeat(8000);
  const renew = setInterval(() => worker.say({ t: 'renew', lease: task.lease }), 200);
  for (let n = 0; n < 125; n += 1) {
    speak(task, n, piece);
    if (n % 10 === 9) await pause(45);
  }
  await worker.handled();
  client.ws.resume();
  speak(task, 125, 'end');
  let text = '';
  while (!text.endsWith('end')) {
    const frame = await client.next(['token', 'stream'], { run });
    text = frame.t === 'token' ? text + frame.data : frame.text;
  }
  clearInterval(renew);
  assert.equal(text, piece.repeat(125) + 'end');
  finish(task, 'x');
  await client.next('stream', { run, status: 'complete' });
});

test('a watched run tells how it stands and how it ends', { timeout }, async () => {
  const run = await start('speeches', 'hello');
  const task = await worker.next('task', { run });
  client.say({ t: 'watch', id: 'w1', run });
  assert.deepEqual((await client.next('accepted', { id: 'w1' })).runs, [run]);
  const first = await client.next('run', { run });
  assert.equal(first.state, 'started');
  assert.equal(first.step, 'speech/reply');
  finish(task, 'x');
  const last = await client.next('run', { run, state: 'completed' });
  assert.equal(last.t, 'run');
  client.say({ t: 'watch', run }); // it is over: once more how it stands
  await client.next('run', { run, state: 'completed' });
  client.say({ t: 'unwatch', id: 'w2', run });
  await client.next('accepted', { id: 'w2' });
  const other = await openClient(engine, await engine.clientToken(`other${names}`));
  other.say({ t: 'watch', id: 'w3', run });
  assert.equal((await other.next('rejected', { id: 'w3' })).code, 'unknown_run');
  other.end();
});

test('each watch is answered, whatever overtakes it', { timeout }, async () => {
  const run = await start('speeches', 'hello');
  const task = await worker.next('task', { run });
  client.ws._socket.cork(); // in one piece: the second is there before the first is answered
  client.say({ t: 'watch', id: 'a', run });
  client.say({ t: 'unwatch', id: 'b', run });
  client.ws._socket.uncork();
  await client.next('accepted', { id: 'a' });
  await client.next('accepted', { id: 'b' });
  await client.handled();
  finish(task, 'x');
  await client.next('delivery', { run, outcome: true });
  await client.handled();
  const told = client.unread.filter((frame) => frame.t === 'run').map((frame) => frame.state);
  assert.ok(!told.includes('completed'), 'it had left');
  for (const id of ['c', 'd']) client.say({ t: 'watch', id, run });
  for (const id of ['c', 'd']) {
    await client.next('accepted', { id });
    await client.next('run', { run, state: 'completed' });
  }
});

test('a piece is a string of a lease', { timeout }, async () => {
  worker.say({ t: 'stream', lease: 'made-up', n: 0, data: 'x' });
  await worker.next('stale', { lease: 'made-up' });
  worker.say({ t: 'stream', lease: 'made-up', n: 0, data: { no: 'string' } });
  assert.equal(await worker.closed, 4400);
});
