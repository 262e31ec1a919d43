import * as z from 'zod/mini';
import en from 'zod/v4/locales/en.js';
import { TreesError } from '../trees/errors.js';
import { describeIssues } from './issues.js';
import { type Definition, definitionJsonSchema, definitionSchema } from './schema.js';

/**
 * Checks the content of a definition file.
 *
 * @param file its path, for messages
 * @throws TreesError `DEFINITION_INVALID` naming the file and, for every problem, the path in the document
 */
export function validateDefinition(content: unknown, file: string): Definition {
  z.config(en());
  const result = definitionSchema.safeParse(content, { error: () => 'Invalid input' });
  if (result.success) return result.data;
  const kind = isRecord(content) && typeof content['kind'] === 'string' ? content['kind'] : '';
  const problems = describeIssues(result.error.issues, content, (path) => knownKeys(kind, path));
  const [first = '', ...others] = problems;
  throw new TreesError(
    'DEFINITION_INVALID',
    others.length === 0
      ? `definition ${file} is wrong: ${first}`
      : `definition ${file} is wrong:\n  ${problems.join('\n  ')}`,
    { hint: 'images/definition.schema.json describes every key', details: { file, problems } },
  );
}

/** Walks the JSON Schema along a document path and collects the keys it names there. */
function knownKeys(kind: string, path: readonly PropertyKey[]): string[] {
  let nodes = alternatives(definitionJsonSchema()).filter(
    (node) => kind === '' || schemaKind(node) === kind || schemaKind(node) === undefined,
  );
  for (const key of path) nodes = nodes.flatMap((node) => alternatives(child(node, key)));
  const keys = new Set<string>();
  for (const node of nodes) {
    if (isRecord(node['properties'])) for (const key of Object.keys(node['properties'])) keys.add(key);
  }
  return [...keys];
}

function schemaKind(node: Record<string, unknown>): string | undefined {
  const properties = node['properties'];
  const kind = isRecord(properties) ? properties['kind'] : undefined;
  return isRecord(kind) && typeof kind['const'] === 'string' ? kind['const'] : undefined;
}

function child(node: Record<string, unknown>, key: PropertyKey): unknown {
  if (typeof key === 'number') return node['items'];
  const properties = node['properties'];
  if (isRecord(properties) && typeof key === 'string' && key in properties) return properties[key];
  return node['additionalProperties'];
}

function alternatives(node: unknown): Array<Record<string, unknown>> {
  if (!isRecord(node)) return [];
  const choices = [node['oneOf'], node['anyOf']].find(Array.isArray);
  return choices === undefined ? [node] : choices.flatMap(alternatives);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
