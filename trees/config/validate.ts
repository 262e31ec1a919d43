import * as z from 'zod/mini';
import en from 'zod/v4/locales/en.js';
import { TreesError } from '../errors.js';
import type { SettingsSource } from './files.js';
import { leaves } from './leaves.js';
import { type SettingsFile, settingsFileSchema } from './schema.js';

/** @throws TreesError CONFIG_INVALID naming file, path and what was expected */
export function validateSettingsFile(source: SettingsSource): SettingsFile {
  z.config(en());
  const result = settingsFileSchema.safeParse(source.content ?? {});
  if (result.success) return result.data;
  const problems = result.error.issues.map((issue) => {
    const where = issue.path.map(String).join('.');
    return where === '' ? issue.message : `${where}: ${issue.message}`;
  });
  throw new TreesError('CONFIG_INVALID', `settings in ${source.path} are wrong: ${problems.join('; ')}`, {
    hint: `the settings are ${leaves.map((leaf) => leaf.path).join(', ')}`,
    details: { file: source.path, problems },
  });
}

/** The published JSON Schema of the settings file. */
export function settingsJsonSchema(): unknown {
  const schema = z.toJSONSchema(settingsFileSchema, { io: 'input' });
  return { $schema: schema.$schema, title: 'trees settings (trees.yaml)', ...schema };
}
