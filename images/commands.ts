import { rmSync } from 'node:fs';
import { type CommandResult, type Context, defineCommand } from '../trees/cli/command.js';
import { TreesError, usageError } from '../trees/errors.js';
import { buildImages, logFile, openBuildRepo } from './build.js';
import { builtVersions } from './commit.js';
import type { BuildResult } from './context.js';
import { builtFrom } from './inputs.js';
import { definitionDirectories, listDefinitionFiles, loadDefinition, readDefinition } from './load.js';
import { type BuilderName, builderNames } from './schema.js';
import { compareVersions } from './version.js';
import { buildPaths, openWorkspace } from './workspace.js';

export const command = defineCommand({
  name: 'build',
  summary: 'build a base or an app from its definition',
  description: `Builds each NAME from its definition, NAME.yaml, or from the file if NAME is a path. Bases are built before apps, and a base that an app needs and that was never built is built too. An app becomes a layer: only what it adds to, changes in or removes from its base.

The results are commits in the build repository below the root (build/repo), for trees release to publish. What was built from the same definition, packages and base before is not built again. The same inputs always give the same commit.

Definitions are looked for in the directories given with --definitions, those of the setting build.definitions, images/definitions, and the ones that come with trees. Building needs root, because owners and modes are real.`,
  positionals: [{ name: 'names', describe: 'names or definition files', variadic: true, complete: 'definition' }],
  options: {
    definitions: { type: 'array', value: 'DIR', describe: 'look for definitions here first', complete: 'directory' },
    force: { type: 'boolean', alias: 'f', describe: 'build even if nothing has changed' },
    builder: {
      type: 'string',
      value: 'NAME',
      choices: builderNames,
      describe: 'how to make bases, instead of what their definitions say',
    },
    mirror: { type: 'string', value: 'URL', describe: 'package mirror, instead of the main one of the base' },
    list: { type: 'boolean', describe: 'list the definitions and what is built' },
    'import-env': {
      type: 'string',
      value: 'FILE',
      complete: 'file',
      describe: 'print a definition for what an image.env (and the image.conf beside it) describes',
    },
    base: { type: 'string', value: 'NAME', complete: 'base', describe: 'base of that definition; default deb' },
  },
  examples: [
    ['build deb etcd', 'build the base deb, and etcd on it'],
    ['build ./my-app.yaml', 'build from a definition file'],
    ['build --list', 'what can be built'],
    ['build --import-env etcd/image.env >etcd.yaml', 'a definition made of an older description'],
  ],
  handler: async (context, args) => {
    const directories = definitionDirectories(args.definitions ?? [], context.settings.build.definitions, context.cwd);
    if (args['import-env'] !== undefined) return await importEnv(context, args['import-env'], args.base ?? 'deb');
    if (args.list === true) {
      if (args.names.length > 0)
        throw usageError('Expected no names with --list', 'leave them out, or leave --list out');
      return await list(context, directories);
    }
    if (args.names.length === 0) {
      throw usageError(
        'Expected at least one name or definition file, got none',
        'trees build --list shows what there is',
      );
    }
    const wanted = [];
    for (const name of new Set(args.names)) wanted.push(await loadDefinition(name, directories, context.cwd));
    return await build(context, {
      wanted,
      search: { directories, cwd: context.cwd },
      force: args.force === true,
      builder: builderNames.find((name) => name === args.builder),
      mirror: args.mirror ?? context.settings.build.mirror,
    });
  },
});

async function importEnv({ cwd, reporter }: Context, file: string, base: string): Promise<CommandResult> {
  const { importEnvironment } = await import('./import-env/definition.js');
  const { definition, notes, yaml } = importEnvironment(file, { cwd, base });
  for (const note of notes) reporter.info(note);
  return { json: { definition, notes }, text: yaml };
}

interface BuildRequest {
  readonly wanted: Parameters<typeof buildImages>[1];
  readonly search: Parameters<typeof buildImages>[2];
  readonly force: boolean;
  readonly builder: BuilderName | undefined;
  readonly mirror: string | undefined;
}

async function build(context: Context, request: BuildRequest): Promise<CommandResult> {
  const { settings, reporter, signal } = context;
  checkMachine(settings.arch);
  const paths = buildPaths(settings.root);
  using _lock = await openWorkspace(paths, { timeout: settings.lockTimeout, signal, reporter });
  using repo = await openBuildRepo(paths, signal);
  const log = logFile(paths);
  const results = await buildImages(
    {
      paths,
      repo,
      log,
      reporter,
      signal,
      arch: settings.arch,
      mirror: request.mirror,
      builder: request.builder,
      force: request.force,
      dryRun: settings.dryRun,
    },
    request.wanted,
    request.search,
  );
  // Kept only when something failed: the error names it.
  rmSync(log, { force: true });
  return { json: { images: results }, text: `${results.map(describeResult).join('\n')}\n` };
}

/** @throws TreesError `UNSUPPORTED` */
function checkMachine(arch: string): void {
  if (process.getuid?.() !== 0) {
    throw new TreesError('UNSUPPORTED', 'cannot build images: real owners and modes need root', { hint: 'use sudo' });
  }
  const own = machineArch();
  if (arch !== own) {
    throw new TreesError(
      'UNSUPPORTED',
      `cannot build images for ${arch}: this machine is ${own}, and its programs run while building`,
    );
  }
}

/** As `uname -m` says it. */
function machineArch(): string {
  const names: Partial<Record<NodeJS.Architecture, string>> = {
    x64: 'x86_64',
    arm64: 'aarch64',
    arm: 'armv7l',
    ia32: 'i686',
  };
  return names[process.arch] ?? process.arch;
}

function describeResult(result: BuildResult): string {
  const { name, kind, version, status } = result;
  if (status === 'stale') return `${name}: would be built`;
  const size = `${(result.size / 1e6).toFixed(1)} MB in ${result.files} files`;
  return `${name} ${version}: ${kind} ${status}, ${size}, ${result.seconds.toFixed(1)} s`;
}

async function list(context: Context, directories: readonly string[]): Promise<CommandResult> {
  const paths = buildPaths(context.settings.root);
  const { existsSync } = await import('node:fs');
  using repo = existsSync(paths.repo) ? await openBuildRepo(paths, context.signal) : undefined;
  const rows = [];
  for (const [name, file] of listDefinitionFiles(directories)) {
    const { definition } = await readDefinition(file);
    const built =
      repo === undefined ? new Map<string, string>() : await builtVersions(repo, definition, context.settings.arch);
    const version = [...built.keys()].sort(compareVersions).at(-1);
    const base = definition.kind === 'app' ? `${definition.from.base}@${definition.from.range}` : undefined;
    rows.push({ name, kind: definition.kind, summary: definition.summary, base, version, file });
  }
  const text = rows.map((row) => {
    const on = row.base === undefined ? 'base' : `on ${row.base}`;
    return `${row.name.padEnd(14)} ${on.padEnd(14)} ${(row.version ?? 'not built').padEnd(20)} ${row.summary}\n`;
  });
  const built = [...builtFrom(paths.state)].map(([name, file]) => ({ name, file }));
  return { json: { definitions: rows, built }, text: text.join('') };
}
