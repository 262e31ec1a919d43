import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { inTurn, sideBySide } from '../../releases/side-by-side.js';

describe('jobs side by side', () => {
  it('are under way together, never more than allowed, and all over in the end', async () => {
    let [running, most, done] = [0, 0, 0];
    await sideBySide(3, async ({ start }) => {
      for (let number = 0; number < 10; number += 1) {
        await start(async () => {
          running += 1;
          most = Math.max(most, running);
          await turn();
          running -= 1;
          done += 1;
        });
      }
    });
    assert.deepEqual([running, most, done], [0, 3, 10]);
  });

  it('begin no more after one has failed; what it failed with is said when the others are over', async () => {
    const events: string[] = [];
    const slow = async (): Promise<void> => {
      for (let wait = 0; wait < 20; wait += 1) await turn();
      events.push('slow over');
    };
    const broken = async (): Promise<void> => {
      await turn();
      throw new Error('broken');
    };
    const work = sideBySide(2, async ({ start }) => {
      await start(slow);
      await start(broken);
      for (;;) await start(async () => await Promise.resolve(events.push('begun')).then(() => undefined));
    });
    await assert.rejects(work, /broken/);
    assert.deepEqual(events.at(-1), 'slow over');
    assert.ok(!events.includes('begun'), 'nothing has begun since');
  });

  it('tell work that starts no more of them that one has failed', async () => {
    const work = sideBySide(2, async ({ start, throwIfFailed }) => {
      throwIfFailed();
      await start(async () => await Promise.reject(new Error('broken')));
      await turn();
      assert.throws(throwIfFailed, /broken/);
    });
    await assert.rejects(work, /broken/);
  });

  it('are waited for when the work that starts them fails', async () => {
    let over = false;
    const work = sideBySide(2, async ({ start }) => {
      await start(async () => {
        for (let wait = 0; wait < 20; wait += 1) await turn();
        over = true;
      });
      throw new Error('cannot go on');
    });
    await assert.rejects(work, /cannot go on/);
    assert.ok(over);
  });
});

describe('turns', () => {
  it('are taken one after the other, whatever becomes of them', async () => {
    const take = inTurn();
    const events: string[] = [];
    const action = async (name: string): Promise<string> => {
      events.push(`${name} begins`);
      await turn();
      events.push(`${name} ends`);
      if (name === 'b') throw new Error('b failed');
      return name;
    };
    const results = await Promise.allSettled(['a', 'b', 'c'].map(async (name) => await take(() => action(name))));
    assert.deepEqual(
      results.map((result) => (result.status === 'fulfilled' ? result.value : 'failed')),
      ['a', 'failed', 'c'],
    );
    assert.deepEqual(events, ['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends']);
  });
});
