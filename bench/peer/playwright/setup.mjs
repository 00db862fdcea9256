// SPDX-License-Identifier: BSL-1.0
import { writeFileSync } from 'node:fs';

export default function setup() {
  writeFileSync(process.env.PEER_NOTE, `${process.hrtime.bigint()}\n`);
}
