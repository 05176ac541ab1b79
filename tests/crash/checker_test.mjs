import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faultsOf } from './checker.mjs';
import { expectedResult } from './work.mjs';

/** One client with two jobs and a payment, all as it should be. */
function sound() {
  const send = (n, topic, seq, run) => ({
    n, topic, text: `t${n}`, answers: [{ event: `v${n}`, seq, runs: [run], duplicate: false }],
  });
  const began = (offset, run, n) => ({ epoch: 'e', offset, name: 'Began', run, data: { n } });
  const done = (offset, run, n, topic) => ({
    epoch: 'e', offset, name: 'Done', run, outcome: true,
    data: { n, result: expectedResult(topic, `t${n}`) },
  });
  return {
    clients: [{
      name: 'c', orderly: true, incidents: [],
      sends: [send(1, 'jobs', 5, 'r1'), send(2, 'jobs', 6, 'r2'), send(3, 'payments', 1, 'r3')],
      deliveries: [
        began(1, 'r1', 1), began(2, 'r2', 2), done(3, 'r2', 2, 'jobs'), began(4, 'r3', 3),
        done(5, 'r1', 1, 'jobs'), done(6, 'r3', 3, 'payments'),
      ],
    }],
    charges: ['r3'],
  };
}

test('what is sound has no fault', () => {
  const { clients, charges } = sound();
  assert.deepEqual(faultsOf(clients, charges), []);
});

test('an unsure payment may fail', () => {
  const { clients, charges } = sound();
  const last = clients[0].deliveries.at(-1);
  Object.assign(last, { name: 'Failed', data: { n: 3, kind: 'Lost', message: '' } });
  assert.deepEqual(faultsOf(clients, charges), []);
});

const renumber = ({ deliveries }) => {
  deliveries.forEach((delivery, i) => Object.assign(delivery, { offset: i + 1 }));
};

// name -> what is done to a sound observation, and what the checker must say
const kPlanted = {
  'an answer that never came': [(c) => c.deliveries.pop(), /answered 0 times/],
  'an answer that came twice': [
    (c) => {
      c.deliveries.push({ ...c.deliveries[4] });
      renumber(c);
    },
    /answered 2 times/,
  ],
  'a wrong result': [(c) => Object.assign(c.deliveries[4].data, { result: 'x' }), /got x, not/],
  'an answer to another event': [(c) => Object.assign(c.deliveries[4].data, { n: 2 }), /speaks of/],
  'an answer that nobody asked for': [
    (c) => Object.assign(c.deliveries[4], { run: 'r9' }), /nobody asked for/,
  ],
  'a hole in the offsets': [
    (c) => Object.assign(c.deliveries[5], { offset: 7 }), /offset 7 follows 5/,
  ],
  'a new epoch': [(c) => Object.assign(c.deliveries[5], { epoch: 'f' }), /epoch changed/],
  'an event that was not accepted': [(c) => c.sends[0].answers.pop(), /never accepted/],
  'a repeat that started another run': [
    (c) => c.sends[0].answers.push({ event: 'v9', seq: 9, runs: ['r9'] }), /taken for another/,
  ],
  'two events with one run': [
    (c) => Object.assign(c.sends[1].answers[0], { runs: ['r1'] }), /share run/,
  ],
  'a job that failed': [
    (c) => Object.assign(c.deliveries[4], { name: 'Failed', data: { n: 1, kind: 'Lost' } }),
    /event 1 failed/,
  ],
  'a payment that failed for no reason': [
    (c) => Object.assign(c.deliveries[5], { name: 'Failed', data: { n: 3, kind: 'Invalid' } }),
    /event 3 failed/,
  ],
  'runs that began out of order': [
    (c) => {
      [c.deliveries[0], c.deliveries[1]] = [c.deliveries[1], c.deliveries[0]];
      renumber(c);
    },
    /began out of order/,
  ],
  'sends taken out of order': [
    (c) => Object.assign(c.sends[1].answers[0], { seq: 4 }), /seq 4, out of order/,
  ],
  'a beginning that came twice': [
    (c) => {
      c.deliveries.splice(1, 0, { ...c.deliveries[0] });
      renumber(c);
    },
    /began 2 times/,
  ],
  'an incident': [(c) => c.incidents.push('the server lost deliveries'), /lost deliveries/],
  'a payment made twice': [(c, charges) => charges.push('r3'), /began 2 times/],
  'a payment made by nobody': [(c, charges) => charges.pop(), /paid by nobody/],
};
for (const [name, [plant, expected]] of Object.entries(kPlanted)) {
  test(`found: ${name}`, () => {
    const { clients, charges } = sound();
    plant(clients[0], charges);
    assert.match(faultsOf(clients, charges).join('\n'), expected);
  });
}
