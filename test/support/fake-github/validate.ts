import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Ajv, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';

/** One request and its answer, as the REST API saw them. */
export interface Exchange {
  readonly operation: string;
  readonly query: URLSearchParams;
  /** Undefined for no body, and for binary ones. */
  readonly requestBody: unknown;
  readonly status: number;
  readonly answerBody: unknown;
}

interface Json {
  readonly [key: string]: unknown;
}

/** Checks exchanges against GitHub's own description of its REST API, the package `@octokit/openapi`. */
export interface Validator {
  /** @returns what is not as described, empty if all is well */
  check(exchange: Exchange): string[];
}

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null;
const member = (value: unknown, ...path: readonly string[]): unknown =>
  path.reduce<unknown>((node, key) => (isObject(node) ? node[key] : undefined), value);

/** Statuses that any request may get, whatever its description lists (docs.github.com/rest, "Troubleshooting"). */
const UNIVERSAL = new Set([304, 400, 401, 403, 404, 429, 500, 502, 503]);

function resolveRef(document: unknown, value: unknown): unknown {
  const ref = member(value, '$ref');
  return typeof ref === 'string' ? member(document, ...ref.replace(/^#\//, '').split('/')) : value;
}

/** The schemas that `roots` refer to, directly or not. */
function reachable(document: unknown, roots: readonly unknown[]): Record<string, unknown> {
  const found: Record<string, unknown> = {};
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) {
      for (const child of node) visit(child);
      return;
    }
    if (!isObject(node)) return;
    const ref = node['$ref'];
    const name = typeof ref === 'string' ? /^#\/components\/schemas\/(.+)$/.exec(ref)?.[1] : undefined;
    if (name !== undefined && !Object.hasOwn(found, name)) {
      found[name] = member(document, 'components', 'schemas', name);
      visit(found[name]);
    }
    for (const child of Object.values(node)) visit(child);
  };
  for (const root of roots) visit(root);
  return found;
}

function findOperation(document: unknown, id: string): unknown {
  for (const path of Object.values(Object(member(document, 'paths')))) {
    for (const operation of Object.values(Object(path))) {
      if (member(operation, 'operationId') === id) return operation;
    }
  }
  throw new Error(`GitHub's description has no operation ${id}`);
}

let description: unknown;

function load(): unknown {
  const path = createRequire(import.meta.url).resolve('@octokit/openapi/generated/api.github.com.json');
  description ??= JSON.parse(readFileSync(path, 'utf8'));
  return description;
}

/** A component of the description by kind and name, for tests that need an example. */
export function describedExample(name: string): unknown {
  return member(load(), 'components', 'examples', name, 'value');
}

/** By operation and what of it; one set a process, as compiling takes far longer than checking. */
const compiled = new Map<string, ValidateFunction>();
const operations = new Map<string, unknown>();

export function createValidator(): Validator {
  const document = load();

  function schemaOf(schema: unknown, key: string): ValidateFunction {
    const known = compiled.get(key);
    if (known !== undefined) return known;
    const components = { schemas: reachable(document, [schema]) };
    // Its prose says that an upload which failed leaves an asset whose state is "starter", its list of states forgets it.
    const states = member(components, 'schemas', 'release-asset', 'properties', 'state', 'enum');
    if (Array.isArray(states) && !states.includes('starter')) states.push('starter');
    const ajv = new Ajv({ strict: false, allErrors: true, logger: false });
    formats.default(ajv);
    const validate = ajv.compile({ ...Object(schema), components });
    compiled.set(key, validate);
    return validate;
  }

  function complain(schema: unknown, value: unknown, key: string): string[] {
    const validate = schemaOf(schema, key);
    if (validate(value)) return [];
    return (validate.errors ?? []).map(({ instancePath, message }) => `${key}: ${instancePath || 'body'} ${message}`);
  }

  function checkRequest({ operation, query, requestBody }: Exchange, described: unknown): string[] {
    const parameters: unknown = member(described, 'parameters');
    const names = new Set(
      (Array.isArray(parameters) ? parameters : [])
        .map((parameter) => resolveRef(document, parameter))
        .filter((parameter) => member(parameter, 'in') === 'query')
        .map((parameter) => member(parameter, 'name')),
    );
    const problems = [...query.keys()]
      .filter((name) => !names.has(name))
      .map((name) => `${operation} request: no query parameter is called ${name}`);
    if (requestBody === undefined) return problems;
    const schema = member(described, 'requestBody', 'content', 'application/json', 'schema');
    if (schema === undefined) return [...problems, `${operation} request: no JSON body is described`];
    const known = Object.keys(Object(member(resolveRef(document, schema), 'properties')));
    const unknown = Object.keys(Object(requestBody)).filter((name) => !known.includes(name));
    return [
      ...problems,
      ...unknown.map((name) => `${operation} request: no field is called ${name}`),
      ...complain(schema, requestBody, `${operation} request`),
    ];
  }

  function checkAnswer({ operation, status, answerBody }: Exchange, described: unknown): string[] {
    const response = resolveRef(document, member(described, 'responses', String(status)));
    const key = `${operation} ${status}`;
    if (response === undefined) return UNIVERSAL.has(status) ? [] : [`${key}: no such answer is described`];
    const schema = member(response, 'content', 'application/json', 'schema');
    if (schema === undefined) {
      const isError = status >= 400;
      return answerBody === undefined || isError ? [] : [`${key}: no body is described`];
    }
    return complain(schema, answerBody, key);
  }

  return {
    check(exchange) {
      const described = operations.get(exchange.operation) ?? findOperation(document, exchange.operation);
      operations.set(exchange.operation, described);
      return [...checkRequest(exchange, described), ...checkAnswer(exchange, described)];
    },
  };
}
