// SPDX-License-Identifier: BSL-1.0
// Playwright's webServer as one of the peers. The setup runs right after the wait.
const { PEER_COMMAND, PEER_VERB, PEER_PLACE } = process.env;
const ready = {
  tcp: { port: Number(PEER_PLACE) },
  http: { url: `http://127.0.0.1:${PEER_PLACE}/` },
  banner: { wait: { stdout: /ready/ } },
};
export default {
  globalSetup: './setup.mjs',
  webServer: { command: PEER_COMMAND, ...ready[PEER_VERB] },
};
