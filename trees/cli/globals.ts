import type { OptionSpec } from './command.js';

/** Options that every command takes. A command's own option of the same name wins after the command word. */
export const globalOptions = {
  root: { type: 'string', value: 'DIR', complete: 'directory', describe: 'keep all state below DIR (also TREES_ROOT)' },
  user: { type: 'boolean', describe: "use the calling user's store" },
  system: { type: 'boolean', describe: "use the machine's store" },
  feed: { type: 'string', value: 'NAME', complete: 'feed', describe: 'look only in this feed' },
  config: { type: 'string', value: 'FILE', complete: 'file', describe: 'read settings from FILE (may be .ts or .js)' },
  json: { type: 'boolean', describe: 'print one JSON document on standard output' },
  quiet: { type: 'boolean', alias: 'q', describe: 'say nothing but warnings and errors' },
  verbose: { type: 'boolean', alias: 'v', describe: 'say more' },
  color: { type: 'boolean', describe: 'coloured output; --no-color or NO_COLOR turns it off' },
  yes: { type: 'boolean', alias: 'y', describe: 'answer yes to every question' },
  'dry-run': { type: 'boolean', describe: 'say what would be done, change nothing' },
  help: { type: 'boolean', alias: 'h', describe: 'show help' },
} as const satisfies Record<string, OptionSpec>;

/** The original command line, `trees APP [-b BASE] [-n NAME] [-f] [-d]`: options beside the global ones. */
export const legacyOptions = {
  base: { type: 'string', alias: 'b', value: 'BASE', complete: 'base', describe: 'base image (alp, trub, deb…)' },
  name: { type: 'string', alias: 'n', value: 'NAME', describe: 'install under NAME; alone: same as APP' },
  force: { type: 'boolean', alias: 'f', describe: 'clear before install; with -d: even while it runs' },
  delete: { type: 'boolean', alias: 'd', describe: 'clear checkout and prune the repo' },
} as const satisfies Record<string, OptionSpec>;

export type GlobalName = keyof typeof globalOptions;
