// Writes the published JSON Schema of the settings file.
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { settingsJsonSchema } from '../trees/config/validate.js';

const path = fileURLToPath(new URL('../trees/config/trees.schema.json', import.meta.url));
writeFileSync(path, `${JSON.stringify(settingsJsonSchema(), null, 2)}\n`);
