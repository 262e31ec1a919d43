import { getXattr, listXattrs, setXattr } from '../trees/system/index.js';

/** Attributes that belong to the image. The rest is the kernel's, overlayfs's, fuse-overlayfs's or this machine's security policy's. */
const belongs = /^(security\.capability|system\.posix_acl_(access|default)|user\.(?!overlay\.|fuseoverlayfs\.).*)$/;

/** Names of the attributes that belong to the image, sorted. */
function imageXattrs(path: string): string[] {
  return listXattrs(path)
    .filter((name) => belongs.test(name))
    .sort();
}

/** For `CommitModifierOptions.xattrs`: what to store for an entry below `root`. */
export function xattrReader(root: string): (path: string) => Array<{ name: Uint8Array; value: Uint8Array }> {
  return (path) => {
    const file = `${root}${path}`;
    return imageXattrs(file).map((name) => ({
      name: Buffer.from(name),
      value: getXattr(file, name) ?? new Uint8Array(),
    }));
  };
}

export function copyImageXattrs(from: string, to: string): void {
  for (const name of imageXattrs(from)) setXattr(to, name, getXattr(from, name) ?? new Uint8Array());
}

export function sameImageXattrs(a: string, b: string): boolean {
  const names = imageXattrs(a);
  if (names.join('\0') !== imageXattrs(b).join('\0')) return false;
  return names.every(
    (name) => Buffer.compare(getXattr(a, name) ?? Buffer.alloc(0), getXattr(b, name) ?? Buffer.alloc(0)) === 0,
  );
}

/** An attribute that makes an upper depend on where the lower has something; mounts with our options write none. */
export function foreignOverlayXattr(path: string): string | undefined {
  return listXattrs(path).find((name) => /^(trusted|user)\.overlay\.(redirect|metacopy|whiteouts?)$/.test(name));
}
