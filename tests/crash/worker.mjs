#!/usr/bin/env node
// A worker of the crash test, killed at any moment: worker.mjs URL TOKEN NAME CHARGES SEED
//
// CHARGES is a file that holds one line for each beginning of the task that must never begin twice.
import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { TaskFailed, Worker } from '../../clients/js/index.mjs';
import { Random } from './random.mjs';
import { did } from './work.mjs';

const [url, token, name, charges, seed] = process.argv.slice(2);
const random = new Random(Number(seed));

/** Mostly quick, sometimes slow, sometimes refused before anything was done. */
async function take(task, [text], { signal }) {
  if (random.chance(0.02)) throw new TaskFailed('Unavailable', 'not now');
  await pause(random.chance(0.01) ? 1500 : random.between(0, 20), undefined, { signal });
  return did(task, text);
}

const worker = new Worker({
  url,
  token,
  name,
  credit: 16,
  tasks: {
    first: (args, context) => take('first', args, context),
    second: (args, context) => take('second', args, context),
    third: (args, context) => take('third', args, context),
    charge: async ([text], { run, attempt, signal }) => {
      appendFileSync(charges, `${run} ${attempt}\n`);
      await pause(random.between(0, 20), undefined, { signal });
      return did('charge', text);
    },
  },
});
worker.on('closed', (error) => {
  console.error(`${name}: ${error.message}`);
  process.exit(1);
});
worker.connect().catch(() => {});
