interface Dependent {
  readonly after?: readonly string[] | undefined;
  readonly requires?: readonly string[] | undefined;
  readonly main?: boolean | undefined;
  readonly when?: { readonly source?: string | undefined } | undefined;
}

/** What is wrong with the services' references to each other, as a sentence; `undefined` if nothing is. */
export function findDependencyProblem(services: Readonly<Record<string, Dependent>>): string | undefined {
  const mains = Object.keys(services).filter((name) => services[name]?.main === true);
  if (mains.length > 1) return `expected one main service at most, got ${mains.join(', ')}`;
  for (const [name, service] of Object.entries(services)) {
    const source = service.when?.source;
    for (const other of [...dependencies(service), ...(source === undefined ? [] : [source])]) {
      if (!Object.hasOwn(services, other)) return `service ${name} refers to ${other}, which is not declared`;
    }
  }
  const cycle = findCycle(services);
  return cycle === undefined ? undefined : `expected services without a cycle, got ${cycle.join(' → ')}`;
}

function dependencies(service: Dependent): readonly string[] {
  return [...(service.after ?? []), ...(service.requires ?? [])];
}

function findCycle(services: Readonly<Record<string, Dependent>>): string[] | undefined {
  const finished = new Set<string>();
  const visit = (name: string, trail: readonly string[]): string[] | undefined => {
    if (trail.includes(name)) return [...trail.slice(trail.indexOf(name)), name];
    if (finished.has(name)) return undefined;
    for (const next of dependencies(services[name] ?? {})) {
      const cycle = visit(next, [...trail, name]);
      if (cycle !== undefined) return cycle;
    }
    finished.add(name);
    return undefined;
  };
  for (const name of Object.keys(services)) {
    const cycle = visit(name, []);
    if (cycle !== undefined) return cycle;
  }
  return undefined;
}
