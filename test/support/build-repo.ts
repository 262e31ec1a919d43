import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { commitKey, refName } from '../../trees/store/metadata.js';

const run = promisify(execFile);

export async function ostree(...args: string[]): Promise<string> {
  return (await run('ostree', args, { maxBuffer: 64 * 1024 * 1024 })).stdout.trim();
}

export interface BuildInput {
  readonly kind: 'base' | 'layer';
  readonly name: string;
  readonly version: string;
  readonly arch?: string;
  /** Contents by path. */
  readonly files?: Readonly<Record<string, string | Buffer>>;
  /** A directory with more, which stays. */
  readonly directory?: string;
  /** Layers: what it was built on. */
  readonly base?: { name: string; range: string; version: string; commit: string };
}

/** A repository as `trees build` leaves it, filled by the ostree program. */
export interface BuildRepo {
  /** The `build` directory; the repository is `repo` in it. */
  readonly build: string;
  readonly repo: string;
  commit(input: BuildInput): Promise<string>;
  /** Makes the repository anew, empty, as on another machine. */
  reset(): Promise<void>;
}

export async function createBuildRepo(root: string): Promise<BuildRepo> {
  const build = join(root, 'build');
  const repo = join(build, 'repo');
  const reset = async (): Promise<void> => {
    await rm(build, { recursive: true, force: true });
    await mkdir(repo, { recursive: true });
    await ostree('init', `--repo=${repo}`, `--mode=${process.geteuid?.() === 0 ? 'bare' : 'bare-user'}`);
  };
  await reset();
  return {
    build,
    repo,
    reset,
    async commit({ kind, name, version, arch = 'x86_64', files = {}, directory: more, base }) {
      const directory = await mkdtemp(join(tmpdir(), 'trees-build-'));
      try {
        for (const [path, content] of Object.entries(files)) {
          await mkdir(dirname(join(directory, path)), { recursive: true });
          await writeFile(join(directory, path), content);
        }
        const metadata: Record<string, string> = {
          [commitKey.kind]: kind,
          [commitKey.name]: name,
          [commitKey.version]: version,
          [commitKey.arch]: arch,
          [commitKey.summary]: `${name} for tests`,
          version,
          ...(base === undefined ? {} : { [commitKey.base]: JSON.stringify(base) }),
        };
        const ref = kind === 'base' ? refName.base(name, arch, version) : refName.layer(name, arch, version);
        return await ostree(
          'commit',
          `--repo=${repo}`,
          `--branch=${ref}`,
          ...(more === undefined ? [] : [`--tree=dir=${more}`]),
          `--tree=dir=${directory}`,
          '--timestamp=2026-01-01T00:00:00Z',
          '--owner-uid=0',
          '--owner-gid=0',
          '--parent=none',
          // Nothing here has to outlive a power cut.
          '--fsync=no',
          ...Object.entries(metadata).map(([key, value]) => `--add-metadata-string=${key}=${value}`),
        );
      } finally {
        await rm(directory, { recursive: true, force: true });
      }
    },
  };
}
