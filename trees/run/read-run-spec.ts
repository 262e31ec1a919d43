import * as z from 'zod/mini';
import { TreesError } from '../errors.js';
import type { Generation } from '../store/generations.js';
import { type RunSpec, runSpecSchema } from './spec.js';

/** How a generation runs, as its publisher said. @throws TreesError `STORE_CORRUPT` */
export function readRunSpec(generation: Generation): RunSpec {
  const result = z.safeParse(runSpecSchema, generation.run ?? {});
  if (result.success) return result.data;
  throw new TreesError(
    'STORE_CORRUPT',
    `cannot run ${generation.name}: how it runs is not valid: ${z.prettifyError(result.error)}`,
    { hint: 'it may have been published for a newer trees' },
  );
}
