// flowc and flowd as somebody meets them in a shell: send, runs, signal, cancel, deploy, token.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { openClient, openEchoWorker, programs, startEngine } from './engine.mjs';

const timeout = 60_000;
let engine;
let token;
let names = 0;

before(async () => {
  engine = await startEngine();
});
after(() => engine?.end());

function run(program, args, { as = token, input = '' } = {}) {
  return new Promise((resolve) => {
    const env = { ...process.env, SLUICE_URL: engine.url, SLUICE_TOKEN: as };
    const child = execFile(program, args, { env, timeout: 40_000 }, (error, stdout, stderr) => {
      resolve({ code: error ? error.code : 0, stdout, stderr });
    });
    child.stdin.end(input);
  });
}
const flowc = (...args) => run(programs.flowc, args);
const asRoot = (...args) => run(programs.flowc, args, { as: engine.tokens.root });
const lines = (text) => text.split('\n').filter(Boolean);
const objects = (text) => lines(text).map((line) => JSON.parse(line));
const text = (value) => JSON.stringify({ text: value });

/** A worker that is known to have gone when this resolves: it is handed nothing more. */
async function leave(worker) {
  worker.say({ t: 'bye' });
  await worker.handled();
  worker.end();
}

/** What `flowc runs` lists; it may be a second behind. */
async function listed(...args) {
  for (;;) {
    const { code, stdout, stderr } = await flowc('runs', ...args);
    assert.equal(code, 0, stderr);
    if (stdout !== '') return stdout;
  }
}

async function newClient() {
  token = await engine.clientToken(`k${(names += 1)}`);
}

test('send --wait prints the outcome, for a repeated id as well', { timeout }, async () => {
  await newClient();
  const worker = await openEchoWorker(engine);
  const first = await flowc('send', 'asks', text('hello'), '--wait', '--id', 'a');
  assert.equal(first.code, 0, first.stderr);
  const [accepted, heard, answer] = objects(first.stdout);
  assert.deepEqual([accepted.t, heard.name, answer.name], ['accepted', 'Heard', 'Answer']);
  const again = await flowc('send', 'asks', text('hello'), '--wait', '--id', 'a');
  assert.equal(again.code, 0, again.stderr);
  const [repeated, told] = objects(again.stdout);
  assert.deepEqual(repeated, { ...accepted, duplicate: true });
  assert.deepEqual([told.id, told.state], [accepted.runs[0], 'completed']);
  assert.deepEqual(told.outcome, { name: 'Answer', data: { text: 'hello' } });
  await leave(worker);
});

test('a repeat of what still goes on waits for it', { timeout }, async () => {
  await newClient();
  const started = await flowc('send', 'asks', text('later'), '--id', 'a');
  const waiting = flowc('send', 'asks', text('later'), '--wait', '--id', 'a');
  const worker = await openEchoWorker(engine);
  const { code, stdout, stderr } = await waiting;
  assert.equal(code, 0, stderr);
  const last = objects(stdout).at(-1);
  assert.deepEqual(last.data ?? last.outcome.data, { text: 'later' });
  assert.equal(last.run ?? last.id, objects(started.stdout)[0].runs[0]);
  await leave(worker);
});

test('a run that failed is exit code 1, however one waits', { timeout }, async () => {
  await newClient();
  const { stdout } = await flowc('send', 'talks', '{"text":"a"}', '--id', 'a');
  const [id] = objects(stdout)[0].runs;
  const waiting = flowc('send', 'talks', '{"text":"a"}', '--wait', '--id', 'a');
  assert.equal((await flowc('cancel', id)).code, 0);
  assert.equal((await waiting).code, 1);
  const again = await flowc('send', 'talks', '{"text":"a"}', '--wait', '--id', 'a');
  assert.equal(again.code, 1);
  assert.equal(objects(again.stdout)[1].state, 'cancelled');
});

test('the time is up: accepted or not, what it waits for, what next', { timeout }, async () => {
  await newClient();
  for (const who of [{ as: token }, { as: engine.tokens.admin }]) {
    const client = who.as === token ? [] : ['--client', `k${names}`];
    const args = ['send', 'asks', text('nobody'), '--wait', '--timeout', '1', '--id', 'n'];
    const { code, stderr } = await run(programs.flowc, [...args, ...client], who);
    assert.equal(code, 1);
    assert.match(stderr, /^flowc: the event was accepted, but run \S+ has not ended after 1 s: /);
    assert.match(stderr, /: it waits for a worker: nobody serves task `echo` \(pool `work`\)\n/);
    assert.match(stderr, /`flowc runs \S+` tells how it goes on/);
    assert.match(stderr, /--id n waits on/);
  }
  const [newest] = objects(await listed('--json'));
  assert.deepEqual(newest.no_worker, { task: 'echo', pool: 'work' });
  const worker = await openEchoWorker(engine);
  const done = await flowc('send', 'asks', text('nobody'), '--wait', '--id', 'n');
  assert.equal(done.code, 0, done.stderr);
  assert.equal(objects((await flowc('runs', '--json')).stdout)[0].no_worker, undefined);
  await leave(worker);
});

test("flowd's log names the pool that nobody serves, once", { timeout }, async () => {
  await newClient();
  await flowc('send', 'asks', text('anybody?'));
  await flowc('send', 'asks', text('anybody else?'));
  const said = () => readFileSync(engine.log, 'utf8').match(/wait for a worker.*/g) ?? [];
  while (said().length === 0) await pause(50); // the test's time bounds it
  assert.deepEqual(said(), ['wait for a worker: nobody serves pool `work` (echo)']);
  const worker = await openEchoWorker(engine);
  assert.equal((await flowc('send', 'asks', text('you?'), '--wait')).code, 0);
  await leave(worker);
});

test('a connection that is lost says what became of the event', { timeout }, async () => {
  await newClient();
  const child = flowc('send', 'talks', '{"text":"a"}', '--wait', '--id', 'lost');
  const runs = objects(await listed('--json'));
  await engine.kill();
  const { code, stderr } = await child;
  await engine.start();
  assert.equal(code, 3);
  assert.match(stderr, /the event was accepted, and its run goes on without this socket/);
  assert.match(stderr, new RegExp(`flowc runs ${runs[0].id}`));
  assert.match(stderr, /--id lost waits on, and takes the event only once/);
});

test('what is wrong with an event is said once', { timeout }, async () => {
  await newClient();
  for (const wait of [[], ['--wait']]) {
    const { code, stderr } = await flowc('send', 'asks', '{"text":7}', ...wait);
    assert.equal(code, 1);
    assert.equal(lines(stderr).length, 1, stderr);
    assert.match(stderr, /^flowc: \/text: .* \(invalid\)\n$/);
    const two = await flowc('send', 'asks', '{"text":7,"more":1}', ...wait);
    assert.equal(lines(two.stderr).length, 3, two.stderr);
  }
});

test("an admin's token for all tenants is told to name one", { timeout }, async () => {
  const { code, stderr } = await asRoot('send', 'asks', text('x'));
  assert.equal(code, 2);
  assert.match(stderr, /--tenant.*--client/);
  const other = await run(programs.flowc, ['runs'], { as: '' });
  assert.equal(other.code, 1);
  assert.match(other.stderr, /SLUICE_TOKEN/);
});

test('runs are listed and told, signalled and cancelled', { timeout }, async () => {
  await newClient();
  const sent = await flowc('send', 'talks', '{"text":"one"}');
  const [id] = objects(sent.stdout)[0].runs;
  const table = lines(await listed('--status', 'waiting'));
  assert.match(table[0], /^RUN +STATE +FLOW +CLIENT +STARTED +WHERE$/);
  assert.match(table[1], new RegExp(`^${id} +waiting +talk +k${names} +\\S+ +talk/`));
  const told = await flowc('runs', id);
  assert.equal(told.code, 0, told.stderr);
  assert.match(told.stdout, new RegExp(`^run +${id}$`, 'm'));
  assert.match(told.stdout, /^state +waiting$/m);
  assert.match(told.stdout, /^TIME +KIND +STEP +DATA$/m);

  const wrong = await flowc('signal', id, 'More', '{}');
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /^flowc: \/text: .*\(invalid\)\n$/);
  const signal = { input: '{"text":"two"}' };
  const more = await run(programs.flowc, ['signal', id, 'More', '-', '--id', 's'], signal);
  assert.equal(more.code, 0, more.stderr);
  const [accepted] = objects(more.stdout);
  assert.deepEqual([accepted.run, accepted.duplicate], [id, false]);
  const again = await flowc('signal', id, 'More', '{"text":"two"}', '--id', 's');
  assert.equal(objects(again.stdout)[0].duplicate, true);
  const run1 = objects((await flowc('runs', id, '--json')).stdout)[0];
  assert.deepEqual([run1.state, run1.outcome.data], ['completed', { text: 'one two' }]);

  const [second] = objects((await flowc('send', 'talks', '{"text":"x"}')).stdout)[0].runs;
  assert.equal((await flowc('cancel', second)).code, 0);
  assert.match((await flowc('runs', second)).stdout, /^state +cancelled$/m);
  const limited = objects(await listed('--limit', '1', '--json', '--status', 'cancelled'));
  assert.deepEqual(limited.map((each) => each.id), [second]);
  assert.equal((await flowc('runs', 'made-up')).code, 1);
});

test('a deployment that breaks something says what, and --force', { timeout }, async () => {
  await newClient();
  const worker = await openEchoWorker(engine);
  await flowc('send', 'asks', text('kept'), '--wait');
  await leave(worker);
  const file = join(dirname(engine.data), 'other/other.flow');
  mkdirSync(dirname(file));
  writeFileSync(file, 'module other\nevent Ask { text: string }\ntopic other of Ask {}\n');
  const refused = await asRoot('deploy', file);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /asks/);
  assert.match(refused.stderr, /--force/);
  const flow = join(dirname(engine.data), 'flow');
  assert.equal((await asRoot('deploy', flow)).code, 0);
});

test('a token of a client names the client', { timeout }, async () => {
  const flowd = (...args) => run(programs.flowd, ['token', '--data', engine.data, ...args]);
  const nobody = await flowd('--tenant', 't');
  assert.deepEqual([nobody.code, nobody.stdout], [2, '']);
  assert.match(nobody.stderr, /^flowd: --client is missing.*--scope/);
  const everywhere = await flowd('--tenant', '*', '--client', 'c');
  assert.equal(everywhere.code, 2);
  assert.match(everywhere.stderr, /one tenant/);
  const good = await flowd('--tenant', 't', '--client', 'c');
  (await openClient(engine, good.stdout.trim())).end();
  assert.equal((await flowd('--tenant', 't', '--scope', 'worker')).code, 0);
});
