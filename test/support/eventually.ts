import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';

/** Polls for a minute; for what comes true soon, on a loaded machine too, and without an event. */
export async function eventually(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await condition()); tries += 1) {
    if (tries > 1200) assert.fail(`waited in vain: ${what}`);
    await sleep(50);
  }
}
