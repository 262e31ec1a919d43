import type { ProcessContext } from '../process.js';
import type { BaseDefinition } from '../schema.js';

export interface BuilderContext extends ProcessContext {
  readonly definition: BaseDefinition;
  /** Directory of the definition file; relative paths in it start here. */
  readonly directory: string;
  /** `build/cache`. */
  readonly cache: string;
  /** As in `uname -m`. */
  readonly arch: string;
  /** Overrides the definition's mirror. */
  readonly mirror: string | undefined;
}

/** What a base is made of, known before it is made. */
export interface BaseInputs {
  /** Everything that the result depends on besides the definition; JSON. Equal inputs give equal commits. */
  readonly digestOf: unknown;
  /** Makes the root file system; the directory does not exist yet. */
  build(rootfs: string): Promise<void>;
  /** Date of the newest input, in seconds since the epoch; asked after `build`. */
  epoch(rootfs: string): number;
}

/** One way to make a root file system. */
export interface BaseBuilder {
  /** Names what this machine lacks for it, without changing anything; empty when it can do it. */
  missing(context: BuilderContext): Promise<string[]>;
  /** Finds out what the base would be made of. May download, changes nothing but the cache. */
  resolve(context: BuilderContext): Promise<BaseInputs>;
}
