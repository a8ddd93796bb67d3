/** The codes that a refusal may have, read from where they are declared: a type leaves no list. */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const SOURCE = fileURLToPath(new URL('../../src/protocol/errors.ts', import.meta.url));

export const ERROR_CODES: ReadonlySet<string> = new Set(
  [
    ...(readFileSync(SOURCE, 'utf8').split('ErrorCode =')[1]?.split(';')[0] ?? '').matchAll(
      /'(\w+)'/g,
    ),
  ].map(([, code]) => code ?? ''),
);
