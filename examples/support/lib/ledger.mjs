import { createHash, randomUUID } from 'node:crypto';
import {
  closeSync, existsSync, fsyncSync, linkSync, mkdirSync, openSync, readFileSync, unlinkSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';

/**
 * Holds of credit, one file each, shared by any number of worker processes.
 *
 * Doing a thing twice under one key does it once: a hold's id is made from its key, and its file
 * appears whole or not at all (written aside, synced, linked; the second link fails). A release
 * leaves a mark, so a hold that arrives after its own release, as a late repeat may, is refused.
 */
export class Ledger {
  #folder;

  constructor(folder) {
    this.#folder = folder;
    mkdirSync(join(folder, 'holds'), { recursive: true });
    mkdirSync(join(folder, 'released'), { recursive: true });
  }

  /** Returns the hold's id, the same for every call with this key; null if it has been released. */
  hold(key, client, amount) {
    const id = idOf(key);
    if (existsSync(this.#path('released', id))) return null;
    this.#create('holds', id, { id, key, client, amount });
    return id;
  }

  /** Gives back the hold with this id, or the one made, or yet to be made, under this key. */
  release(keyOrId) {
    const id = keyOrId.startsWith('hold_') ? keyOrId : idOf(keyOrId);
    this.#create('released', id, { id });
  }

  /** The hold as it was written, with `released`; null if there is none. */
  find(id) {
    const path = this.#path('holds', id);
    if (!existsSync(path)) return null;
    const released = existsSync(this.#path('released', id));
    return { ...JSON.parse(readFileSync(path, 'utf8')), released };
  }

  #path(kind, id) {
    return join(this.#folder, kind, `${id}.json`);
  }

  #create(kind, id, content) {
    const target = this.#path(kind, id);
    if (existsSync(target)) return;
    const aside = join(this.#folder, `${id}.${randomUUID()}`);
    const file = openSync(aside, 'wx');
    try {
      writeSync(file, `${JSON.stringify(content)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    try {
      linkSync(aside, target);
    } catch (error) {
      if (error.code !== 'EEXIST') throw error; // another process was first: the same thing is done
    } finally {
      unlinkSync(aside);
    }
  }
}

function idOf(key) {
  return `hold_${createHash('sha256').update(key).digest('hex').slice(0, 24)}`;
}
