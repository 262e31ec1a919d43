import { isErrno, usageError } from '../../errors.js';
import { readTextFile } from '../../inputs.js';
import { parseProfile, type SeccompProfile } from './profile.js';

export type ProfileReader = (path: string) => SeccompProfile;

/** A profile in Docker's format. @throws TreesError `USAGE` */
export function readProfile(path: string): SeccompProfile {
  try {
    return parseProfile(readTextFile(path), path);
  } catch (error) {
    if (!isErrno(error, 'ENOENT', 'EACCES', 'EISDIR')) throw error;
    throw usageError(`cannot read the seccomp profile ${path}: ${error.message}`);
  }
}
