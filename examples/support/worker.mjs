#!/usr/bin/env node
// The support example's worker: moderation, retrieval over docs/, credit, and answers made of what
// was found.
//
//   worker.mjs [--url URL] [--token TOKEN] [--name NAME] [--credit N] [--ledger DIR] [--pace MS]
//
// SLUICE_URL and SLUICE_WORKER_TOKEN stand in for the first two. --pace makes `complete` take at
// least that long, as a model on another machine would.
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { TaskFailed, Worker } from '@sluice/client';
import { Ledger } from './lib/ledger.mjs';
import { moderate } from './lib/moderation.mjs';
import { HelpCentre } from './lib/retrieval.mjs';
import { summarise } from './lib/summary.mjs';

const { env } = process;
const here = fileURLToPath(new URL('.', import.meta.url));
const { values: options } = parseArgs({
  options: {
    url: { type: 'string', default: env.SLUICE_URL ?? 'http://127.0.0.1:8080' },
    token: { type: 'string', default: env.SLUICE_WORKER_TOKEN ?? env.SLUICE_TOKEN },
    name: { type: 'string', default: `support-${process.pid}` },
    credit: { type: 'string', default: '8' },
    ledger: { type: 'string', default: '.sluice/support-ledger' },
    pace: { type: 'string', default: '0' },
  },
});
if (!options.token) {
  console.error('a token is missing: --token or SLUICE_WORKER_TOKEN, which `flowd dev` prints');
  process.exit(2);
}

const centre = new HelpCentre(`${here}docs`);
const ledger = new Ledger(options.ledger);
const paceMs = Number(options.pace);

const tasks = {
  moderate: ([text]) => moderate(text),
  search: ([text]) => centre.search(text),

  hold_credit: ([client, amount], { key }) => {
    const id = ledger.hold(key, client, amount);
    if (id === null) throw new TaskFailed('Rejected', 'already released', { retry: false });
    return { id };
  },
  release_credit: ([key]) => ledger.release(key),

  complete: async ([prompt], { signal, stream }) => {
    const answer = summarise(prompt);
    const words = answer.match(/\s*\S+/g) ?? [];
    for (const word of words) {
      if (paceMs > 0) await pause(paceMs / words.length, undefined, { signal });
      stream(word);
    }
    return answer;
  },
  complete_small: ([prompt]) => summarise(prompt, 1),
};

const worker = new Worker({
  url: options.url,
  token: options.token,
  name: options.name,
  credit: Number(options.credit),
  tasks,
});
const log = (text) => console.error(`${options.name}: ${text}`);
worker.on('disconnected', (code) => log(`disconnected (${code}), coming back`));
worker.on('connected', () => log(`connected to ${options.url}`));
worker.on('taskFailed', (task, error) => log(`${task.task} failed: ${error.message}`));
worker.on('closed', (error) => {
  log(error.message);
  process.exit(stopping ? 0 : 1);
});

let stopping = false;
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, async () => {
    stopping = true;
    await worker.stop({ withinMs: 5000 });
  });
}
log(`${centre.paragraphs} paragraphs indexed`);
worker.connect().catch(() => {});
