import { environmentName } from '../../config/leaves.js';
import { defineCommand } from '../command.js';
import { formatTable } from '../render/format.js';

export const command = defineCommand({
  name: 'config',
  summary: 'show each setting and where it came from',
  description:
    'Weakest to strongest: built-in defaults, /etc/trees/trees.yaml, $XDG_CONFIG_HOME/trees/trees.yaml, trees.yaml or ' +
    '"trees" in package.json in the working directory (never a parent), a file named with --config, TREES_* ' +
    'environment variables, flags. Only a file named with --config may be code (.ts, .js).',
  positionals: [{ name: 'setting', describe: 'show only this setting, e.g. release.expiresDays' }],
  options: {
    schema: { type: 'boolean', describe: 'print the JSON Schema of the settings file' },
  },
  examples: [
    ['config', 'show everything'],
    ['config root --json', 'one setting, for scripts'],
    ['config --schema > trees.schema.json', 'for an editor'],
  ],
  async handler(context, args) {
    if (args.schema === true) {
      const { settingsJsonSchema } = await import('../../config/validate.js');
      const schema = settingsJsonSchema();
      return { json: schema, text: `${JSON.stringify(schema, null, 2)}\n` };
    }
    const origins = context.origins.filter((origin) => args.setting === undefined || origin.path === args.setting);
    if (origins.length === 0) {
      const { usageError } = await import('../../errors.js');
      const names = context.origins.map((origin) => origin.path).join(', ');
      throw usageError(`no setting is named "${args.setting}"`, `Expected one of: ${names}`);
    }
    const { root, runtimeDir, logDir } = context.settings;
    const rows = origins.map(({ path, value, from }) => [path, show(value), from, environmentName(path)]);
    const table = formatTable(
      [{ title: 'setting' }, { title: 'value' }, { title: 'from' }, { title: 'variable' }],
      rows,
    );
    return {
      json: {
        settings: Object.fromEntries(origins.map(({ path, value, from }) => [path, { value, from }])),
        paths: { store: root, runtime: runtimeDir, logs: logDir },
      },
      text:
        args.setting === undefined ? `${table}\nstore    ${root}\nruntime  ${runtimeDir}\nlogs     ${logDir}\n` : table,
    };
  },
});

function show(value: unknown): string {
  if (value === null) return '-';
  return Array.isArray(value) ? value.join(':') || '-' : (JSON.stringify(value) ?? '').replace(/^"|"$/g, '');
}
