import * as z from 'zod/mini';
import { reasonOf, TreesError } from '../errors.js';
import { readTextFile } from '../inputs.js';
import { type ServicesSpec, servicesSchema } from './service-spec.js';

/**
 * Reads services from a file, YAML or JSON: what a definition has under `services:`, with that key or without it.
 * @throws TreesError DEFINITION_NOT_FOUND, DEFINITION_INVALID
 */
export async function readServicesFile(path: string): Promise<ServicesSpec> {
  const invalid = (why: string, cause?: unknown): TreesError =>
    new TreesError('DEFINITION_INVALID', `cannot use the services in ${path}: ${why}`, { cause, status: 125 });
  const text = readText(path);
  let value: unknown;
  try {
    // JSON is a part of YAML, but for JSON nothing needs to be loaded.
    value = path.endsWith('.json') ? JSON.parse(text) : await parseYaml(text);
  } catch (error) {
    throw invalid(reasonOf(error), error);
  }
  const services = isWrapped(value) ? value.services : value;
  const result = z.safeParse(servicesSchema, services);
  if (!result.success) throw invalid(z.prettifyError(result.error));
  if (Object.keys(result.data).length === 0) throw invalid('there are none');
  return result.data;
}

/** A service could be called `services`, but then it has an `exec`. */
function isWrapped(value: unknown): value is { readonly services: unknown } {
  if (typeof value !== 'object' || value === null || !('services' in value)) return false;
  return typeof value.services === 'object' && value.services !== null && !('exec' in value.services);
}

function readText(path: string): string {
  try {
    return readTextFile(path);
  } catch (error) {
    throw new TreesError('DEFINITION_NOT_FOUND', `cannot read the services in ${path}: ${reasonOf(error)}`, {
      cause: error,
      status: 125,
    });
  }
}

async function parseYaml(text: string): Promise<unknown> {
  const { CORE_SCHEMA, load } = await import('js-yaml');
  return load(text, { schema: CORE_SCHEMA });
}
