import type { BuilderName } from '../schema.js';
import { apk } from './apk.js';
import type { BaseBuilder } from './builder.js';
import { busybox } from './busybox.js';
import { dir } from './dir.js';
import { mmdebstrap } from './mmdebstrap.js';
import { tar } from './tar.js';

export const builders: Readonly<Record<BuilderName, BaseBuilder>> = { mmdebstrap, apk, busybox, dir, tar };
