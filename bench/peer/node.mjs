// SPDX-License-Identifier: BSL-1.0
// execa or wait-on as one of the peers, with the orders of ours.cpp: node.mjs execa|wait-on
// It lies beside the node_modules of the peer. wait-on starts no process, so Node does.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

const now = () => process.hrtime.bigint();  // CLOCK_MONOTONIC
const { execa } = process.argv[2] === 'execa' ? await import('execa') : {};
const waitOn = execa ? undefined : (await import('wait-on')).default;
let service;

async function waitForLine([program, ...words]) {
  const server = execa(program, words, { stdin: 'ignore' });
  let seen;
  try {
    for await (const line of server)
      if (line === 'ready') {
        seen = now();
        server.kill();
      }
  } catch (error) {
    if (!seen) throw error;  // the signal is an error for execa
  }
  return seen;
}

async function waitForPort(verb, place, [program, ...words]) {
  const server = spawn(program, words, { stdio: 'ignore' });
  const target = verb === 'tcp' ? `tcp:127.0.0.1:${place}` : `http://127.0.0.1:${place}/`;
  await waitOn({ resources: [target], timeout: 30000 });
  const seen = now();
  server.kill();
  await once(server, 'exit');
  return seen;
}

async function carryOut([order, ...words]) {
  const begin = now();
  if (order === 'wait') {
    const [verb, place, ...command] = words;
    return verb === 'banner' ? waitForLine(command) : waitForPort(verb, place, command);
  }
  if (order !== 'stop') {
    service = execa(words[0], words.slice(1), { stdio: 'ignore', reject: false });
    await once(service, 'spawn');
  }
  if (order !== 'start') {
    service.kill();
    await service;
  }
  return now() - begin;
}

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await carryOut(line.split('\t')).catch((error) => error.message.split('\n')[0]);
  process.stdout.write(`${answer}\n`);
}
