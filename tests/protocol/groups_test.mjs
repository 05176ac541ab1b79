// Groups, topics that runs wait for, and runs that signal each other, from outside.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { call, openClient, startEngine } from './engine.mjs';

const timeout = 40_000;
let engine;
let names = 0;

before(async () => {
  engine = await startEngine();
});
after(async () => {
  await engine?.end();
});

async function someone(scope = 'client') {
  const name = `g${(names += 1)}`;
  const token = await engine.token('--tenant', 't', '--client', name, '--scope', scope);
  return { name, token, socket: await openClient(engine, token) };
}
const reviewer = () => someone('client subscribe:reviewers');
let sends = 0;
async function send(socket, topic, data) {
  const id = `i${(sends += 1)}`;
  socket.say({ t: 'send', id, topic, data });
  return (await socket.next('accepted', { id })).runs;
}
async function subscribe(socket, frame = {}) {
  socket.say({ t: 'subscribe', id: 's', group: 'reviewers', ...frame });
  return socket.next(['accepted', 'rejected'], { id: 's' });
}

test('a group hears, decides over a topic, and the run goes on', { timeout }, async () => {
  const [asker, rita, max] = [await someone(), await reviewer(), await reviewer()];
  const subscribed = await subscribe(rita.socket);
  assert.equal(subscribed.t, 'accepted', JSON.stringify(subscribed));
  assert.equal(subscribed.group, 'reviewers');
  await subscribe(max.socket);
  const [run] = await send(asker.socket, 'reviews', { text: 'good?' });
  const review = await rita.socket.next('delivery', { group: 'reviewers', run });
  assert.deepEqual([review.name, review.data], ['Review', { id: run, text: 'good?' }]);
  assert.equal(review.offset, subscribed.offset + 1);
  assert.equal((await max.socket.next('delivery', { run })).offset, review.offset);
  // One decides on something else, one on this.
  await send(max.socket, 'verdicts', { id: 'another', yes: false });
  await send(rita.socket, 'verdicts', { id: run, yes: true });
  const answer = await asker.socket.next('delivery', { run, outcome: true });
  assert.deepEqual(answer.data, { text: 'yes' });
  assert.equal(answer.group, undefined);
  for (const { socket } of [asker, rita, max]) socket.end();
});

test('who missed something names the last it had; leavers hear nothing', { timeout }, async () => {
  const [asker, rita] = [await someone(), await reviewer()];
  const { t, offset } = await subscribe(rita.socket);
  assert.equal(t, 'accepted');
  rita.socket.say({ t: 'unsubscribe', id: 'u', group: 'reviewers' });
  assert.equal((await rita.socket.next('accepted', { id: 'u' })).group, 'reviewers');
  const runs = [];
  for (const text of ['a', 'b', 'c']) runs.push(...await send(asker.socket, 'reviews', { text }));
  const late = await reviewer();
  assert.equal((await subscribe(late.socket, { offset: offset + 1 })).t, 'accepted');
  for (const n of [1, 2]) {
    const missed = await late.socket.next('delivery', { group: 'reviewers' });
    assert.deepEqual([missed.offset, missed.run], [offset + 1 + n, runs[n]]);
  }
  await rita.socket.handled();
  assert.ok(!rita.socket.unread.some((frame) => frame.group && frame.t === 'delivery'));
  for (const { socket } of [asker, rita, late]) socket.end();
});

test('a group needs its scope', { timeout }, async () => {
  const { socket } = await someone();
  assert.equal((await subscribe(socket)).code, 'unauthorized');
  socket.say({ t: 'subscribe', group: 'reviewers' }); // without an id nobody is answered
  await socket.handled();
  const other = await reviewer();
  assert.equal((await subscribe(other.socket, { group: 'others' })).code, 'unauthorized');
  assert.equal((await subscribe(other.socket, { group: 7 })).code, 'invalid');
  socket.end();
  other.socket.end();
});

test('a token that no longer allows the group ends its subscription', { timeout }, async () => {
  const [asker, rita, max] = [await someone(), await reviewer(), await reviewer()];
  await subscribe(rita.socket);
  await subscribe(max.socket);
  const fresh = (scope) =>
    engine.token('--tenant', 't', '--client', rita.name, '--scope', scope, '--ttl', '2h');
  rita.socket.say({ t: 'refresh', token: await fresh('client subscribe:reviewers') });
  await rita.socket.next('welcome');
  await send(asker.socket, 'reviews', { text: 'still' });
  await rita.socket.next('delivery', { group: 'reviewers' });
  rita.socket.say({ t: 'refresh', token: await fresh('client') });
  await rita.socket.next('welcome');
  const ended = await rita.socket.next('unsubscribed');
  assert.deepEqual([ended.group, ended.code], ['reviewers', 'unauthorized']);
  const [run] = await send(asker.socket, 'reviews', { text: 'secret' });
  await max.socket.next('delivery', { run });
  await rita.socket.handled();
  assert.deepEqual(rita.socket.unread, []);
  for (const { socket } of [asker, rita, max]) socket.end();
});

test('an offset that the group\'s log does not know is told', { timeout }, async () => {
  const [asker, rita] = [await someone(), await reviewer()];
  const { offset } = await subscribe(rita.socket);
  const [run] = await send(asker.socket, 'reviews', { text: 'last' });
  await rita.socket.next('delivery', { run });
  const beyond = await subscribe(rita.socket, { offset: offset + 1000 });
  assert.equal(beyond.recovered, false);
  await rita.socket.next('delivery', { run }); // all that is retained follows
  const known = await subscribe(rita.socket, { offset });
  assert.deepEqual([known.offset, known.recovered], [offset, true]);
  await rita.socket.next('delivery', { run });
  for (const { socket } of [asker, rita]) socket.end();
});

test('each subscribe is answered, also one that is overtaken', { timeout }, async () => {
  const { socket } = await reviewer();
  for (const id of ['s1', 's2']) socket.say({ t: 'subscribe', id, group: 'reviewers' });
  socket.say({ t: 'unsubscribe', id: 's3', group: 'reviewers' });
  for (const id of ['s1', 's2', 's3']) {
    assert.equal((await socket.next('accepted', { id })).group, 'reviewers');
  }
  socket.end();
});

test('a topic that a run waits for is no signal', { timeout }, async () => {
  const asker = await someone();
  const [run] = await send(asker.socket, 'reviews', { text: 'mine' });
  asker.socket.say({ t: 'signal', id: 'v', run, event: 'Verdict', data: { id: run, yes: true } });
  assert.equal((await asker.socket.next('rejected', { id: 'v' })).code, 'unexpected');
  asker.socket.end();
});

test('a run signals another, wherever both are', { timeout }, async () => {
  for (let i = 0; i < 6; i += 1) {
    const [sleeper, waker] = [await someone(), await someone()];
    const [run] = await send(sleeper.socket, 'talks', { text: 'a' });
    await send(waker.socket, 'wakes', { text: run });
    const answer = await sleeper.socket.next('delivery', { run, outcome: true });
    assert.equal(answer.data.text, `a from ${waker.name}`);
    sleeper.socket.end();
    waker.socket.end();
  }
});

test('verdicts reach their runs through a crash', { timeout }, async () => {
  const asker = await someone();
  const runs = [];
  for (const text of 'abcdefgh') runs.push(...await send(asker.socket, 'reviews', { text }));
  await engine.kill();
  assert.ok(await engine.start());
  const boss = await someone();
  for (const run of runs) await send(boss.socket, 'verdicts', { id: run, yes: false });
  const again = await openClient(engine, asker.token, {
    resume: { epoch: asker.socket.welcome.epoch, offset: 0 },
  });
  for (const run of runs) {
    assert.deepEqual((await again.next('delivery', { run, outcome: true })).data, { text: 'no' });
  }
  const history = await call(engine, 'GET', `/v1/runs/${runs[0]}/history`, { token: asker.token });
  const record = history.json.items.find((item) => item.kind === 'message');
  assert.equal(record?.data.topic, 'verdicts', history.text);
  again.end();
  boss.socket.end();
});
