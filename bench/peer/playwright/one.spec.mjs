// SPDX-License-Identifier: BSL-1.0
// The one test needs no browser: it waits until bench/peers lets it go.
import { existsSync } from 'node:fs';
import { expect, test } from '@playwright/test';

test('one', async () => {
  await expect.poll(() => existsSync(process.env.PEER_RELEASE), { timeout: 20000 }).toBe(true);
});
