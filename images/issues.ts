import type * as z from 'zod/mini';
import { nearest } from './suggest.js';

type Issue = z.core.$ZodIssue;

/**
 * Turns what the schema found into one line a problem: `build.packages[0]: Expected a string, got 3`.
 *
 * @param document what was checked, for the values that were got
 * @param keysAt keys that the schema knows at a path, for suggestions
 */
export function describeIssues(
  issues: readonly Issue[],
  document: unknown,
  keysAt: (path: readonly PropertyKey[]) => readonly string[],
): string[] {
  return issues.flatMap((issue) => describe(issue, [], document, keysAt));
}

function describe(
  issue: Issue,
  prefix: readonly PropertyKey[],
  document: unknown,
  keysAt: (path: readonly PropertyKey[]) => readonly string[],
): string[] {
  const path = [...prefix, ...issue.path];
  const value = valueAt(document, path);
  const line = (message: string): string[] => [`${formatPath(path)}: ${message}`];
  const expected = (what: string): string[] => line(`Expected ${what}, got ${show(value)}`);
  switch (issue.code) {
    case 'invalid_type':
      return value === undefined
        ? line(`Expected ${article(issue.expected)}, but it is missing`)
        : expected(article(issue.expected));
    case 'invalid_value':
      return expected(oneOf(issue.values.map((one) => JSON.stringify(one)))).map((text) =>
        withGuess(text, value, issue.values),
      );
    case 'unrecognized_keys':
      return issue.keys.map((key) => unknownKey([...path, key], key, keysAt(path)));
    case 'invalid_union':
      return describeUnion(issue, path, value, document, keysAt);
    case 'too_small':
    case 'too_big':
      return issue.message === 'Invalid input' ? expected(describeLimit(issue)) : expected(strip(issue.message));
    case 'invalid_format':
    case 'custom':
    case 'invalid_key':
    case 'invalid_element':
    case 'not_multiple_of':
      return issue.message.startsWith('expected ')
        ? expected(strip(issue.message))
        : line(`${issue.message}, got ${show(value)}`);
    default:
      return line('Invalid');
  }
}

/** A union is reported by the alternative that the value comes nearest to, if one of them is of its kind at all. */
function describeUnion(
  issue: Extract<Issue, { code: 'invalid_union' }>,
  path: readonly PropertyKey[],
  value: unknown,
  document: unknown,
  keysAt: (path: readonly PropertyKey[]) => readonly string[],
): string[] {
  if (value === undefined) return [`${formatPath(path)}: Expected a value, but it is missing`];
  if (issue.errors.length === 0 && 'options' in issue && Array.isArray(issue.options)) {
    const options = issue.options.map(String);
    const text = `${formatPath(path)}: Expected ${oneOf(options.map((one) => JSON.stringify(one)))}, got ${show(value)}`;
    return [withGuess(text, value, options)];
  }
  if (issue.message.startsWith('expected ')) {
    return [`${formatPath(path)}: Expected ${strip(issue.message)}, got ${show(value)}`];
  }
  const deep = issue.errors.filter((errors) =>
    errors.every((one) => one.path.length > 0 || one.code === 'unrecognized_keys'),
  );
  const best = (deep.length > 0 ? deep : issue.errors).toSorted((a, b) => a.length - b.length);
  const chosen = deep.length > 0 ? best.slice(0, 1) : best;
  const lines = chosen.map((errors) => errors.flatMap((one) => describe(one, path, document, keysAt)));
  if (lines.length <= 1) return lines.flat();
  const wanted = lines.flat().map((text) => /Expected (.*), got /.exec(text)?.[1] ?? '');
  return [`${formatPath(path)}: Expected ${wanted.filter((text) => text !== '').join(', or ')}, got ${show(value)}`];
}

function unknownKey(path: readonly PropertyKey[], key: string, known: readonly string[]): string {
  const guess = nearest(key, known);
  const help =
    guess === undefined ? (known.length > 0 ? `; known keys: ${known.join(', ')}` : '') : `; did you mean ${guess}?`;
  return `${formatPath(path)}: Unknown key${help}`;
}

function withGuess(text: string, value: unknown, candidates: readonly unknown[]): string {
  const guess = typeof value === 'string' ? nearest(value, candidates.map(String)) : undefined;
  return guess === undefined ? text : `${text}; did you mean ${guess}?`;
}

function describeLimit(issue: Extract<Issue, { code: 'too_small' | 'too_big' }>): string {
  const limit = issue.code === 'too_small' ? `at least ${issue.minimum}` : `at most ${issue.maximum}`;
  if (issue.origin === 'string') return `${limit} characters`;
  if (issue.origin === 'array') return `a list with ${limit} entries`;
  return `a number of ${limit}`;
}

function article(type: string): string {
  if (type === 'array') return 'a list';
  if (type === 'object' || type === 'record') return 'a mapping';
  if (type === 'boolean') return 'true or false';
  if (type === 'int') return 'a whole number';
  return `a ${type}`;
}

function oneOf(words: readonly string[]): string {
  return words.length <= 1 ? words.join('') : `${words.slice(0, -1).join(', ')} or ${words.at(-1)}`;
}

function strip(message: string): string {
  return message.replace(/^expected /, '');
}

function formatPath(path: readonly PropertyKey[]): string {
  if (path.length === 0) return 'document';
  return path
    .map((key, index) => (typeof key === 'number' ? `[${key}]` : `${index > 0 ? '.' : ''}${String(key)}`))
    .join('');
}

function valueAt(document: unknown, path: readonly PropertyKey[]): unknown {
  let value = document;
  for (const key of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = Object.hasOwn(value, key) ? Reflect.get(value, key) : undefined;
  }
  return value;
}

function show(value: unknown): string {
  if (value === undefined) return 'nothing';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
