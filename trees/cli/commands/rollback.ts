import { rollbackApp } from '../../store/rollback.js';
import { defineCommand } from '../command.js';
import { readGenerationNumber } from '../generation-number.js';
import { storeOptions } from '../store-options.js';

export const command = defineCommand({
  name: 'rollback',
  summary: 'go back to an earlier generation of an app',
  description:
    'Makes generation N current, or the one before the current one. It is one rename: nothing is fetched, what runs keeps ' +
    'running from its own generation, and data stays as it is. It lasts until the app is next updated or installed; ' +
    'trees pin holds the app there. A rollback that was interrupted is finished by the next one, which then goes no further.',
  positionals: [
    { name: 'app', describe: 'name it is installed under', required: true, complete: 'installed' },
    { name: 'generation', describe: 'number as in trees history' },
  ],
  options: {},
  examples: [
    ['rollback etcd', 'to the generation before the current one'],
    ['rollback etcd 3', 'to a certain one, also forward'],
    ['rollback etcd --dry-run', 'which one that would be'],
  ],
  async handler(context, args) {
    const { dryRun } = context.settings;
    const { generation, previous } = await rollbackApp({
      ...storeOptions(context, `rollback ${args.app}`),
      name: args.app,
      to: readGenerationNumber(args.generation),
      dryRun,
    });
    const { name, number, version, base } = generation;
    const moved = number !== previous.number;
    const what = `${name} ${version} on ${base.name} ${base.version} (generation ${number})`;
    const verb = dryRun ? 'would be current' : moved ? 'is current again' : 'is current already';
    const until = moved && !dryRun ? `the next update goes forward again; trees pin ${name} holds it here\n` : '';
    return {
      json: {
        dryRun,
        action: moved ? 'rolled back' : 'unchanged',
        name,
        version,
        base: { name: base.name, version: base.version },
        generation: number,
        previous: { version: previous.version, generation: previous.number },
      },
      text: `${what} ${verb}${moved ? `, was ${previous.version} (generation ${previous.number})` : ''}\n${until}`,
    };
  },
});
