import { noteUnknowable } from '../../inputs.js';
import { asksForLabels, parseMount, parseTmpfs, parseVolume } from '../../run/mount-options.js';
import type { RunRequest } from '../../run/resolve.js';
import type { Args, Context, OptionSpec } from '../command.js';

/** What the container sees of files, and what becomes of those that it writes. */
export const mountOptions = {
  'read-only': { type: 'boolean', describe: 'nothing but volumes, /tmp, /run and /var/tmp (in memory) is writable' },
  ephemeral: { type: 'boolean', describe: 'keep what is written in memory and forget it at the end' },
  volume: {
    type: 'array',
    alias: 'v',
    value: 'SOURCE:TARGET[:ro]',
    describe: 'mount a path of the host, or a named volume of the instance',
  },
  mount: { type: 'array', value: 'FIELDS', describe: 'the same spelled out: type=bind,source=…,target=…[,ro]' },
  tmpfs: { type: 'array', value: 'DIR[:size=…]', describe: 'mount a file system in memory' },
} as const satisfies Record<string, OptionSpec>;

type MountArgs = Args<typeof mountOptions, readonly []>;

/** @throws TreesError `USAGE` */
export function readMounts(
  { cwd, reporter }: Pick<Context, 'cwd' | 'reporter'>,
  args: MountArgs,
): Pick<RunRequest, 'readOnly' | 'ephemeral' | 'mounts'> {
  if (asksForLabels(args.volume ?? [], args.mount ?? [])) {
    noteUnknowable('there are warnings');
    reporter.warn('SELinux labels are not changed: z, Z and relabel mean nothing here');
  }
  return {
    readOnly: args['read-only'] === true,
    ephemeral: args.ephemeral === true,
    mounts: [
      ...(args.volume ?? []).map((text) => parseVolume(text, cwd)),
      ...(args.mount ?? []).map((text) => parseMount(text, cwd)),
      ...(args.tmpfs ?? []).map(parseTmpfs),
    ],
  };
}
