import type { Repo } from '../trees/ostree/index.js';
import type { ProcessContext } from './process.js';
import type { BuilderName } from './schema.js';
import type { BuildPaths } from './workspace.js';

/** What building any image needs. */
export interface BuildContext extends ProcessContext {
  readonly paths: BuildPaths;
  readonly repo: Repo;
  /** As in `uname -m`. */
  readonly arch: string;
  /** Package mirror to use instead of the definitions'. */
  readonly mirror: string | undefined;
  /** Builder to use for bases instead of the definitions'. */
  readonly builder: BuilderName | undefined;
  /** Build although the inputs are the same as last time. */
  readonly force: boolean;
  /** Only find out what would be built. */
  readonly dryRun: boolean;
}

export interface BuildResult {
  readonly name: string;
  readonly kind: 'base' | 'app';
  /** Undefined in a dry run of something that is not built yet. */
  readonly version: string | undefined;
  readonly ref: string | undefined;
  readonly commit: string | undefined;
  /** Unpacked bytes of regular files. */
  readonly size: number;
  /** Files and symbolic links. */
  readonly files: number;
  /** `stale`: a dry run found that it has to be built. */
  readonly status: 'built' | 'unchanged' | 'stale';
  readonly seconds: number;
}
