import { exec } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Client } from '@sluice/client';

const run = promisify(exec);
const kLingerMs = 1500; // in which a second answer, if there is one, would come
const kTokensAtOnce = 8;

/** What one client asked and heard, and what is wrong with it. */
class Asker {
  accepted = new Map(); // run -> question
  outcomes = new Map(); // run -> names of the outcomes heard
  sentAt = new Map(); // run -> time
  progress = 0;
  slowest = { ms: -1 };
  wrong = [];

  constructor(name, questions) {
    this.name = name;
    this.questions = questions;
  }

  async start(url, token) {
    this.client = new Client({ url, token, onDelivery: (delivery) => this.#heard(delivery) });
    this.client.on('gap', (delivery, after) => {
      this.wrong.push(`a hole in the deliveries: ${delivery.offset} came after ${after}`);
    });
    this.client.on('unreachable', () => {}); // the demo kills flowd, and starts it again
    this.client.on('lost', () => this.wrong.push('the server said that deliveries are lost'));
    await this.client.connect();
  }

  async ask() {
    await Promise.all(
      this.questions.map(async (text) => {
        const sent = Date.now();
        const { runs } = await this.client.send('asks', { text });
        for (const each of runs) this.sentAt.set(each, sent);
        if (runs.length !== 1) this.wrong.push(`"${text}" started ${runs.length} runs`);
        for (const each of runs) this.accepted.set(each, text);
      }),
    );
  }

  #heard({ run: of, name, outcome }) {
    if (!outcome) {
      this.progress += 1;
      return;
    }
    this.outcomes.set(of, [...(this.outcomes.get(of) ?? []), name]);
    const ms = Date.now() - (this.sentAt.get(of) ?? Date.now());
    if (ms > this.slowest.ms) this.slowest = { ms, run: of, name };
  }

  get answered() {
    return this.outcomes.size;
  }

  /** Everything that contradicts "each question was accepted and answered exactly once". */
  verdict() {
    const wrong = [...this.wrong];
    if (this.accepted.size !== this.questions.length) {
      wrong.push(`${this.questions.length} questions, ${this.accepted.size} runs`);
    }
    for (const [of, text] of this.accepted) {
      const heard = this.outcomes.get(of)?.length ?? 0;
      if (heard !== 1) wrong.push(`"${text}" was answered ${heard} times (run ${of})`);
    }
    for (const of of this.outcomes.keys()) {
      if (!this.accepted.has(of)) wrong.push(`an answer to a question never asked (run ${of})`);
    }
    return wrong.map((text) => `${this.name}: ${text}`);
  }
}

async function tokensFor(names, command) {
  const tokens = new Map();
  const left = [...names];
  const take = async () => {
    for (let name = left.shift(); name !== undefined; name = left.shift()) {
      const { stdout } = await run(`${command} --client ${name}`);
      tokens.set(name, stdout.trim());
    }
  };
  await Promise.all(Array.from({ length: kTokensAtOnce }, take));
  return tokens;
}

function totals(askers, questions) {
  const count = (pick) => askers.reduce((sum, asker) => sum + pick(asker), 0);
  const names = {};
  for (const asker of askers) {
    for (const [name] of asker.outcomes.values()) names[name] = (names[name] ?? 0) + 1;
  }
  return {
    clients: askers.length,
    questions,
    connected: count((a) => (a.client?.live ? 1 : 0)),
    accepted: count((a) => a.accepted.size),
    answered: count((a) => a.answered),
    progress: count((a) => a.progress),
    outcomes: names,
  };
}

/** Written aside and renamed, so that a script that polls the file never reads half of it. */
function writeWhole(path, value) {
  writeFileSync(`${path}.new`, `${JSON.stringify(value)}\n`);
  renameSync(`${path}.new`, path);
}

function makeAskers(count, each) {
  const file = new URL('../questions.txt', import.meta.url);
  const bank = readFileSync(file, 'utf8').split('\n').filter(Boolean);
  return Array.from({ length: count }, (_, i) => {
    const questions = Array.from({ length: each }, (_, k) => bank[(i * 7 + k * 3) % bank.length]);
    return new Asker(`client-${i + 1}`, questions);
  });
}

/** Lets `count` clients ask `each` questions; 0 if each was answered exactly once, else 1. */
export async function runBatch({ url, tokenCommand, count, each, report, progress, withinMs }) {
  const askers = makeAskers(count, each);
  const questions = count * each;
  const tokens = await tokensFor(askers.map((asker) => asker.name), tokenCommand);
  const began = Date.now();
  const show = () => {
    const now = totals(askers, questions);
    if (progress) writeWhole(progress, now);
    return now;
  };
  const ticker = setInterval(show, 50);
  const work = askers.map(async (asker) => {
    await asker.start(url, tokens.get(asker.name));
    await asker.ask();
  });
  let error = null;
  Promise.all(work).catch((reason) => {
    error = reason;
  });
  while (askers.some((asker) => asker.answered < each) && error === null) {
    if (Date.now() - began > withinMs) error = new Error('not all were answered in time');
    else await pause(50);
  }
  const seconds = (Date.now() - began) / 1000;
  await pause(kLingerMs);
  clearInterval(ticker);
  const wrong = askers.flatMap((asker) => asker.verdict());
  if (error) wrong.unshift(error.message);
  const slowest = askers.map((asker) => asker.slowest).reduce((a, b) => (b.ms > a.ms ? b : a));
  const result = { ...show(), seconds, wrong, slowest };
  for (const asker of askers) asker.client?.close();
  if (report) writeWhole(report, result);
  console.log(
    `${result.clients} clients, ${questions} questions: ${result.accepted} accepted, ` +
      `${result.answered} answered in ${seconds.toFixed(1)} s ${JSON.stringify(result.outcomes)}`,
  );
  for (const line of wrong.slice(0, 20)) console.log(`  wrong: ${line}`);
  const verdict = wrong.length > 0 ? `${wrong.length} faults` : 'each was answered exactly once';
  console.log(verdict);
  return wrong.length === 0 ? 0 : 1;
}
