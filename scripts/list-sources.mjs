// Prints the source files of a native target, for binding.gyp: list-sources.mjs DIR EXTENSION…
import { readdirSync } from 'node:fs';
import { extname } from 'node:path';

const [directory, ...extensions] = process.argv.slice(2);
for (const name of readdirSync(directory).sort()) {
  if (extensions.includes(extname(name))) process.stdout.write(`${directory}/${name}\n`);
}
