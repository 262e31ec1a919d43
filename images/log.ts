import { createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import type { Reporter } from '../trees/reporter.js';

const TAIL_LINES = 15;

/** Output of one program: appended to the build's log, its last lines kept for messages. */
export interface OutputLog {
  readonly tail: readonly string[];
  /** Records everything that comes out of a pipe. */
  follow(pipe: Readable | null): void;
  close(): Promise<void>;
}

/** @param title what is run, the first line of its output */
export function openLog(file: string, title: string, reporter: Reporter): OutputLog {
  const stream = createWriteStream(file, { flags: 'a', mode: 0o600 });
  const tail: string[] = [];
  stream.write(`$ ${title}\n`);
  const record = (line: string): void => {
    stream.write(`${line}\n`);
    tail.push(line);
    if (tail.length > TAIL_LINES) tail.shift();
    reporter.debug(line);
  };
  return {
    tail,
    follow: (pipe) => {
      if (pipe !== null) createInterface({ input: pipe }).on('line', record);
    },
    close: () => new Promise((resolve) => stream.end(resolve)),
  };
}
