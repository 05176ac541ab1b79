// The clients of the crash test: they ask all the time and note everything that they are told.
import { setTimeout as pause } from 'node:timers/promises';
import { Client } from '../../clients/js/index.mjs';

const kWindow = 8; // unanswered events of one client, unless it is told otherwise

/**
 * One client. It notes for the checker what it sent and heard. `orderly` clients send an event only
 * after the last one was accepted. Clients with `ownIds` choose idempotency keys themselves,
 * sometimes send an event twice, and sometimes begin anew as another process would.
 */
export class Asker {
  sends = [];
  deliveries = [];
  incidents = [];
  postponed = 0;
  #answered = new Set(); // runs
  #client;
  #stopped = false;

  constructor({ name, url, token, random, orderly, ownIds, window = kWindow }) {
    Object.assign(this, { name, url, token, random, orderly, ownIds, window });
    this.#open({});
  }

  #open(state) {
    const { url, token } = this;
    const onDelivery = (delivery) => this.#heard(delivery);
    this.#client = new Client({ url, token, onDelivery, backoff: { mostMs: 1000 }, ...state });
    this.#client.on('gap', ({ offset }, after) => {
      this.incidents.push(`the library saw offset ${offset} after ${after}`);
    });
    this.#client.on('unreachable', () => {}); // flowd is killed on purpose
    this.#client.on('lost', () => this.incidents.push('the server said that deliveries are lost'));
    this.#client.on('postponed', () => {
      this.postponed += 1;
    });
    this.#client.on('closed', (error) => {
      if (error.code) this.incidents.push(`closed for good: ${error.message}`);
    });
    this.#client.connect().catch(() => {});
  }

  #heard({ epoch, offset, name, run, outcome, data }) {
    this.deliveries.push({ epoch, offset, name, run, outcome, data });
    if (outcome) this.#answered.add(run);
  }

  get accepted() {
    return this.sends.filter((send) => send.answers.length > 0).length;
  }

  get answered() {
    return this.#answered.size;
  }

  /** Sends until `stop()`, keeping at most `window` events unanswered. */
  async work() {
    while (!this.#stopped) {
      if (this.sends.length - this.answered >= this.window) {
        await pause(5);
        continue;
      }
      const send = this.#begin();
      if (this.orderly) await send;
      await pause(this.random.between(0, 60));
    }
  }

  #begin() {
    const n = this.sends.length + 1;
    const topic = this.random.chance(0.2) ? 'payments' : 'jobs';
    const send = { n, topic, text: `${this.name} asks ${n}`, answers: [] };
    this.sends.push(send);
    const id = this.ownIds ? `${this.name}/${n}` : undefined;
    const twice = this.ownIds && this.random.chance(0.1);
    return Promise.all([this.#send(send, id), twice ? this.#send(send, id) : null]);
  }

  async #send(send, id) {
    for (;;) {
      try {
        const answer = await this.#client.send(send.topic, { n: send.n, text: send.text }, { id });
        send.answers.push(answer);
        return;
      } catch (error) {
        if (error.name === 'ConnectionClosed' && !error.code && this.ownIds) continue; // begun anew
        this.incidents.push(`event ${send.n}: ${error.message}`);
        return;
      }
    }
  }

  /** The network drops, or the client's process ends and another goes on from its state. */
  disturb() {
    if (!this.ownIds || this.random.chance(0.5)) {
      this.#client.reconnect();
      return 'drops its socket';
    }
    const old = this.#client;
    this.#open(old.state);
    old.end();
    return 'begins anew';
  }

  stop() {
    this.#stopped = true;
  }

  close() {
    this.#client.close();
  }
}
