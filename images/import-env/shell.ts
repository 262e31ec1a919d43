/**
 * The part of the shell's language that `image.env` and `image.conf` are written in: assignments, quotes, comments,
 * continued lines, simple commands. Nothing is executed or expanded.
 */

export interface ShellFile {
  readonly variables: ReadonlyMap<string, string>;
  /** Other commands, as words. */
  readonly commands: readonly (readonly string[])[];
}

const ASSIGNMENT = /^[A-Za-z_][A-Za-z0-9_]*=/;

/** @throws RangeError naming the line, where something would have to be executed or expanded, or a quote is open */
export function parseShell(text: string): ShellFile {
  const variables = new Map<string, string>();
  const commands: string[][] = [];
  for (const words of statements(text)) {
    const assigned = words[0] === 'export' ? words.slice(1) : words;
    if (!assigned.every((word) => ASSIGNMENT.test(word))) {
      commands.push(words);
      continue;
    }
    for (const word of assigned) {
      const equals = word.indexOf('=');
      variables.set(word.slice(0, equals), word.slice(equals + 1));
    }
  }
  return { variables, commands };
}

/** Splits text into words as a shell does; also the content of a variable that holds a command line. */
export function splitWords(text: string): string[] {
  return [...statements(text)].flat();
}

function* statements(text: string): Generator<string[]> {
  let words: string[] = [];
  let word: string | undefined;
  let line = 1;
  const endWord = (): void => {
    if (word !== undefined) words.push(word);
    word = undefined;
  };
  for (let at = 0; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === '\\') {
      const next = text.charAt(++at);
      if (next === '\n') line += 1;
      else word = (word ?? '') + next;
    } else if (char === "'" || char === '"') {
      const { content, end } = quoted(text, at, line);
      word = (word ?? '') + content;
      line += text.slice(at, end).split('\n').length - 1;
      at = end;
    } else if (char === '#' && word === undefined) {
      const end = text.indexOf('\n', at);
      at = (end < 0 ? text.length : end) - 1;
    } else if (char === '\n' || char === ';') {
      endWord();
      if (words.length > 0) yield words;
      words = [];
      if (char === '\n') line += 1;
    } else if (/\s/.test(char)) {
      endWord();
    } else if (/[$`|&<>()]/.test(char)) {
      throw new RangeError(`line ${line}: "${char}" would have to be interpreted by a shell`);
    } else {
      word = (word ?? '') + char;
    }
  }
  endWord();
  if (words.length > 0) yield words;
}

function quoted(text: string, start: number, line: number): { content: string; end: number } {
  const quote = text.charAt(start);
  let content = '';
  for (let at = start + 1; at < text.length; at++) {
    const char = text.charAt(at);
    if (char === quote) return { content, end: at };
    if (quote === '"' && char === '\\' && /[$`"\\\n]/.test(text.charAt(at + 1))) {
      at += 1;
      if (text.charAt(at) !== '\n') content += text.charAt(at);
    } else if (quote === '"' && (char === '$' || char === '`')) {
      throw new RangeError(`line ${line}: "${char}" would have to be interpreted by a shell`);
    } else {
      content += char;
    }
  }
  throw new RangeError(`line ${line}: the quote ${quote} is never closed`);
}
