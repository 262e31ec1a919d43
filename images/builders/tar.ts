import { findProgram } from '../process.js';
import type { BaseBuilder } from './builder.js';
import { resolveSource } from './dir.js';

/** A root file system in an archive that GNU tar can read, local or at a URL. */
export const tar: BaseBuilder = {
  missing: async () => ((await findProgram('tar')) === undefined ? ['the program tar'] : []),
  resolve: (context) => resolveSource(context, 'tar'),
};
