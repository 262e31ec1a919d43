import { resolve } from 'node:path';
import { usageError } from '../../errors.js';
import { packCopy, unpackCopy } from '../../run/copy-stream.js';
import { type Copied, copyTree } from '../../run/copy-tree.js';
import { openHostRoot, openInstanceRoot } from '../../run/instance-root.js';
import { requireInstance } from '../../run/instances.js';
import { type Context, defineCommand } from '../command.js';
import { formatBytes } from '../render/format.js';

export const command = defineCommand({
  name: 'cp',
  summary: 'copy files between an instance and this machine',
  description:
    'Copies a file, or a directory with all in it, from or to INSTANCE:PATH; the instance may run or not. Into a directory ' +
    'it goes by its own name; DIR/. stands for what is in it. Files become root’s in the container and the caller’s on this ' +
    'machine, unless --archive keeps their owners. Paths in the instance, symlinks too, are followed as it would follow ' +
    'them and never lead out of it. A path of this machine with a colon begins with ./ or /.\n\n' +
    'A - for the path of this machine is a tar archive on standard input, unpacked into a directory of the instance, or on ' +
    'standard output.',
  positionals: [
    { name: 'source', describe: 'INSTANCE:PATH or PATH', required: true, complete: 'file' },
    { name: 'target', describe: 'INSTANCE:PATH or PATH', required: true, complete: 'file' },
  ],
  options: {
    archive: { type: 'boolean', alias: 'a', describe: 'keep user and group numbers, as they are in the container' },
    'follow-link': { type: 'boolean', alias: 'L', describe: 'copy what the source leads to, if it is a symlink' },
  },
  examples: [
    ['cp web:/etc/nginx.conf .', 'out of it'],
    ['cp site/. web:/srv/www', 'what is in a directory, into it'],
    ['cp web:/var/lib/app - | ssh other tar -x', 'a directory as a tar archive'],
  ],
  async handler(context, args) {
    const { settings, signal, reporter } = context;
    const [source, target] = [readSide(context, args.source), readSide(context, args.target)];
    if ((source.instance === undefined) === (target.instance === undefined)) {
      throw usageError(`Expected one of the paths to be INSTANCE:PATH, got "${args.source}" and "${args.target}"`);
    }
    for (const { instance } of [source, target]) {
      if (instance !== undefined) requireInstance(settings, instance, 'copy from or to');
    }
    const result = { source: args.source, target: args.target, dryRun: settings.dryRun };
    if (settings.dryRun) return { json: result, text: `would copy ${args.source} to ${args.target}\n` };
    const copy = async (sourcePath: string, targetPath: string): Promise<Copied> => {
      using from = await open(context, source);
      using to = await open(context, target);
      return copyTree({
        from: from.side,
        source: sourcePath,
        to: to.side,
        target: targetPath,
        archive: args.archive === true,
        followLink: args['follow-link'] === true,
        warn: (message) => reporter.warn(message),
        signal,
      });
    };
    if (target.path === STREAM) {
      return { json: result, text: '', stream: packCopy((directory) => copy(source.path, directory)) };
    }
    const copied =
      source.path === STREAM
        ? await unpackCopy(process.stdin, (directory) => copy(`${directory}/.`, target.path))
        : await copy(source.path, target.path);
    reporter.info(`copied ${copied.files} ${copied.files === 1 ? 'file' : 'files'}, ${formatBytes(copied.bytes)}`);
    return { json: { ...result, ...copied }, text: '' };
  },
});

/** In place of a path of this machine. */
const STREAM = '-';

interface Side {
  readonly instance: string | undefined;
  readonly path: string;
}

/** What has a slash before its first colon is a path. */
function readSide({ cwd }: Context, text: string): Side {
  if (text === STREAM) return { instance: undefined, path: STREAM };
  const [, instance, path] = /^([^/:]+):(.*)$/s.exec(text) ?? [];
  if (instance === undefined || path === undefined) {
    // What resolve() takes away says whether a directory or what is in it is meant.
    const end = /\/\.?$/.exec(text)?.[0] ?? '';
    const whole = resolve(cwd, text);
    return { instance: undefined, path: whole === '/' ? '/.' : `${whole}${end}` };
  }
  return { instance, path: path === '' ? '/' : path };
}

async function open({ settings, signal }: Context, { instance }: Side) {
  if (instance === undefined) return openHostRoot();
  return await openInstanceRoot(requireInstance(settings, instance, 'copy from or to'), { settings, signal });
}
