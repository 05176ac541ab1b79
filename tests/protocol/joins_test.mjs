// Runs of one key, wherever their events and their parents live: they join, or take turns.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { call, openClient, openWorker, startEngine } from './engine.mjs';

const timeout = 60_000;
let engine;
let names = 0;

before(async () => {
  engine = await startEngine();
});
after(() => engine?.end());

async function someone() {
  const token = await engine.clientToken(`j${(names += 1)}`);
  return { token, socket: await openClient(engine, token) };
}
const read = async (path, token) => (await call(engine, 'GET', path, { token })).json;

/** Asks again until it is so; fails after 15 s. */
async function until(ask) {
  for (const end = Date.now() + 15_000; ; await pause(20)) {
    const answer = await ask();
    if (answer) return answer;
    assert.ok(Date.now() < end, 'it did not come to that');
  }
}

test('what is said meanwhile joins the run of its room', { timeout }, async () => {
  const { token, socket } = await someone();
  const say = async (id, room, text) => {
    socket.say({ t: 'send', id, topic: 'sayings', data: { room, text } });
    return (await socket.next('accepted', { id })).runs[0];
  };
  // Rooms of many partitions, each with a run.
  const rooms = Array.from({ length: 6 }, (_, n) => `room ${n}`);
  const first = await Promise.all(rooms.map((room, n) => say(`a${n}`, room, 'a')));
  for (const run of first) {
    await until(async () => (await read(`/v1/runs/${run}`, token)).step === 'chat/each#1/more');
  }
  const second = await Promise.all(rooms.map((room, n) => say(`b${n}`, room, 'b')));
  for (const [n, run] of second.entries()) {
    const row = await until(async () => {
      const now = await read(`/v1/runs/${run}`, token);
      return now.ended && now;
    });
    assert.equal(row.state, 'joined');
    assert.equal(row.joined, first[n]);
    assert.equal(row.outcome, undefined);
    socket.say({ t: 'watch', id: `w${n}`, run });
    const frame = await socket.next('run', { run });
    assert.equal(frame.state, 'joined');
    assert.equal(frame.joined, first[n]);
    const history = await read(`/v1/runs/${run}/history`, token);
    assert.equal(history.items.at(-1).kind, 'join');
    assert.equal(history.items.at(-1).data.joined, first[n]);
  }
  // Whoever waits for one that joins waits for the run that answers.
  const answers = await Promise.all(
    rooms.map((room) =>
      call(engine, 'POST', '/v1/flows/chat/runs?wait=20s', {
        token,
        body: { first: { room, text: 'end' } },
      }),
    ),
  );
  for (const [n, answer] of answers.entries()) {
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.json.joined, first[n]);
    assert.equal(answer.json.state, 'completed');
    assert.deepEqual(answer.json.outcome, { name: 'Answer', data: { text: 'a b end' } });
    const delivery = await socket.next('delivery', { run: first[n], outcome: true });
    assert.equal(delivery.data.text, 'a b end');
    const heard = (await read(`/v1/runs/${first[n]}/history`, token)).items;
    assert.deepEqual(
      heard.filter((item) => item.kind === 'join').map((item) => item.data.data.text),
      ['b', 'end'],
    );
  }
  socket.end();
});

test('one who joins the run of another client is told no more than that', { timeout }, async () => {
  const one = await someone();
  const other = await someone();
  one.socket.say({ t: 'send', id: 'a', topic: 'sayings', data: { room: 'shared', text: 'a' } });
  const [run] = (await one.socket.next('accepted', { id: 'a' })).runs;
  await until(async () => (await read(`/v1/runs/${run}`, one.token)).step === 'chat/each#1/more');
  const answer = await call(engine, 'POST', '/v1/flows/chat/runs?wait=20s', {
    token: other.token,
    body: { first: { room: 'shared', text: 'end' } },
  });
  assert.equal(answer.status, 200, answer.text);
  assert.equal(answer.json.state, 'joined');
  assert.equal(answer.json.joined, run);
  assert.equal(answer.json.outcome, undefined);
  const delivery = await one.socket.next('delivery', { run, outcome: true });
  assert.equal(delivery.data.text, 'a end');
  one.socket.end();
  other.socket.end();
});

test('runs that flows start take turns in their room', { timeout }, async () => {
  const worker = await openWorker(engine);
  const people = [await someone(), await someone(), await someone()];
  for (const { socket } of people) {
    socket.say({ t: 'send', id: 'a', topic: 'desks', data: { text: 'one room' } });
    await socket.next('accepted', { id: 'a' });
  }
  const admin = engine.tokens.admin;
  const counters = async () => (await read('/v1/runs?flow=counter', admin)).items;
  await until(async () => (await counters()).length === 3);
  const parents = [];
  for (let left = 3; left > 0; left -= 1) {
    const task = await worker.next('task', { task: 'echo' });
    const going = async () => (await counters()).filter((row) => !row.ended);
    const working = async () => (await going()).filter((row) => row.state === 'running').length;
    await until(async () => (await working()) > 0);   // lists follow a little later
    assert.equal(await working(), 1);
    assert.equal((await going()).length, left);
    assert.deepEqual(worker.unread.filter((frame) => frame.t === 'task'), []);
    worker.say({ t: 'done', lease: task.lease, result: 'done' });
    await worker.next('settled', { lease: task.lease });
    parents.push(task.client);
    await until(async () => (await counters()).filter((row) => !row.ended).length < left);
  }
  assert.equal(new Set(parents).size, 3);
  for (const { socket } of people) {
    assert.equal((await socket.next('delivery', { name: 'Heard' })).data.text, 'one room');
    assert.equal((await socket.next('delivery', { outcome: true })).data.text, 'done');
    socket.end();
  }
  worker.end();
});
